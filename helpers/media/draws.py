"""What a posterior of a media mix says in the table's units."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from pymc_marketing.mmm import MMM
from scipy.special import log_ndtr, ndtri_exp
from scipy.stats import norm

from helpers.media.load import PERIOD_DAYS, MediaData
from helpers.media.transforms import media_contribution


@dataclass(frozen=True)
class MixDraws:
    """Draws of the fitted model's parameters in the units of the table.

    Attributes
    ----------
    alpha, lam, beta : array, shape (draws, channels)
        As :func:`helpers.media.transforms.media_contribution` takes them.
    baseline : array, shape (draws,)
        Sales without media, controls and season.
    controls : array, shape (draws, controls)
        Sales a unit of each control.
    waves : array, shape (draws, 2 * modes)
        Sales by wave of the year, sines first.
    noise_sd : array, shape (draws,)
        Scale of the truncated normal.
    l_max : int
        Periods that a unit of spend works.
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
        """At most ``n`` draws, evenly over the chains.

        Parameters
        ----------
        n : int
            How many to keep at most.

        Returns
        -------
        MixDraws
            Every k-th draw.
        """
        step = max(1, -(-len(self) // n))
        arrays = (f.name for f in fields(self) if f.name != "l_max")
        return replace(self, **{name: getattr(self, name)[::step] for name in arrays})

    def media(
        self, data: MediaData, history: MediaData | None = None, *, after: bool = False
    ) -> np.ndarray:
        """Contribution of each draw, period and channel.

        Parameters
        ----------
        data : MediaData
            Periods asked for.
        history : MediaData, optional
            Periods just before them, whose spend carries over.
        after : bool
            Whether the periods into which spend carries over are added.

        Returns
        -------
        array, shape (draws, periods, channels)
            In units of the target.

        Raises
        ------
        ValueError
            If ``history`` does not end one period before the data.
        """
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

    def parts(self, data: MediaData, history: MediaData | None = None) -> dict[str, np.ndarray]:
        """Components of the mean by period, each of shape (draws, periods).

        Parameters
        ----------
        data : MediaData
            Periods asked for.
        history : MediaData, optional
            Periods just before them.

        Returns
        -------
        dict of str to array
            The channels by name, then ``baseline``, ``season`` and ``controls``.
        """
        media = self.media(data, history)
        modes = np.arange(1, self.waves.shape[1] // 2 + 1)
        angle = 2 * np.pi * data.dates.dayofyear.to_numpy()[:, None] / 365.25 * modes
        return {
            **{name: media[:, :, c] for c, name in enumerate(data.channels)},
            "baseline": np.repeat(self.baseline[:, None], len(data), axis=1),
            "season": self.waves @ np.hstack([np.sin(angle), np.cos(angle)]).T,
            "controls": self.controls @ data.frame[data.controls].to_numpy(float).T,
        }

    def location(self, data: MediaData, history: MediaData | None = None) -> np.ndarray:
        """Centre of the truncated normal, shape (draws, periods): the sum of all parts.

        Parameters
        ----------
        data : MediaData
            Periods asked for.
        history : MediaData, optional
            Periods just before them.

        Returns
        -------
        array, shape (draws, periods)
            In units of the target.
        """
        return sum(self.parts(data, history).values())

    def expected(self, location: np.ndarray) -> np.ndarray:
        """Mean of the truncated normal: above its centre, for sales are not negative.

        Parameters
        ----------
        location : array, shape (draws, periods)
            As :meth:`location` gives it.

        Returns
        -------
        array, shape (draws, periods)
            In units of the target.
        """
        scale = self.noise_sd[:, None]
        ratio = location / scale
        return location + scale * np.exp(norm.logpdf(ratio) - log_ndtr(ratio))

    def sample(self, location: np.ndarray, *, seed: int) -> np.ndarray:
        """One draw of sales for each draw and period: truncated normal noise around the centre.

        Parameters
        ----------
        location : array, shape (draws, periods)
            As :meth:`location` gives it.
        seed : int
            Seed of the noise.

        Returns
        -------
        array, shape (draws, periods)
            In units of the target.
        """
        scale = self.noise_sd[:, None]
        # in logarithms, for prior draws can lie far below zero
        above = log_ndtr(location / scale)
        log_uniform = -np.random.default_rng(seed).standard_exponential(location.shape)
        return np.maximum(location - scale * ndtri_exp(log_uniform + above), 0)


def mix_draws(mmm: MMM, group: str = "posterior") -> MixDraws:
    """Parameters of a fitted model in the units of the table.

    Parameters
    ----------
    mmm : pymc_marketing.mmm.MMM
        A model with draws in ``mmm.idata``.
    group : str
        Which draws, ``posterior`` or ``prior``.

    Returns
    -------
    MixDraws
        All chains, one after the other.
    """
    draws = mmm.idata[group].to_dataset().stack(sample=("chain", "draw"))
    sales = float(mmm.model["target_scale"].get_value())
    largest = mmm.model["channel_scale"].get_value()

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
        l_max=mmm.adstock.l_max,
    )
