"""What every simulator of the book returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import signal


@dataclass(frozen=True)
class Simulation:
    """A simulated market.

    Attributes
    ----------
    data : pandas.DataFrame
        Tidy frame, as a reader's own file would give it.
    truth : dict
        Parameters by the names that the models use.
    expected : dict
        Noise-free parts, arrays in the units of the data.
    """

    data: pd.DataFrame
    truth: dict[str, Any]
    expected: dict[str, Any]


def persistent(shocks: np.ndarray, memory: float) -> np.ndarray:
    """First-order autoregression along the first axis, with the variance of its shocks throughout.

    Parameters
    ----------
    shocks : array, shape (n, ...)
        Independent shocks.
    memory : float
        Correlation from one step to the next, in (-1, 1).

    Returns
    -------
    array, shape (n, ...)
        The first shock as it is; later ones scaled, so that the path is stationary.

    Examples
    --------
    >>> persistent(np.array([1.0, 0.0, 0.0]), 0.5).tolist()
    [1.0, 0.5, 0.25]
    """
    innovations = shocks.copy()
    innovations[1:] *= np.sqrt(1 - memory**2)
    return signal.lfilter([1], [1, -memory], innovations, axis=0)
