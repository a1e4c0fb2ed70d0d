"""Scores of forecasts."""

from __future__ import annotations

import numpy as np


def crps(draws: np.ndarray, value: np.ndarray) -> np.ndarray:
    r"""Continuous ranked probability score, lower is better :cite:p:`gneiting2007scoring`.

    Parameters
    ----------
    draws, value : array, shapes (D, ...) and (...)
        Draws from a forecast, at least two, and what happened.

    Returns
    -------
    array, shape (...)
        Unbiased estimates of :math:`E|X - y| - E|X - X'| / 2`, in units of the value.
    """
    ordered = np.sort(draws, axis=0)
    n = len(ordered)
    weight = (2 * np.arange(1, n + 1) - n - 1).reshape(-1, *[1] * (ordered.ndim - 1))
    spread = 2 * (weight * ordered).sum(0) / (n * (n - 1))
    return np.abs(ordered - value).mean(0) - spread / 2
