"""Fit the media-mix model again and again: one compilation, other data each time."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import nutpie
import pandas as pd
import pymc as pm
import pymc.dims as pmd
import xarray as xr

from helpers.inference.sampling import compile_for_nutpie
from helpers.media.draws import MixDraws, in_table_units
from helpers.media.load import MediaData
from helpers.media.model import PARAMETERS, build_media_mix

#: A lift test with this standard error says nothing: there was none.
NO_TEST = 1e6


def refit_model(
    data: MediaData,
    arrays: Mapping[str, np.ndarray],
    model_config: Mapping[str, Any],
    *,
    l_max: int,
    yearly_modes: int,
) -> pm.Model:
    """The case study's model with lift tests; all that differs between refits is data.

    Parameters
    ----------
    data, arrays, model_config, l_max, yearly_modes : object
        From :meth:`Refits.widened` and :meth:`Refits.arrays`; priors but ``saturation_beta``'s;
        the others as for :func:`helpers.media.model.build_media_mix`.

    Returns
    -------
    pymc.Model
        With the data ``prior_scale`` and ``lift_...`` beside those of the case study.
    """

    class ScaledHalfNormal:
        """Half-normal prior whose scale is data."""

        dims = ("channel",)

        def create_variable(self, name, xdist=False):
            """Called by PyMC-Marketing when it builds the curve."""
            unit = pmd.HalfNormal(f"{name}_unit", sigma=1.0, dims="channel")
            scale = pmd.Data("prior_scale", arrays["prior_scale"], dims="channel")
            return pmd.Deterministic(name, scale * unit)

    priors = {**model_config, "saturation_beta": ScaledHalfNormal()}
    mmm = build_media_mix(data, priors, l_max=l_max, yearly_modes=yearly_modes)
    with mmm.model as model:
        names = [name for name in arrays if name.startswith("lift_")]
        lift = {name: pmd.Data(name, arrays[name], dims="channel") for name in names}
        curve = {"lam": model["saturation_lam"], "beta": model["saturation_beta"]}
        before = mmm.saturation.function(lift["lift_from"], **curve)
        after = mmm.saturation.function(lift["lift_to"], **curve)
        # What `MMM.add_lift_test_measurements` adds, with the tests as data.
        pmd.Normal("lift", mu=after - before, sigma=lift["lift_sd"], observed=lift["lift_gain"])
    return model


def slow_waves(n: int, *, modes: int, length: float, sd: float) -> np.ndarray:
    """Waves of a squared-exponential Gaussian process :cite:p:`riutort2023practical`.

    Parameters
    ----------
    n, modes, length, sd : int and float
        Periods; waves, at least 1; length scale in periods; standard deviation in the model's unit.

    Returns
    -------
    array, shape (n, modes)
        Waves for coefficients Normal(0, 1), each centred: the intercept keeps the level.

    Examples
    --------
    >>> waves = slow_waves(200, modes=20, length=10.0, sd=0.5)
    >>> round(float(np.sqrt((waves**2).sum(axis=1).mean())), 2)
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
    """One posterior: draws in the model's units and in the table's, the data, the prior scales."""

    idata: xr.DataTree
    draws: MixDraws
    data: MediaData
    prior_scale: np.ndarray

    def totals(self, n: int = 1000) -> np.ndarray:
        """Contribution over all periods, (draws, channels + 1), the placebo last."""
        return self.draws.thinned(n).media(self.data).sum(axis=1)


class Refits:
    """The media-mix model with places for a placebo, a drift and lift tests, compiled once.

    Parameters
    ----------
    data, model_config : MediaData and mapping
        Data whose channels and controls are those of every refit, and priors as PyMC-Marketing
        names them, without ``saturation_beta``: it is half-normal, and its scale is data.
    l_max, yearly_modes, drift_modes : int
        Periods that a unit of spend works, and waves of the season and of the baseline's drift.
    """

    def __init__(
        self,
        data: MediaData,
        model_config: Mapping[str, Any],
        *,
        l_max: int = 6,
        yearly_modes: int = 5,
        drift_modes: int = 0,
    ):
        self.l_max, self.drift_modes = l_max, drift_modes
        wide = self.widened(data)
        sizes = {"l_max": l_max, "yearly_modes": yearly_modes}
        self.model = refit_model(wide, self.arrays(wide), model_config, **sizes)
        names = self.model.named_vars  # without a season there are no waves
        self._compiled = compile_for_nutpie(self.model, names=[n for n in PARAMETERS if n in names])
        self._used = {variable.name for variable in self._compiled.shared_var_keys}
        gc.collect()
        gc.freeze()  # a compiled model is too large to be looked through after every fit

    def widened(
        self,
        data: MediaData,
        *,
        placebo: np.ndarray | None = None,
        basis: np.ndarray | None = None,
    ) -> MediaData:
        """Data with spend of a placebo and waves of a drift (periods, modes), 0 unless given."""
        mark = "'" * max(len(name) for name in data.frame)  # longer than a column's name
        waves = [f"drift {j}{mark}" for j in range(1, self.drift_modes + 1)]
        extra = pd.DataFrame(0.0 if basis is None else basis, index=data.frame.index, columns=waves)
        extra[empty := f"placebo{mark}"] = 0.0 if placebo is None else placebo
        return replace(
            data,
            frame=pd.concat([data.frame, extra], axis=1),
            channels=[*data.channels, empty],
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

        ``prior_scale`` is in shares of the largest target, the placebo's last. ``tests`` are in the
        table's units, ``delta_y`` *a period* once carry-over is complete; ``unit`` are sales of 1.
        """
        largest = wide.spend.max(axis=0)
        largest[largest == 0] = 1.0  # a channel without spend
        top = float(wide.y.max() if unit is None else unit)
        scale = wide.shares if prior_scale is None else np.array(prior_scale, float)
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
        placebo: np.ndarray | None = None,
        basis: np.ndarray | None = None,
        prior_scale: np.ndarray | None = None,
        tests: pd.DataFrame | None = None,
        unit: float | None = None,
        target_accept: float = 0.9,
        **sizes: int,
    ) -> Refit:
        """Posterior with other data, as `widened` and `arrays` take them; ``sizes`` as nutpie."""
        wide = self.widened(data, placebo=placebo, basis=basis)
        arrays = self.arrays(wide, prior_scale=prior_scale, tests=tests, unit=unit)
        idata = nutpie.sample(
            self._compiled.with_data(**{k: v for k, v in arrays.items() if k in self._used}),
            target_accept=target_accept,
            adaptation="low_rank",  # height and saturation go together
            save_warmup=False,
            progress_bar=False,
            **sizes,
        )
        scales = arrays["target_scale"], arrays["channel_scale"]
        in_table = in_table_units(idata["posterior"].to_dataset(), *scales, l_max=self.l_max)
        return Refit(idata, in_table, wide, arrays["prior_scale"])
