"""What every simulator of the book returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd


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
