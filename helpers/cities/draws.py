"""What a posterior of shared shocks says of days and campaigns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from helpers.cities.model import DAY_TYPES, ShockData, _day_log_density, _day_types


@dataclass(frozen=True, eq=False)
class DayPosterior:
    """What the model says of each day.

    Attributes
    ----------
    probability : pandas.DataFrame, shape (n, 4)
        Posterior probability of each type of day, by date.
    shock : array, shape (draws, n)
        Shared shock: walk, event and what the day shares, in the first city's sales or log sales.
    """

    probability: pd.DataFrame
    shock: np.ndarray


def day_posterior(posterior: xr.Dataset, data: ShockData) -> DayPosterior:
    r"""Types of days and the shared shock, from the draws of :func:`shared_shock_model`.

    Given a draw, a day's type has a closed-form probability, and the shared part of its residual
    :math:`r_t` the mean :math:`v \lambda^\top \Sigma^{-1} r_t` for the shared variance :math:`v`
    of that type.

    Parameters
    ----------
    posterior : xarray.Dataset
        Posterior draws with dimensions chain and draw.
    data : ShockData
        The data that the model was built on.

    Returns
    -------
    DayPosterior
        Probabilities by date, and draws of the shock's conditional mean.
    """
    draws = posterior.stack(sample=("chain", "draw")).transpose("sample", ...)
    probability, shock = np.zeros((len(data.dates), len(DAY_TYPES))), []
    # In slices: the arrays of all draws, days and types together would not fit a small machine.
    for part in np.array_split(np.arange(draws.sizes["sample"]), 8):
        p, s = _day_slice(draws.isel(sample=part), data)
        probability += p.sum(axis=1).T
        shock.append(s)
    return DayPosterior(
        probability=pd.DataFrame(
            probability / draws.sizes["sample"], index=data.dates, columns=list(DAY_TYPES)
        ),
        shock=np.concatenate(shock) * data.spread[0],
    )


def _day_slice(draws, data):
    """Type probabilities (type, sample, day) and conditional mean shock (sample, day)."""
    residual = draws["residual"].to_numpy()
    loading = draws["loading"].to_numpy()
    types = _day_types(
        *(draws[name].to_numpy() for name in ("day_sd", "noise_sd", "spike_sd", "own_spike_sd"))
    )
    log_density, share = [], []
    for variances in types:
        shared, own_a, own_b = (np.broadcast_to(v, loading.shape)[:, None] for v in variances)
        slope = loading[:, None]
        log_density.append(
            _day_log_density(residual, shared, own_a, own_b, slope, xp=np),
        )
        # Precision-weighted mean of the two residuals, shrunk by the shared variance.
        weight_a, weight_b = 1 / own_a, slope / own_b
        total = 1 / shared + weight_a + slope * weight_b
        share.append((weight_a * residual[..., 0] + weight_b * residual[..., 1]) / total)
    log_p = np.stack(log_density) + np.log(draws["rate"].to_numpy()).T[:, :, None]
    p = np.exp(log_p - log_p.max(axis=0))
    p /= p.sum(axis=0)
    walk = draws["walk"].to_numpy() @ data.arrays["modes"].T
    shock = walk + (p * np.stack(share)).sum(axis=0)
    if data.events:
        shock = shock + draws["event_effect"].to_numpy() @ data.arrays["event"].T
    return p, shock


def lift_draws(posterior: xr.Dataset, data: ShockData, campaign: str = "ads") -> np.ndarray:
    """Posterior draws of a campaign's lift on a day with ads.

    Parameters
    ----------
    posterior : xarray.Dataset
        Posterior draws with dimensions chain and draw.
    data : ShockData
        The data that the model was built on.
    campaign : str
        "ads", or "planted" for a planted lift.

    Returns
    -------
    array, shape (draws, 2)
        By city: sales a day (scale "level"), or share of that day's sales (scale "log"), at
        ``ad_unit`` of ads.
    """
    # By position: labels are those of the first data set that the model was compiled for.
    lift = posterior["lift"].isel(campaign=data.campaigns.index(campaign))
    lift = lift.stack(sample=("chain", "draw")).transpose("sample", "city").to_numpy()
    lift = lift * data.spread
    return np.expm1(lift) if data.scale == "log" else lift
