"""The media-mix model on PyMC-Marketing: fit, draws in money, forecasts and spending plans.

Whatever has been fitted is then computed from the draws in NumPy: no graph is compiled for it, and
every quantity is in the units of the reader's table.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import nutpie
import pymc as pm
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

# Each prior needs its own dims: without them one coefficient would serve all controls.
_DIMS = {
    "adstock_alpha": ("channel",),
    "saturation_lam": ("channel",),
    "saturation_beta": ("channel",),
    "gamma_control": ("control",),
    "gamma_fourier": ("fourier_mode",),
}


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
    data : MediaData
        Data to fit.
    model_config : mapping
        Priors by the names that PyMC-Marketing gives them.
    l_max : int
        Periods that a unit of spend works.
    yearly_modes : int
        Waves of the yearly season; 0 for none.

    Returns
    -------
    pymc_marketing.mmm.MMM
        The built model, ready to be sampled.

    Raises
    ------
    ValueError
        If a prior lacks the dims of its variable: one coefficient would then serve them all.
    """
    config = dict(model_config)
    if not data.controls:
        config.pop("gamma_control", None)
    for name, dims in _DIMS.items():
        prior = config.get(name)
        given = getattr(prior, "dims", None)
        given = (given,) if isinstance(given, str) else given
        if prior is not None and given != dims:
            raise ValueError(f'{name}: give its prior dims="{dims[0]}", or one value serves all')
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


def spend_share_prior(data: MediaData, *, scale: float = 1.0) -> Prior:
    """Half-normal prior of the largest contribution, as wide as a channel's share of spend.

    Parameters
    ----------
    data : MediaData
        Data to fit.
    scale : float
        Width of the prior of a channel that takes all spend, in units of the largest sales.

    Returns
    -------
    pymc_extras.prior.Prior
        For ``saturation_beta``.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"tv": [3.0, 3.0], "radio": [1.0, 1.0]})
    >>> prior = spend_share_prior(MediaData(frame, "sales", ["tv", "radio"], []))
    >>> prior.parameters["sigma"].to_numpy().tolist()
    [0.75, 0.25]
    """
    total = data.spend.sum(axis=0)
    share = xr.DataArray(
        scale * total / total.sum(), dims="channel", coords={"channel": data.channels}
    )
    return Prior("HalfNormal", sigma=share, dims="channel")


def sample_prior(mmm: MMM, *, draws: int, seed: int) -> xr.DataTree:
    """Draw the parameters from their priors, in silence.

    Parameters
    ----------
    mmm : pymc_marketing.mmm.MMM
        As :func:`build_media_mix` returns it.
    draws : int
        Number of draws.
    seed : int
        Seed of the draws.

    Returns
    -------
    xarray.DataTree
        Group ``prior``; also kept as ``mmm.idata``.
    """
    logging.getLogger("pymc").setLevel(logging.WARNING)
    drawn = pm.sample_prior_predictive(
        draws,
        model=mmm.model,
        var_names=[variable.name for variable in mmm.model.free_RVs],
        random_seed=seed,
        compile_kwargs={"mode": "FAST_COMPILE"},  # in Python: compiling would take longer
    )
    mmm.idata = xr.DataTree.from_dict({"prior": drawn["prior"].to_dataset()})
    return mmm.idata


def fit_media_mix(
    mmm: MMM, *, draws: int, tune: int, chains: int, seed: int, target_accept: float = 0.95
) -> xr.DataTree:
    """Draw the parameters only: the contributions of all weeks would take hundreds of megabytes.

    Parameters
    ----------
    mmm : pymc_marketing.mmm.MMM
        As :func:`build_media_mix` returns it.
    draws, tune, chains : int
        Kept draws a chain, tuning draws a chain, number of chains.
    seed : int
        Seed of the sampler.
    target_accept : float
        Target acceptance rate, in (0, 1).

    Returns
    -------
    xarray.DataTree
        Groups ``posterior`` and ``sample_stats``; also kept as ``mmm.idata``.
    """
    model = freeze_dims_and_data(mmm.model)
    idata = sampling.sample(
        model,
        draws=draws,
        tune=tune,
        chains=chains,
        seed=seed,
        target_accept=target_accept,
        var_names=[variable.name for variable in mmm.model.free_RVs],
        backend="numba",  # JAX samples this model ten times slower
    )
    mmm.idata = idata
    return idata


def fit_media_mixes(
    datasets: Iterable[MediaData],
    model_config: Mapping[str, Any],
    *,
    draws: int,
    tune: int,
    chains: int,
    seed: int,
    target_accept: float = 0.95,
    **options: int,
) -> Iterator[MMM]:
    """Fit one model to data sets of one shape, compiled once.

    Parameters
    ----------
    datasets : iterable of MediaData
        With as many periods, channels and controls as the first.
    model_config : mapping
        Priors, the same for all data sets.
    draws, tune, chains : int
        Kept draws a chain, tuning draws a chain, number of chains.
    seed : int
        Seed; each data set gets its own stream.
    target_accept : float
        Target acceptance rate, in (0, 1).
    **options : int
        As :func:`build_media_mix` takes them.

    Yields
    ------
    pymc_marketing.mmm.MMM
        Fitted, with the draws in ``idata``.
    """
    compiled = None
    for i, data in enumerate(datasets):
        mmm = build_media_mix(data, model_config, **options)
        if compiled is None:
            names = [variable.name for variable in mmm.model.free_RVs]
            compiled = nutpie.compile_pymc_model(mmm.model, var_names=names)
            used = {variable.name for variable in compiled.shared_var_keys}
        values = {name: mmm.model[name].get_value() for name in used}
        mmm.idata = nutpie.sample(
            compiled.with_data(**values),
            draws=draws,
            tune=tune,
            chains=chains,
            seed=int(np.random.SeedSequence([seed, i]).generate_state(1)[0]),
            target_accept=target_accept,
            save_warmup=False,
            progress_bar=False,
        )
        yield mmm
