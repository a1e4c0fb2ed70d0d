"""Adstock and saturation, as PyMC-Marketing has them, in NumPy."""

from __future__ import annotations

import numpy as np


def adstock(spend: np.ndarray, alpha: np.ndarray, *, l_max: int = 6) -> np.ndarray:
    r"""Spend that works in a period: some of its own, and some of those before.

    .. math:: \sum_{l=0}^{l_{max}-1} w_{cl}\, x_{t-l,c}, \qquad w_{cl} \propto \alpha_c^l, \
        \sum_l w_{cl} = 1.

    Parameters
    ----------
    spend : array, shape (n, channels)
        Spend by period; there was none before the first.
    alpha : array, shape (..., channels)
        Retention from one period to the next, in [0, 1).
    l_max : int
        Periods that a unit of spend works.

    Returns
    -------
    array, shape (..., n, channels)
        In units of spend.

    Examples
    --------
    >>> adstock(np.array([[3.0], [0.0], [0.0]]), np.array([0.5]), l_max=2).ravel().tolist()
    [2.0, 1.0, 0.0]
    """
    spend = np.asarray(spend, float)
    weights = np.asarray(alpha, float)[..., None, :] ** np.arange(l_max)[:, None]
    weights = weights / weights.sum(axis=-2, keepdims=True)
    n, k = spend.shape
    lagged = np.stack([np.vstack([np.zeros((lag, k)), spend])[:n] for lag in range(l_max)])
    return np.einsum("lnc,...lc->...nc", lagged, weights, optimize=True)


def media_contribution(
    spend: np.ndarray,
    *,
    alpha: np.ndarray,
    lam: np.ndarray,
    beta: np.ndarray,
    l_max: int = 6,
    steady: bool = False,
) -> np.ndarray:
    r"""What spend contributes: geometric adstock :math:`a_{tc}`, then logistic saturation.

    .. math:: \beta_c \frac{1 - e^{-\lambda_c a_{tc}}}{1 + e^{-\lambda_c a_{tc}}}
        = \beta_c \tanh(\lambda_c a_{tc} / 2).

    Parameters
    ----------
    spend : array, shape (n, channels)
        Spend by period; there was none before the first.
    alpha : array, shape (..., channels)
        Retention from one period to the next, in [0, 1).
    lam : array, shape (..., channels)
        Saturation, per unit of spend.
    beta : array, shape (..., channels)
        Contribution that no spend exceeds, in units of the target.
    l_max : int
        Periods that a unit of spend works.
    steady : bool
        Whether each period's spend is taken to go on for ever: no adstock.

    Returns
    -------
    array, shape (..., n, channels)
        Contribution of each period and channel, in units of the target.

    Examples
    --------
    >>> two = np.array([2.0])
    >>> media_contribution(np.array([[9.0]]), alpha=two / 4, lam=two, beta=two).round(3).tolist()
    [[2.0]]
    """
    stock = np.asarray(spend, float) if steady else adstock(spend, alpha, l_max=l_max)
    lam, beta = (np.asarray(values, float)[..., None, :] for values in (lam, beta))
    return beta * np.tanh(lam * stock / 2)


def carried_over(spend: np.ndarray, share: np.ndarray, max_lag: int) -> np.ndarray:
    r"""Advertising pressure: spend of the last weeks, discounted week by week.

    .. math:: a_t = \sum_{l=0}^{L-1} \alpha^l x_{t-l} \Big/ \sum_{l=0}^{L-1} \alpha^l

    Parameters
    ----------
    spend : array, shape (n_weeks, ...)
        Spend; before the first week there was none.
    share : array
        What is left a week later, in [0, 1); broadcasts against a week's spend.
    max_lag : int
        Weeks over which advertising acts.

    Returns
    -------
    array
        As ``spend``.

    Examples
    --------
    >>> carried_over(np.array([[3.0], [0.0], [0.0]]), np.array([0.5]), 2).ravel().tolist()
    [2.0, 1.0, 0.0]
    """
    spend = np.asarray(spend, dtype=float)
    each = np.broadcast_to(share, spend.shape[1:]).ravel()
    return adstock(spend.reshape(len(spend), -1), each, l_max=max_lag).reshape(spend.shape)


def saturated(pressure: np.ndarray, steepness: np.ndarray) -> np.ndarray:
    r"""Logistic saturation.

    .. math:: s(a) = \frac{1 - e^{-\lambda a}}{1 + e^{-\lambda a}}

    Parameters
    ----------
    pressure : array
        Advertising pressure, 0 or more.
    steepness : array
        Rate :math:`\lambda`, positive, in units of one over pressure.

    Returns
    -------
    array
        Between 0 and 1.

    Examples
    --------
    >>> saturated(np.array([0.0, 1.0, 100.0]), np.array(2.0)).round(2).tolist()
    [0.0, 0.76, 1.0]
    """
    return np.tanh(np.asarray(steepness) * pressure / 2)
