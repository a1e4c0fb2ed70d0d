"""Adstock and saturation, as PyMC-Marketing has them, in NumPy."""

from __future__ import annotations

import numpy as np


def adstock(spend: np.ndarray, alpha: np.ndarray, *, l_max: int = 6) -> np.ndarray:
    """Spend that works in a period, (..., n, channels): some of its own, some of those before."""
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
    alpha, lam, beta : array, shape (..., channels)
        Retention a period, in [0, 1); rate per unit of spend; most that spend can contribute.
    l_max, steady : int and bool
        Periods that a unit of spend works; whether spend goes on for ever: no adstock.

    Returns
    -------
    array, shape (..., n, channels)
        Contribution of each period and channel, in units of the target.
    """
    stock = np.asarray(spend, float) if steady else adstock(spend, alpha, l_max=l_max)
    lam, beta = (np.asarray(values, float)[..., None, :] for values in (lam, beta))
    return beta * saturated(stock, lam)
