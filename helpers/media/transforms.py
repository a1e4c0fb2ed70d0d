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


def saturated(stock: np.ndarray, lam: np.ndarray) -> np.ndarray:
    r"""Logistic saturation :math:`(1 - e^{-\lambda a}) / (1 + e^{-\lambda a})` of what works.

    Parameters
    ----------
    stock, lam : array
        Spend after adstock, and a positive rate in units of one over spend.

    Returns
    -------
    array
        Between 0 and 1.

    Examples
    --------
    >>> saturated(np.array([0.0, 1.0, 100.0]), np.array(2.0)).round(2).tolist()
    [0.0, 0.76, 1.0]
    """
    return np.tanh(lam * stock / 2)


def media_contribution(
    spend: np.ndarray,
    *,
    alpha: np.ndarray,
    lam: np.ndarray,
    beta: np.ndarray,
    l_max: int = 6,
    steady: bool = False,
) -> np.ndarray:
    r"""What spend contributes: :math:`\beta_c` times saturated adstock of spend.

    Parameters
    ----------
    spend : array, shape (n, channels)
        Spend by period; there was none before the first.
    alpha, lam : array, shape (..., channels)
        Retention from one period to the next, in [0, 1), and saturation, per unit of spend.
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
    return beta * saturated(stock, lam)
