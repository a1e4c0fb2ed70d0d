"""What the stores will sell."""

from __future__ import annotations

import numpy as np

from helpers.stores.load import StorePanel


def pattern_means(panel: StorePanel, coef: np.ndarray) -> np.ndarray:
    """Mean sales of each store on a day of each calendar pattern.

    Parameters
    ----------
    panel, coef : StorePanel, and array (..., S, F)
        Stores and patterns; coefficients, draws in front.

    Returns
    -------
    array, shape (..., S, P)
        Means of a day's sales.
    """
    n_calendar = panel.calendar.shape[1]
    constant = (coef[..., n_calendar:] * panel.attributes.to_numpy()).sum(-1, keepdims=True)
    return np.exp(coef[..., :n_calendar] @ panel.calendar.to_numpy().T + constant)
