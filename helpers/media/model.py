"""The media-mix model on PyMC-Marketing, its priors and its fit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import xarray as xr
from pymc.model.transform.optimization import freeze_dims_and_data
from pymc_extras.prior import Prior
from pymc_marketing.mmm import MMM, GeometricAdstock, LogisticSaturation

from helpers.inference import sampling
from helpers.media.load import MediaData

#: Free variables of the model, for diagnostics.
PARAMETERS = (
    "intercept_contribution",
    "adstock_alpha",
    "saturation_lam",
    "saturation_beta",
    "gamma_control",
    "gamma_fourier",
    "y_sigma",
)


def build_media_mix(
    data: MediaData,
    model_config: Mapping[str, Any],
    *,
    l_max: int = 6,
    yearly_modes: int = 5,
) -> MMM:
    """The case study's model: geometric adstock, logistic saturation, controls, yearly waves.

    Parameters
    ----------
    data, model_config, l_max, yearly_modes : MediaData, mapping, int and int
        Data to fit; priors, with all dims, by PyMC-Marketing's names; periods that a unit of spend
        works; waves of the yearly season, 0 for none.

    Returns
    -------
    pymc_marketing.mmm.MMM
        The built model, ready to be sampled.
    """
    config = dict(model_config)
    if not data.controls:
        config.pop("gamma_control", None)
    _require_dims(config)
    mmm = MMM(
        model_config=config,
        date_column="date",
        target_column=data.target,
        channel_columns=data.channels,
        control_columns=data.controls or None,
        adstock=GeometricAdstock(l_max=l_max),
        saturation=LogisticSaturation(),
        yearly_seasonality=yearly_modes or None,
    )
    with warnings.catch_warnings():  # a prior of one scale a channel
        warnings.filterwarnings("ignore", message="Implicit conversion of array-like")
        mmm.build_model(data.X, data.y)
    # Before the fit: what is not in the model then stays in units of the largest sales.
    mmm.add_original_scale_contribution_variable(["channel_contribution", "y"])
    return mmm


def _require_dims(config) -> None:
    """Refuse a prior of one number where each channel, control or wave needs its own."""
    alike = dict.fromkeys(("adstock_alpha", "saturation_lam", "saturation_beta"), "channel")
    needed = alike | {"gamma_control": "control", "gamma_fourier": "fourier_mode"}
    for name in needed.keys() & config.keys():
        if getattr(config[name], "dims", None) not in (needed[name], (needed[name],)):
            raise ValueError(
                f'{name}: give its prior dims="{needed[name]}", or one value serves all'
            )


def spend_share_prior(data: MediaData) -> Prior:
    """Half-normal prior of the largest contribution, as wide as a channel's share of spend.

    Parameters
    ----------
    data : MediaData
        Data to fit.

    Returns
    -------
    pymc_extras.prior.Prior
        For ``saturation_beta``.
    """
    share = xr.DataArray(data.shares, dims="channel", coords={"channel": data.channels})
    return Prior("HalfNormal", sigma=share, dims="channel")


def fit_media_mix(mmm: MMM, *, target_accept: float = 0.95, **sizes: int) -> xr.DataTree:
    """Draw the parameters only: the contributions of all weeks would take hundreds of megabytes.

    Parameters
    ----------
    mmm, target_accept, **sizes : pymc_marketing.mmm.MMM, float and int
        A built model; acceptance rate, in (0, 1); draws, tune, chains and seed as for ``sample``.

    Returns
    -------
    xarray.DataTree
        Groups ``posterior`` and ``sample_stats``; also kept as ``mmm.idata``.
    """
    mmm.idata = sampling.sample(
        freeze_dims_and_data(mmm.model),
        target_accept=target_accept,
        **sizes,
        var_names=[variable.name for variable in mmm.model.free_RVs],
        backend="numba",  # JAX samples this model ten times slower
    )
    return mmm.idata
