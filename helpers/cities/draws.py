"""What a posterior of shared shocks says of days and campaigns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from helpers.cities.model import DAY_TYPES, ShockData, day_log_density, day_types


def day_posterior(posterior: xr.Dataset, data: ShockData) -> tuple[pd.DataFrame, np.ndarray]:
    """Types of days and the shared shock, from the draws of ``shared_shock_model(data)``.

    Parameters
    ----------
    posterior, data : xarray.Dataset and ShockData
        Posterior, and the data that it was fitted to.

    Returns
    -------
    tuple of pandas.DataFrame (n, 4) and array (draws, n)
        Probability of each type by date; walk, event and what the day shares, in A's (log) sales.
    """
    draws = posterior.stack(sample=("chain", "draw")).transpose("sample", ...)
    n_draws = draws.sizes["sample"]
    probability, shock = np.zeros((len(data.dates), len(DAY_TYPES))), []
    # In slices: the arrays of all draws, days and types together would not fit a small machine.
    for part in np.array_split(np.arange(n_draws), 8):
        p, s = _day_slice(draws.isel(sample=part), data)
        probability += p.sum(axis=1).T / n_draws
        shock.append(s)
    table = pd.DataFrame(probability, index=data.dates, columns=list(DAY_TYPES))
    return table, np.concatenate(shock) * data.spread[0]


def _day_slice(draws, data):
    """Type probabilities (type, sample, day) and conditional mean shock (sample, day)."""
    residual = draws["residual"].to_numpy()
    loading = draws["loading"].to_numpy()
    types = day_types(
        *(draws[name].to_numpy() for name in ("day_sd", "noise_sd", "spike_sd", "own_spike_sd"))
    )
    log_density, share = [], []
    for variances in types:
        shared, own_a, own_b = (np.broadcast_to(v, loading.shape)[:, None] for v in variances)
        slope = loading[:, None]
        log_density.append(day_log_density(residual, shared, own_a, own_b, slope, xp=np))
        # Precision-weighted mean of the two residuals, shrunk by the shared variance (may be zero).
        weight_a, weight_b = 1 / own_a, slope / own_b
        shrunk = shared / (1 + shared * (weight_a + slope * weight_b))
        share.append(shrunk * (weight_a * residual[..., 0] + weight_b * residual[..., 1]))
    log_p = np.stack(log_density) + np.log(draws["rate"].to_numpy()).T[:, :, None]
    p = np.exp(log_p - log_p.max(axis=0))
    p /= p.sum(axis=0)
    walk = draws["walk"].to_numpy() @ data.arrays["modes"].T
    shock = walk + (p * np.stack(share)).sum(axis=0)
    if data.events:
        shock = shock + draws["event_effect"].to_numpy() @ data.arrays["event"].T
    return p, shock


def lift_draws(posterior: xr.Dataset, data: ShockData, campaign: str = "ads") -> np.ndarray:
    """Posterior draws of what ``ad_unit`` of ads, or of "planted" ones, adds to sales.

    Parameters
    ----------
    posterior, data, campaign : xarray.Dataset, ShockData and str
        Posterior, the data that it was fitted to, and one of their campaigns.

    Returns
    -------
    array, shape (draws, 2)
        Sales a day where the scale is "level", shares of the day's sales where it is "log".
    """
    # By position: labels are those of the first data set that the model was compiled for.
    lift = posterior["lift"].isel(campaign=data.campaigns.index(campaign))
    lift = lift.stack(sample=("chain", "draw")).transpose("sample", "city").to_numpy()
    lift = lift * data.spread
    return np.expm1(lift) if data.scale == "log" else lift
