"""Fit the media-mix model again and again: one compilation, other data each time."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import nutpie
import pandas as pd
import pymc.dims as pmd
import xarray as xr

from helpers.media.draws import MixDraws
from helpers.media.load import MediaData
from helpers.media.model import PARAMETERS, build_media_mix
from helpers.media.transforms import media_contribution

#: A lift test with this standard error says nothing: there was none.
NO_TEST = 1e6


def spend_shares(spend: np.ndarray) -> np.ndarray:
    """Each channel's share of all spend, the case study's prior scale of its contribution.

    Parameters
    ----------
    spend : array, shape (periods, channels)
        Spend.

    Returns
    -------
    array, shape (channels,)
        Shares that add up to 1.

    Examples
    --------
    >>> spend_shares(np.array([[1.0, 2.0], [0.0, 1.0]])).tolist()
    [0.25, 0.75]
    """
    total = spend.sum(axis=0)
    return total / total.sum()


def return_scale(
    spend: np.ndarray, target: np.ndarray, *, mean_return: float, l_max: int = 6
) -> np.ndarray:
    """Prior scale of a channel's contribution that gives its return a mean of one's choice.

    The return is taken at the middle of the priors of adstock and saturation.

    Parameters
    ----------
    spend : array, shape (periods, channels)
        Spend.
    target : array, shape (periods,)
        Sales; the model's unit is their maximum.
    mean_return : float
        Prior mean of the return on a unit of spend, positive.
    l_max : int
        Periods that a unit of spend works.

    Returns
    -------
    array, shape (channels,)
        Scales of half-normal priors, in the model's unit.

    Examples
    --------
    >>> spend = np.tile([[1.0, 3.0]], (50, 1))
    >>> return_scale(spend, np.array([0.0, 100.0]), mean_return=2.0).round(3).tolist()
    [0.028, 0.083]
    """
    largest = np.where(spend.max(axis=0) > 0, spend.max(axis=0), 1.0)
    k = spend.shape[1]
    shape = media_contribution(
        spend / largest, alpha=np.full(k, 0.25), lam=np.full(k, 3.0), beta=np.ones(k), l_max=l_max
    )
    sigma = mean_return * np.sqrt(np.pi / 2)  # a half-normal's mean is sigma sqrt(2 / pi)
    return sigma * spend.sum(axis=0) / np.maximum(shape.sum(axis=0), 1e-12) / target.max()


def drift_basis(n: int, *, modes: int, length: float, sd: float) -> np.ndarray:
    r"""Waves of a slow Gaussian process by its Hilbert-space approximation.

    With coefficients :math:`\text{Normal}(0, 1)` their sum has a squared-exponential covariance
    with standard deviation ``sd`` and length scale ``length``.

    Parameters
    ----------
    n : int
        Periods.
    modes : int
        Number of waves, at least 1.
    length : float
        Length scale, in periods.
    sd : float
        Standard deviation of the process, in the model's unit.

    Returns
    -------
    array, shape (n, modes)
        Waves, each centred: the intercept keeps the level.

    References
    ----------
    :cite:`riutort2023practical`

    Examples
    --------
    >>> basis = drift_basis(200, modes=20, length=10.0, sd=0.5)
    >>> round(float(np.sqrt((basis**2).sum(axis=1).mean())), 2)
    0.46
    """
    half = 0.75 * n  # the interval is half as long again as the data
    at = np.arange(n) - (n - 1) / 2
    frequency = np.pi * np.arange(1, modes + 1) / (2 * half)
    waves = np.sin(np.outer(at + half, frequency)) / np.sqrt(half)
    density = sd**2 * np.sqrt(2 * np.pi) * length * np.exp(-((length * frequency) ** 2) / 2)
    basis = waves * np.sqrt(density)
    return basis - basis.mean(axis=0)


@dataclass(frozen=True)
class Refit:
    """One posterior.

    Attributes
    ----------
    idata : xarray.DataTree
        Groups ``posterior`` and ``sample_stats``, in the model's units.
    draws : MixDraws
        The same draws in the units of the table.
    data : MediaData
        The data with the columns that :meth:`Refits.widened` adds.
    prior_scale : array, shape (channels + 1,)
        Scales of the half-normal priors.
    """

    idata: xr.DataTree
    draws: MixDraws
    data: MediaData
    prior_scale: np.ndarray

    def totals(self, n: int = 1000) -> np.ndarray:
        """Contribution of each channel over all periods.

        Parameters
        ----------
        n : int
            Largest number of draws, evenly thinned.

        Returns
        -------
        array, shape (draws, channels + 1)
            In units of the target, the placebo last.
        """
        return self.draws.thinned(n).media(self.data).sum(axis=1)


class Refits:
    """The media-mix model with places for a placebo, a drift and lift tests, compiled once.

    Parameters
    ----------
    data : MediaData
        Its channels and controls are those of every refit; the number of periods may differ.
    model_config : mapping
        Priors by the names that PyMC-Marketing gives them, that of ``saturation_beta`` left out:
        it is half-normal, and its scale is data.
    l_max : int
        Periods that a unit of spend works.
    yearly_modes : int
        Waves of the yearly season.
    drift_modes : int
        Waves of the baseline's drift, with the prior of ``gamma_control``.

    Attributes
    ----------
    model : pymc.Model
        What is compiled; its data are those given here.
    """

    def __init__(
        self,
        data: MediaData,
        model_config: Mapping[str, Any],
        *,
        l_max: int = 6,
        yearly_modes: int = 5,
        drift_modes: int,
    ):
        self.l_max, self.drift_modes = l_max, drift_modes
        wide = self.widened(data)
        model = _model(wide, self.arrays(wide), model_config, l_max, yearly_modes)
        compiled = nutpie.compile_pymc_model(model, backend="numba", var_names=PARAMETERS)
        used = {variable.name for variable in compiled.shared_var_keys}
        self.model, self._compiled, self._used = model, compiled, used
        gc.collect()
        gc.freeze()  # a compiled model is too large to be looked through after every fit

    def widened(
        self,
        data: MediaData,
        *,
        placebo: np.ndarray | None = None,
        basis: np.ndarray | None = None,
    ) -> MediaData:
        """Data with a column for the placebo and columns for the drift, zero unless given.

        Parameters
        ----------
        data : MediaData
            Spend and sales.
        placebo : array, shape (periods,), optional
            Spend of a channel that cannot work.
        basis : array, shape (periods, modes), optional
            Waves of the baseline's drift, see :func:`drift_basis`.

        Returns
        -------
        MediaData
            The same periods.
        """
        waves = [f"drift {j}" for j in range(1, self.drift_modes + 1)]
        extra = pd.DataFrame(0.0 if basis is None else basis, index=data.frame.index, columns=waves)
        frame = data.frame.assign(placebo=0.0 if placebo is None else placebo)
        return replace(
            data,
            frame=pd.concat([frame, extra], axis=1),
            channels=[*data.channels, "placebo"],
            controls=[*data.controls, *waves],
        )

    def arrays(
        self,
        wide: MediaData,
        *,
        prior_scale: np.ndarray | None = None,
        tests: pd.DataFrame | None = None,
        unit: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Data of one fit by the names that the compiled model gives them.

        Parameters
        ----------
        wide : MediaData
            What :meth:`widened` gives.
        prior_scale : array, shape (channels,), optional
            Scale of the prior of each contribution in units of the largest target, the placebo's
            last; the shares of spend without it.
        tests : pandas.DataFrame, optional
            Lift tests, at most one a channel, in the units of the table: ``channel``, spend a
            period before ``x`` and added ``delta_x``, target added *a period* once carry-over is
            complete ``delta_y``, its standard error ``sigma``.
        unit : float, optional
            Sales that count as 1 in the model; the largest without it.

        Returns
        -------
        dict of str to array
            Arrays by name.

        Raises
        ------
        ValueError
            If a test names an unknown channel, or a channel has two.
        """
        largest = np.where(wide.spend.max(axis=0) > 0, wide.spend.max(axis=0), 1.0)
        top = float(wide.y.max() if unit is None else unit)
        scale = spend_shares(wide.spend) if prior_scale is None else np.array(prior_scale, float)
        scale[scale == 0] = scale[scale > 0].mean()  # an empty place needs a prior, too
        lift = {f"lift_{name}": np.zeros(largest.size) for name in ("from", "to", "gain")}
        lift["lift_sd"] = np.full(largest.size, NO_TEST)
        for test in () if tests is None else tests.itertuples():
            if test.channel not in wide.channels:
                raise ValueError(f"{test.channel}: no channel of this name; one of {wide.channels}")
            c = wide.channels.index(test.channel)
            if lift["lift_sd"][c] != NO_TEST:
                raise ValueError(f"{test.channel}: two tests; pool them into one")
            lift["lift_from"][c] = test.x / largest[c]
            lift["lift_to"][c] = (test.x + test.delta_x) / largest[c]
            lift["lift_gain"][c] = test.delta_y / top
            lift["lift_sd"][c] = test.sigma / top
        return lift | {
            "channel_data": wide.spend,
            "channel_scale": largest,
            "target_data": wide.y.to_numpy(float),
            "target_scale": np.asarray(top),
            "control_data": wide.frame[wide.controls].to_numpy(float),
            "dayofyear": wide.dates.dayofyear.to_numpy(),
            "prior_scale": scale,
        }

    def fit(
        self,
        data: MediaData,
        *,
        draws: int,
        tune: int,
        chains: int,
        seed: int,
        target_accept: float = 0.9,
        placebo: np.ndarray | None = None,
        basis: np.ndarray | None = None,
        prior_scale: np.ndarray | None = None,
        tests: pd.DataFrame | None = None,
        unit: float | None = None,
    ) -> Refit:
        """Posterior with other data.

        Parameters
        ----------
        data : MediaData
            Spend and sales.
        draws, tune, chains : int
            Kept draws a chain, tuning draws a chain, number of chains.
        seed : int
            Seed of the sampler.
        target_accept : float
            Target acceptance rate, in (0, 1).
        placebo, basis : array, optional
            As for :meth:`widened`.
        prior_scale, tests, unit : optional
            As for :meth:`arrays`.

        Returns
        -------
        Refit
            Draws, in the model's units and in those of the table.
        """
        wide = self.widened(data, placebo=placebo, basis=basis)
        arrays = self.arrays(wide, prior_scale=prior_scale, tests=tests, unit=unit)
        idata = nutpie.sample(
            self._compiled.with_data(**{k: v for k, v in arrays.items() if k in self._used}),
            draws=draws,
            tune=tune,
            chains=chains,
            seed=seed,
            target_accept=target_accept,
            save_warmup=False,
            progress_bar=False,
        )
        return Refit(idata, _in_table_units(idata, arrays, self.l_max), wide, arrays["prior_scale"])


def _in_table_units(idata, arrays, l_max):
    posterior = idata["posterior"].to_dataset()
    top = float(arrays["target_scale"])
    v = {
        name: posterior[name].to_numpy().reshape(-1, *posterior[name].shape[2:])
        for name in PARAMETERS
        if name in posterior
    }
    return MixDraws(
        alpha=v["adstock_alpha"],
        lam=v["saturation_lam"] / arrays["channel_scale"],
        beta=top * v["saturation_beta"],
        baseline=top * v["intercept_contribution"],
        controls=top * v["gamma_control"],
        waves=top * v.get("gamma_fourier", np.zeros((len(v["y_sigma"]), 0))),
        noise_sd=top * v["y_sigma"],
        l_max=l_max,
    )


def _model(wide, arrays, model_config, l_max, yearly_modes):
    """Chapter 7's model; all that differs between refits is data."""

    class ScaledHalfNormal:
        """Half-normal prior whose scale is data."""

        dims = ("channel",)

        def create_variable(self, name, xdist=False):
            unit = pmd.HalfNormal(f"{name}_unit", sigma=1.0, dims="channel")
            scale = pmd.Data("prior_scale", arrays["prior_scale"], dims="channel")
            return pmd.Deterministic(name, scale * unit)

    config = {**model_config, "saturation_beta": ScaledHalfNormal()}
    mmm = build_media_mix(wide, config, l_max=l_max, yearly_modes=yearly_modes)
    with mmm.model as model:
        lift = {
            name: pmd.Data(name, arrays[name], dims="channel")
            for name in arrays
            if name.startswith("lift_")
        }
        before, after = (
            mmm.saturation.function(
                lift[at], lam=model["saturation_lam"], beta=model["saturation_beta"]
            )
            for at in ("lift_from", "lift_to")
        )
        # What `MMM.add_lift_test_measurements` adds, with the tests as data.
        pmd.Normal("lift", mu=after - before, sigma=lift["lift_sd"], observed=lift["lift_gain"])
    return model
