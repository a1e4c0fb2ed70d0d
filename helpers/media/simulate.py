"""Media mixes whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import numpy as np
import pandas as pd
from dateutil.relativedelta import MO, SU, TH, TU
from pandas.tseries.holiday import Holiday
from pandas.tseries.offsets import DateOffset, Day, Easter
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from helpers.data.simulation import Simulation, persistent
from helpers.media.transforms import adstock, media_contribution, saturated

_Positive = Annotated[float, Field(gt=0)]
_Spread = Annotated[float, Field(ge=0)]
_Share = Annotated[float, Field(ge=0, lt=1)]

_SOURCE_CHANNELS = {
    "mdsp_dm": "Direct Mail",
    "mdsp_inst": "Insert",
    "mdsp_nsp": "Newspaper",
    "mdsp_on": "Online Display",
    "mdsp_audtr": "Radio",
    "mdsp_so": "Social Media",
    "mdsp_vidtr": "TV",
}


@dataclass(frozen=True)
class MediaTruth:
    """Truth of :func:`simulate_media_mix`.

    Attributes
    ----------
    roas, alpha, lam, spend, trend, spend_sd, season_pull : tuple of float
        By channel, in the order of their names.
    confounding : float
        By how much log spend rises with one standard deviation of demand that no column shows.
    baseline, season, holiday, demand_sd, demand_memory, noise_sd : float, or tuple for season
        What else makes sales.
    """

    roas: tuple[float, ...] = (1.5, 3.0, 2.0, 4.0, 3.0, 3.0, 4.0)  # average returns
    alpha: tuple[float, ...] = (0.3, 0.2, 0.4, 0.3, 0.2, 0.4, 0.5)  # retention, in [0, 1)
    lam: tuple[float, ...] = (4.0, 2.5, 4.0, 2.5, 3.0, 3.0, 3.0)  # saturation, by largest spend
    spend: tuple[float, ...] = (8.0e5, 7.5e4, 2.0e5, 2.0e5, 1.2e5, 9.0e4, 1.5e5)  # middle, a week
    trend: tuple[float, ...] = (-0.25, -0.35, -0.5, 0.08, 0.0, 0.4, -0.3)  # of log spend, a year
    spend_sd: tuple[float, ...] = (0.5, 0.5, 0.6, 0.5, 0.5, 0.5, 0.6)  # of log spend
    season_pull: tuple[float, ...] = (0.0, 0.4, 0.2, 0.4, 0.2, 0.2, 0.4)  # as next, by season
    confounding: float = 0.3
    baseline: float = 9.5e7  # sales a week without media, season and holidays
    season: tuple[float, ...] = (-8e6, 1.6e7, 2e6, 1.2e7)  # sine and cosine, two a mode
    holiday: float = 2.0e8  # sales that a holiday adds at most; each has its own share
    demand_sd: float = 1.0e7  # of demand that no column shows,
    demand_memory: float = 0.8  # and its weekly autocorrelation
    noise_sd: float = 1.5e7


def simulate_media_mix(
    n_weeks: int = 209, *, seed: int, truth: MediaTruth | None = None
) -> Simulation:
    """A twin of the case study with known contributions :cite:p:`jin2017bayesian`.

    Parameters
    ----------
    n_weeks, seed, truth : int, int and MediaTruth
        Weeks from 2014-08-03 on, what all randomness derives from, and the market's truth.

    Returns
    -------
    Simulation
        ``truth`` holds ``names`` and, in units of money, ``lam`` and ``beta``; ``expected``, by
        week: ``contribution``, ``baseline``, ``season``, ``holidays``, ``demand`` and ``sales``.
    """
    truth = truth or MediaTruth()
    streams = np.random.SeedSequence(seed).spawn(3)
    spend_rng, demand_rng, noise_rng = map(np.random.default_rng, streams)
    dates = pd.date_range("2014-08-03", periods=n_weeks, freq="7D")
    names = list(_SOURCE_CHANNELS.values())
    years = np.arange(n_weeks) / 52.18

    demand = persistent(demand_rng.standard_normal((n_weeks, 1)), truth.demand_memory)[:, 0]
    own = persistent(spend_rng.standard_normal((n_weeks, len(names))), 0.3)
    angle = 2 * np.pi * dates.dayofyear.to_numpy()[:, None] / 365.25
    modes = np.arange(1, len(truth.season) // 2 + 1)
    waves = np.stack([np.sin(angle * modes), np.cos(angle * modes)], axis=-1)
    season = waves.reshape(n_weeks, -1) @ np.asarray(truth.season)
    pulled = np.outer(season / max(season.std(), 1e-12), truth.season_pull)
    pulled += truth.confounding * demand[:, None]
    middle = np.log(truth.spend) + np.outer(years - years.mean(), truth.trend)
    spend = np.exp(middle + pulled + own * truth.spend_sd).round(2)

    lam = np.asarray(truth.lam) / spend.max(axis=0)
    shape = media_contribution(spend, alpha=truth.alpha, lam=lam, beta=np.ones(len(names)))
    beta = np.asarray(truth.roas) * spend.sum(axis=0) / shape.sum(axis=0)

    holidays = pd.DataFrame({name: _holiday(dates, *rule) for name, (rule, _) in _HOLIDAYS.items()})
    sizes = truth.holiday * np.array([size for _, size in _HOLIDAYS.values()])
    expected = {
        "contribution": beta * shape,
        "baseline": np.full(n_weeks, truth.baseline),
        "season": season,
        "holidays": holidays.to_numpy() @ sizes,
        "demand": truth.demand_sd * demand,
    }
    expected["sales"] = sum(part.reshape(n_weeks, -1).sum(axis=1) for part in expected.values())
    sales = expected["sales"] + truth.noise_sd * noise_rng.standard_normal(n_weeks)
    data = pd.concat(
        [
            pd.DataFrame({"date": dates, "sales": np.maximum(sales, 1.0).round(2)}),
            pd.DataFrame(spend, columns=names),
            holidays,
        ],
        axis=1,
    )
    known = asdict(truth) | {"names": names, "alpha": np.asarray(truth.alpha)}
    return Simulation(data, known | {"lam": lam, "beta": beta}, expected)


def _weekday(day) -> DateOffset:
    return DateOffset(weekday=day)


_THANKSGIVING = 11, 1, _weekday(TH(4))

#: Month, day and what moves it, then the size as a share of `MediaTruth.holiday`: the first of
#: two in one week carries both.
_HOLIDAYS: dict[str, tuple[tuple, float]] = {
    "Black Friday": ((*_THANKSGIVING, Day(1)), 1.0),
    "Christmas Day": ((12, 25), 0.5),
    "Christmas Eve": ((12, 24), 0.3),
    "Columbus Day": ((10, 1, _weekday(MO(2))), 0.05),
    "Cyber Monday": ((*_THANKSGIVING, Day(4)), 0.8),
    "Day after Christmas": ((12, 26), 0.0),
    "Easter": ((1, 1, Easter()), 0.05),
    "Father's Day": ((6, 1, _weekday(SU(3))), 0.1),
    "Green Monday": ((12, 1, _weekday(MO(2))), 0.4),
    "July 4th": ((7, 4), 0.05),
    "Labor Day": ((9, 1, _weekday(MO(1))), 0.0),
    "MLK": ((1, 1, _weekday(MO(3))), 0.0),
    "Memorial Day": ((5, 31, _weekday(MO(-1))), 0.05),
    "Mother's Day": ((5, 1, _weekday(SU(2))), 0.15),
    "NYE": ((12, 31), 0.1),
    "New Year's Day": ((1, 1), 0.1),
    "Pre Thanksgiving": ((*_THANKSGIVING, Day(-1)), 0.0),
    "Presidents Day": ((2, 1, _weekday(MO(3))), 0.05),
    "Prime Day": ((7, 1, _weekday(TU(2))), 0.0),
    "Thanksgiving": (_THANKSGIVING, 0.0),
    "Valentine's Day": ((2, 14), 0.1),
    "Veterans Day": ((11, 11), 0.05),
}


def _holiday(weeks: pd.DatetimeIndex, month: int, day: int, *moves) -> np.ndarray:
    """1 in each week, named by its first day, that holds the holiday."""
    rule = Holiday("", month=month, day=day, offset=list(moves) or None)
    days = rule.dates(weeks[0], weeks[-1] + Day(6))
    return np.bincount(weeks.searchsorted(days, side="right") - 1, minlength=len(weeks))


@dataclass(frozen=True)
class MarketsTruth:
    """What the simulator assumes; money in thousand EUR, sales in thousand units, a week a row.

    Attributes
    ----------
    channels, effect, effect_sd, carry_over, steepness, spend : tuple
        By channel.
    correlation, max_lag, level, level_sd, on_air, noise : float, or int for the lag
        What all channels share, and what else makes sales.
    """

    channels: tuple[str, ...] = ("tv", "radio", "online")
    effect: tuple[_Positive, ...] = (30.0, 20.0, 25.0)  # most sales a week, median over markets
    effect_sd: tuple[_Spread, ...] = (0.5, 0.5, 0.0)  # of log effects over markets
    correlation: float = 0.6  # of log effects of any two channels that vary
    carry_over: tuple[_Share, ...] = (0.6, 0.4, 0.2)  # what is left a week later
    steepness: tuple[float, ...] = (4.0, 4.0, 3.0)  # saturation, by the largest spend of any market
    max_lag: Annotated[int, Field(ge=1)] = 6  # weeks over which advertising acts
    level: _Positive = 60.0  # sales a week without advertising, median over markets,
    level_sd: float = 0.6  # and the spread of their logs
    spend: tuple[_Positive, ...] = (20.0, 10.0, 15.0)  # largest of a week, at a median level
    on_air: Annotated[float, Field(gt=0, le=1)] = 0.6  # share of weeks with spend
    # sd of sales at a median level; like spend it grows with its square root
    noise: _Positive = 3.0

    @model_validator(mode="after")
    def _possible(self):
        n = len(self.channels)
        for name, value in vars(self).items():
            if isinstance(value, tuple) and len(value) != n:
                raise ValueError(f"{name}: {len(value)} values for {n} channels")
        if not -1 / max(n - 1, 1) < self.correlation < 1:
            raise ValueError(f"correlation = {self.correlation}: must be a possible correlation")
        return self


def simulate_markets(
    n_markets: int,
    *,
    seed: int,
    truth: MarketsTruth | None = None,
    n_weeks: int = 104,
    shortest: int | None = None,
    weeks: Sequence[int] | None = None,
) -> Simulation:
    """Simulate weekly sales of markets that differ in size and in length of history.

    Parameters
    ----------
    n_markets, seed, truth : int, int and MarketsTruth
        Number of markets, what all randomness derives from, and what to assume.
    n_weeks, shortest, weeks : int, int and sequence of int
        Weeks of the oldest market and of the youngest, the others between; or of each market.

    Returns
    -------
    Simulation
        ``data`` with ``date``, ``market``, spend by channel, and ``sales``; ``truth`` in shares of
        the largest sales (``target_scale``) and spends (``channel_scale``); ``expected`` ``mean``
        (weeks, markets) and ``contribution`` (weeks, markets, channels) in thousand units.
    """
    truth, shortest = truth or MarketsTruth(), n_weeks if shortest is None else shortest
    if n_markets < 1:
        raise ValueError(f"n_markets = {n_markets}: must be at least 1")
    if not 2 <= shortest <= n_weeks:
        raise ValueError(f"shortest = {shortest}: must lie between 2 and n_weeks = {n_weeks}")
    rng = np.random.default_rng(seed)
    n_channels = len(truth.channels)
    covariance = np.full((n_channels, n_channels), truth.correlation)
    np.fill_diagonal(covariance, 1.0)
    z = rng.multivariate_normal(np.zeros(n_channels), covariance, size=n_markets)
    effect = np.array(truth.effect) * np.exp(np.array(truth.effect_sd) * z)
    level = truth.level * np.exp(truth.level_sd * rng.normal(size=n_markets))
    noise = truth.noise * np.sqrt(level / truth.level)
    spread = rng.permutation(np.linspace(n_weeks, shortest, n_markets).round().astype(int))
    weeks = spread if weeks is None else np.asarray(weeks)
    if weeks.shape != (n_markets,) or weeks.min() < 2 or weeks.max() > n_weeks:
        raise ValueError(f"weeks: {n_markets} numbers from 2 to n_weeks = {n_weeks} are needed")
    first_week = n_weeks - weeks

    shape = n_weeks, n_markets, n_channels
    wave = rng.uniform(0.2, 1.0, size=shape) * (rng.random(shape) < truth.on_air)
    spend = np.array(truth.spend) * np.sqrt(level / truth.level)[:, None] * wave
    active = np.arange(n_weeks)[:, None] >= first_week
    spend = (spend * active[..., None]).round(2)
    channel_scale = spend.max(axis=(0, 1))
    each = np.tile(truth.carry_over, n_markets)
    pressure = adstock((spend / channel_scale).reshape(n_weeks, -1), each, l_max=truth.max_lag)
    pressure = pressure.reshape(shape)
    contribution = effect * saturated(pressure, np.array(truth.steepness))
    mean = level + contribution.sum(axis=-1)
    sales = (mean + noise * rng.normal(size=mean.shape)).round(2)
    names = np.array([f"market {m:02d}" for m in range(1, n_markets + 1)])
    dates = pd.date_range("2022-01-03", periods=n_weeks, freq="W-MON")
    week, market = (index.ravel() for index in np.indices(active.shape))
    data = pd.DataFrame({"date": dates[week], "market": names[market]})
    data[list(truth.channels)] = spend.reshape(-1, n_channels)
    data["sales"] = sales.ravel()
    data = data[active.ravel()].sort_values(["market", "date"], ignore_index=True)
    target_scale = float(data["sales"].max())
    return Simulation(
        data=data,
        truth={
            "effect": effect / target_scale,
            "steepness": np.array(truth.steepness),
            "carry_over": np.array(truth.carry_over),
            "level": level / target_scale,
            "noise": noise / target_scale,
            "first_week": first_week,
            "target_scale": target_scale,
            "channel_scale": channel_scale,
            "channels": list(truth.channels),
            "markets": names.tolist(),
        },
        expected={"mean": mean, "contribution": contribution},
    )
