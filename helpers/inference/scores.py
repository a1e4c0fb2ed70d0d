"""Scores of forecasts."""

from __future__ import annotations

import numpy as np


def crps(draws: np.ndarray, value: np.ndarray) -> np.ndarray:
    r"""Continuous ranked probability score of draws from a forecast; lower is better.

    The unbiased estimate of :math:`E|X - y| - E|X - X'| / 2`, in units of the value.

    Parameters
    ----------
    draws : array, shape (D, ...)
        Draws, at least two.
    value : array, shape (...)
        What happened.

    Returns
    -------
    array, shape (...)
        Scores.

    References
    ----------
    :cite:`gneiting2007scoring`

    Examples
    --------
    >>> float(crps(np.array([1.0, 3.0]), np.array(2.0)))
    0.0
    """
    ordered = np.sort(draws, axis=0)
    n = len(ordered)
    weight = (2 * np.arange(1, n + 1) - n - 1).reshape(-1, *[1] * (ordered.ndim - 1))
    spread = 2 * (weight * ordered).sum(0) / (n * (n - 1))
    return np.abs(ordered - value).mean(0) - spread / 2
