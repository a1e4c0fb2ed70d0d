"""What a posterior of a media mix says in the table's units, in NumPy: no graph is compiled."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
import xarray as xr
from pymc_marketing.mmm import MMM
from scipy.special import log_ndtr, ndtri_exp
from scipy.stats import norm

from helpers.media.load import PERIOD_DAYS, MediaData
from helpers.media.transforms import media_contribution


class Parts(NamedTuple):
    """Components of the mean, (draws, periods), and of media, (draws, periods, channels).

    Media have no names here: a reader's channel may be called ``baseline``.
    """

    media: np.ndarray
    baseline: np.ndarray
    season: np.ndarray
    controls: np.ndarray

    @property
    def location(self) -> np.ndarray:
        """Their sum, the centre of the truncated normal, (draws, periods)."""
        return self.media.sum(axis=-1) + self.baseline + self.season + self.controls


@dataclass(frozen=True)
class MixDraws:
    """Draws of the fitted model's parameters in the units of the table.

    Attributes
    ----------
    alpha, lam, beta, l_max : array, shape (draws, channels), and int
        As :func:`helpers.media.transforms.media_contribution` takes them.
    baseline, noise_sd, controls, waves : array, shape (draws, ...)
        Sales without media, controls and season; scale of the truncated normal; sales a unit of
        each control, and by wave of the year, sines first.
    """

    alpha: np.ndarray
    lam: np.ndarray
    beta: np.ndarray
    baseline: np.ndarray
    controls: np.ndarray
    waves: np.ndarray
    noise_sd: np.ndarray
    l_max: int = 6

    def __len__(self) -> int:
        return len(self.baseline)

    def thinned(self, n: int) -> MixDraws:
        """At most ``n`` draws, evenly over the chains."""
        step = max(1, -(-len(self) // n))
        arrays = (f.name for f in fields(self) if f.name != "l_max")
        return replace(self, **{name: getattr(self, name)[::step] for name in arrays})

    def media(
        self, data: MediaData, history: MediaData | None = None, *, after: bool = False
    ) -> np.ndarray:
        """Contribution in units of the target, (draws, periods, channels), ``history`` included."""
        lags = self.l_max - 1
        nothing = np.zeros((lags if after else 0, data.spend.shape[1]))
        before = np.zeros((0, data.spend.shape[1]))
        if history is not None:
            step = (data.dates[0] - history.dates[-1]).days
            if step != PERIOD_DAYS[data.frequency]:
                raise ValueError(f"history ends {step} days before the data, not one {data.period}")
            before = history.spend[len(history) - lags :]
        return media_contribution(
            np.vstack([before, data.spend, nothing]),
            alpha=self.alpha,
            lam=self.lam,
            beta=self.beta,
            l_max=self.l_max,
        )[:, len(before) :]

    def parts(self, data: MediaData, history: MediaData | None = None) -> Parts:
        """Components of the mean."""
        modes = np.arange(1, self.waves.shape[1] // 2 + 1)
        angle = 2 * np.pi * data.dates.dayofyear.to_numpy()[:, None] / 365.25 * modes
        return Parts(
            media=self.media(data, history),
            baseline=np.repeat(self.baseline[:, None], len(data), axis=1),
            season=self.waves @ np.hstack([np.sin(angle), np.cos(angle)]).T,
            controls=self.controls @ data.frame[data.controls].to_numpy(float).T,
        )

    def expected(self, location: np.ndarray) -> np.ndarray:
        """Mean of the truncated normal: above its centre, for sales are not negative."""
        scale = self.noise_sd[:, None]
        ratio = location / scale
        return location + scale * np.exp(norm.logpdf(ratio) - log_ndtr(ratio))

    def sample(self, location: np.ndarray, *, seed: int) -> np.ndarray:
        """One draw of sales for each draw and period: truncated normal noise around the centre."""
        scale = self.noise_sd[:, None]
        # in logarithms, for prior draws can lie far below zero
        above = log_ndtr(location / scale)
        log_uniform = -np.random.default_rng(seed).standard_exponential(location.shape)
        return np.maximum(location - scale * ndtri_exp(log_uniform + above), 0)


def mix_draws(mmm: MMM, group: str = "posterior") -> MixDraws:
    """Draws of a fitted model in the units of the table.

    Parameters
    ----------
    mmm, group : pymc_marketing.mmm.MMM and str
        A model, and the group of ``mmm.idata``: ``posterior`` or ``prior``.

    Returns
    -------
    MixDraws
        All chains, one after the other.
    """
    scales = (mmm.model[name].get_value() for name in ("target_scale", "channel_scale"))
    return in_table_units(mmm.idata[group].to_dataset(), *scales, l_max=mmm.adstock.l_max)


def in_table_units(
    draws: xr.Dataset, sales: np.ndarray, largest: np.ndarray, *, l_max: int
) -> MixDraws:
    """Draws of the model, whose units are the largest ``sales`` and the ``largest`` spends."""
    draws, sales = draws.stack(sample=("chain", "draw")), float(sales)

    def values(name):
        if name not in draws:
            return np.zeros((draws.sizes["sample"], 0))
        return draws[name].transpose("sample", ...).to_numpy()

    return MixDraws(
        alpha=values("adstock_alpha"),
        lam=values("saturation_lam") / largest,
        beta=sales * values("saturation_beta"),
        baseline=sales * values("intercept_contribution"),
        controls=sales * values("gamma_control"),
        waves=sales * values("gamma_fourier"),
        noise_sd=sales * values("y_sigma"),
        l_max=l_max,
    )
