"""What every simulator of the book returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import signal


@dataclass(frozen=True)
class Simulation:
    """A simulated market: tidy data, true parameters by the models' names, noise-free parts."""

    data: pd.DataFrame
    truth: dict[str, Any]
    expected: dict[str, Any]


def persistent(shocks: np.ndarray, memory: float) -> np.ndarray:
    """First-order autoregression along the first axis, with the variance of its shocks."""
    innovations = shocks.copy()
    innovations[1:] *= np.sqrt(1 - memory**2)
    return signal.lfilter([1], [1, -memory], innovations, axis=0)
