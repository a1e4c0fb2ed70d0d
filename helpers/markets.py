"""Several markets that advertise in the same channels: simulator and loader of a panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.media import adstock
from helpers.published import find_published
from helpers.simulation import Simulation
from helpers.tables import (
    DataError,
    check_unique,
    listed,
    numbers,
    parse_dates,
    read_table,
    refuse,
    require_columns,
    text,
)

_TWO_MARKETS = "mmm_multidimensional_example.csv"
TWO_MARKETS_URL = (
    "https://raw.githubusercontent.com/pymc-labs/pymc-marketing/"
    f"e18505008cc9deedc66cfce374b110e9cc40fd92/data/{_TWO_MARKETS}"
)
TWO_MARKETS_SHA256 = "0601b525aea96598afa81eb37e937e9235dcfe37d8b9a63f35a7e52fe5c164a9"


@dataclass(frozen=True)
class MarketsTruth:
    """What the simulator assumes; money in thousand EUR, sales in thousand units, a week a row.

    Attributes
    ----------
    channels : tuple of str
        Names of the channels.
    effect : tuple of float
        Sales a week that a channel cannot exceed: its median over all markets.
    effect_sd : tuple of float
        Spread of the effects over markets on the log scale; 0 for the same effect everywhere.
    correlation : float
        Correlation of log effects between any two channels that vary, in (-1, 1).
    carry_over : tuple of float
        Share of a week's advertising pressure that is left a week later, in [0, 1).
    steepness : tuple of float
        Rate of saturation, by the largest weekly spend of any market.
    max_lag : int
        Weeks over which advertising acts, at least 1.
    level : float
        Sales a week without advertising, median over markets.
    level_sd : float
        Spread of the levels on the log scale.
    spend : tuple of float
        Largest spend of a week in a market of median level; it grows with the square root.
    on_air : float
        Share of weeks in which a channel is used, in (0, 1].
    noise : float
        Standard deviation of sales in a market of median level; it grows with the square root.
    """

    channels: tuple[str, ...] = ("tv", "radio", "online")
    effect: tuple[float, ...] = (30.0, 20.0, 25.0)
    effect_sd: tuple[float, ...] = (0.5, 0.5, 0.0)
    correlation: float = 0.6
    carry_over: tuple[float, ...] = (0.6, 0.4, 0.2)
    steepness: tuple[float, ...] = (4.0, 4.0, 3.0)
    max_lag: int = 6
    level: float = 60.0
    level_sd: float = 0.6
    spend: tuple[float, ...] = (20.0, 10.0, 15.0)
    on_air: float = 0.6
    noise: float = 3.0


def _check_truth(truth: MarketsTruth) -> None:
    n = len(truth.channels)
    for name, value in asdict(truth).items():
        if isinstance(value, tuple) and len(value) != n:
            raise ValueError(f"{name}: {len(value)} values for {n} channels")
    checks = {
        "effect": (min(truth.effect) > 0, "positive"),
        "effect_sd": (min(truth.effect_sd) >= 0, "0 or more"),
        "correlation": (-1 / max(n - 1, 1) < truth.correlation < 1, "a possible correlation"),
        "carry_over": (0 <= min(truth.carry_over) <= max(truth.carry_over) < 1, "in [0, 1)"),
        "max_lag": (truth.max_lag >= 1, "at least 1"),
        "level": (truth.level > 0, "positive"),
        "spend": (min(truth.spend) > 0, "positive"),
        "on_air": (0 < truth.on_air <= 1, "in (0, 1]"),
        "noise": (truth.noise > 0, "positive"),
    }
    for name, (good, rule) in checks.items():
        if not good:
            raise ValueError(f"{name} = {getattr(truth, name)}: must be {rule}")


def carried_over(spend: np.ndarray, share: np.ndarray, max_lag: int) -> np.ndarray:
    r"""Advertising pressure: spend of the last weeks, discounted week by week.

    .. math:: a_t = \sum_{l=0}^{L-1} \alpha^l x_{t-l} \Big/ \sum_{l=0}^{L-1} \alpha^l

    Parameters
    ----------
    spend : array, shape (n_weeks, ...)
        Spend; before the first week there was none.
    share : array
        What is left a week later, in [0, 1); broadcasts against a week's spend.
    max_lag : int
        Weeks over which advertising acts.

    Returns
    -------
    array
        As ``spend``.

    Examples
    --------
    >>> carried_over(np.array([[3.0], [0.0], [0.0]]), np.array([0.5]), 2).ravel().tolist()
    [2.0, 1.0, 0.0]
    """
    spend = np.asarray(spend, dtype=float)
    each = np.broadcast_to(share, spend.shape[1:]).ravel()
    return adstock(spend.reshape(len(spend), -1), each, l_max=max_lag).reshape(spend.shape)


def saturated(pressure: np.ndarray, steepness: np.ndarray) -> np.ndarray:
    r"""Logistic saturation.

    .. math:: s(a) = \frac{1 - e^{-\lambda a}}{1 + e^{-\lambda a}}

    Parameters
    ----------
    pressure : array
        Advertising pressure, 0 or more.
    steepness : array
        Rate :math:`\lambda`, positive, in units of one over pressure.

    Returns
    -------
    array
        Between 0 and 1.

    Examples
    --------
    >>> saturated(np.array([0.0, 1.0, 100.0]), np.array(2.0)).round(2).tolist()
    [0.0, 0.76, 1.0]
    """
    return np.tanh(np.asarray(steepness) * pressure / 2)


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

    Sales of market m in week t are its level, the saturated pressure of each channel times the
    channel's effect in this market, and noise that grows with the square root of the level:

    ``sales[t, m] = level[m] + sum_c effect[m, c] * s(a[t, m, c]) + noise[m] * e[t, m]``

    Parameters
    ----------
    n_markets : int
        Number of markets, at least 1.
    seed : int
        Seed; all randomness derives from it.
    truth : MarketsTruth, optional
        What to assume.
    n_weeks : int
        Weeks of the oldest market.
    shortest : int, optional
        Weeks of the youngest market; the others lie between. Without it all are equally old.
    weeks : sequence of int, optional
        Weeks of each market, from 2 to ``n_weeks``, in place of ``shortest``.

    Returns
    -------
    Simulation
        ``data`` with columns ``date``, ``market``, one of spend a channel, and ``sales``.
        ``truth`` in the model's units, that is by ``target_scale`` (largest sales) and
        ``channel_scale`` (largest spend of a channel): ``effect`` (markets, channels),
        ``steepness``, ``carry_over``, ``level``, ``noise``; and ``first_week`` of each market.
        ``expected``: ``mean`` (weeks, markets) and ``contribution`` (weeks, markets, channels)
        in thousand units, weeks before a market's first as the model would have them.

    Raises
    ------
    ValueError
        If a size is out of range or the truth contradicts itself.

    Examples
    --------
    >>> panel = simulate_markets(3, seed=1, n_weeks=30, shortest=10)
    >>> panel.data.columns.tolist()
    ['date', 'market', 'tv', 'radio', 'online', 'sales']
    >>> sorted(panel.data["market"].value_counts())
    [10, 20, 30]
    """
    truth = MarketsTruth() if truth is None else truth
    _check_truth(truth)
    shortest = n_weeks if shortest is None else shortest
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
    pressure = carried_over(spend / channel_scale, np.array(truth.carry_over), truth.max_lag)
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


def _check_weeks(frame: pd.DataFrame, date: str, market: str) -> None:
    """Refuse gaps: every step between two dates of a market is the panel's usual one."""
    steps = frame.groupby(market)[date].diff()
    usual = steps.mode()
    if usual.empty:
        return
    usual = usual.iloc[0]
    off = steps.notna() & (steps != usual)
    if off.any():
        label = off.idxmax()
        day, name = frame.at[label, date], frame.at[label, market]
        before = day - steps[label]
        n, kind = int(off.sum()), "missing" if steps[label] > usual else "too close"
        raise DataError(
            f"{date}: {n} irregular step{'s' * (n > 1)} (first in {name}, from "
            f"{before:%Y-%m-%d} to {day:%Y-%m-%d}; usual step {usual.days} days, dates {kind}); "
            "one row a period in each market, with spend 0 where there was none"
        )


def histories(frame: pd.DataFrame, *, date: str = "date", market: str = "market") -> pd.DataFrame:
    """First and last date of each market, and how many rows it has.

    Parameters
    ----------
    frame : pandas.DataFrame
        The panel, dates parsed.
    date, market : str
        Columns.

    Returns
    -------
    pandas.DataFrame
        One row a market: ``first``, ``last``, ``periods``.

    Examples
    --------
    >>> panel = simulate_markets(2, seed=1, n_weeks=30, shortest=10).data
    >>> histories(panel)["periods"].tolist()
    [10, 30]
    """
    return frame.groupby(market)[date].agg(first="min", last="max", periods="size")


def load_market_panel(
    path: str | Path,
    *,
    date: str = "date",
    market: str = "market",
    target: str = "sales",
    channels: Sequence[str],
    controls: Sequence[str] = (),
    equal: bool = False,
) -> pd.DataFrame:
    """Read a panel of markets and check it, market by market.

    Parameters
    ----------
    path : str or pathlib.Path
        A ``.csv`` or ``.parquet`` file, one row for each market and period.
    date, market, target : str
        Columns of dates (YYYY-MM-DD), of market names, and of what advertising is to move.
    channels : sequence of str
        Columns of spend, at least one.
    controls : sequence of str
        Columns of what else moves the target, numbers of any sign.
    equal : bool
        Whether to refuse markets whose first or last dates differ. Without it they are kept as
        they are, and a model must mask what was not observed.

    Returns
    -------
    pandas.DataFrame
        Those columns, by market and date.

    Raises
    ------
    DataError
        If the file cannot be read, a column is missing or named twice, a value is blank, not a
        number, or negative, a market has two rows for a date or a gap, or fewer than 10 periods,
        a channel or the target does not vary in a market, there is one market only, or, with
        ``equal``, the histories differ. The message names column, value, market and the mend.

    Examples
    --------
    >>> load_market_panel("panel.csv", channels=["tv", "tv"])
    Traceback (most recent call last):
    helpers.tables.DataError: tv: given twice; name each column once
    """
    channels = [channels] if isinstance(channels, str) else list(channels)
    if not channels:
        raise DataError("channels: none given; name the columns of spend")
    controls = [controls] if isinstance(controls, str) else list(controls)
    columns = [date, market, *channels, *controls, target]
    for name in columns:
        if columns.count(name) > 1:
            raise DataError(f"{name}: given twice; name each column once")
    written = read_table(path)
    require_columns(written, columns)
    frame = written[columns].copy()
    frame[date] = parse_dates(frame, date)
    frame[market] = text(frame, market)
    check_unique(frame, (date, market))
    keys = (date, market)
    for channel in channels:
        frame[channel] = numbers(
            frame,
            channel,
            keys,
            blank="write 0 where nothing was spent",
            negative="set refunds to 0 or drop them",
        )
    for control in controls:
        frame[control] = numbers(frame, control, keys, blank="write 0 where there was none")
    frame[target] = numbers(
        frame,
        target,
        keys,
        blank=f"leave out weeks before a market's first {target}",
        negative=f"{target} must be 0 or more",
    )
    frame = frame.sort_values([market, date])
    names = frame[market].unique()
    if len(names) < 2:
        raise DataError(f"{market}: one market only ({names[0]}); use the model of one market")
    _check_weeks(frame, date, market)
    _check_variation(frame, market, [*channels, target], target)
    spans = histories(frame, date=date, market=market)
    refuse(
        spans.reset_index(),
        (spans["periods"] < 10).reset_index(drop=True),
        market,
        "market{s} with fewer than 10 periods",
        "leave them out, or predict them as new markets",
    )
    if equal:
        refuse_unequal(spans, date)
    return frame.reset_index(drop=True)


def _check_variation(frame, market, columns, target) -> None:
    for column in columns:
        spread = frame.groupby(market)[column].agg(["min", "max"])
        flat = spread.index[spread["min"] == spread["max"]]
        if len(flat):
            value = spread.at[flat[0], "min"]
            mend = (
                "leave these markets out"
                if column == target
                else "drop the channel, or leave these markets out and predict them as new ones"
            )
            raise DataError(
                f"{column}: constant ({value:g}) in {listed(flat, 5)}: "
                f"nothing can be learnt there; {mend}"
            )


def refuse_unequal(spans: pd.DataFrame, date: str = "date") -> None:
    """Raise if markets start or end at different dates.

    Parameters
    ----------
    spans : pandas.DataFrame
        What :func:`histories` returns.
    date : str
        Column of dates, for the message.

    Raises
    ------
    DataError
        If they do; the message lists the dates market by market.

    Examples
    --------
    >>> panel = simulate_markets(2, seed=1, n_weeks=30, shortest=10).data
    >>> refuse_unequal(histories(panel))
    Traceback (most recent call last):
    helpers.tables.DataError: date: markets have different dates (market 01 2022-05-23 to \
2022-07-25, market 02 2022-01-03 to 2022-07-25); cut them to 2022-05-23 to 2022-07-25, \
or mask what was not observed
    """
    if spans["first"].nunique() == 1 and spans["last"].nunique() == 1:
        return
    shown = [f"{n} {a:%Y-%m-%d} to {b:%Y-%m-%d}" for n, a, b, *_ in spans.itertuples()]
    first, last = spans["first"].max(), spans["last"].min()
    cut = f"cut them to {first:%Y-%m-%d} to {last:%Y-%m-%d}, or " if first < last else ""
    raise DataError(
        f"{date}: markets have different dates ({listed(shown)}); {cut}mask what was not observed"
    )


def load_two_markets(*, seed: int = 2022) -> tuple[pd.DataFrame, bool]:
    """PyMC-Marketing's public example of two markets, or a simulated twin if it cannot be had.

    Looked for in the folder ``MARKET_BOOK_DATA``, in the cache, and on the network.

    Parameters
    ----------
    seed : int
        Seed of the twin.

    Returns
    -------
    tuple of (pandas.DataFrame, bool)
        159 weeks of two markets with ``date``, ``market``, spend ``x1`` and ``x2``, two kinds of
        event, ``event_1`` and ``event_2``, and ``sales``; and whether they are the public ones.

    Raises
    ------
    helpers.tables.DataError
        If a file of its name is not the published one.
    """
    path = find_published([_TWO_MARKETS], url=TWO_MARKETS_URL, sha256=TWO_MARKETS_SHA256)
    if path is not None:
        frame = pd.read_csv(path, parse_dates=["date"])
        frame = frame.rename(columns={"geo": "market", "y": "sales"})
        return frame.sort_values(["market", "date"], ignore_index=True), True
    truth = MarketsTruth(
        channels=("x1", "x2"),
        effect=(60.0, 40.0),
        effect_sd=(0.3, 0.3),
        carry_over=(0.5, 0.3),
        steepness=(2.0, 2.0),
        spend=(9000.0, 10000.0),
        noise=10.0,
    )
    frame = simulate_markets(2, seed=seed, truth=truth, n_weeks=159).data
    week = frame.groupby("market").cumcount()
    for name, weeks in (("event_1", (20, 80, 130)), ("event_2", (45, 95, 150))):
        frame.insert(len(frame.columns) - 1, name, week.isin(weeks).astype(int))
    return frame, False
