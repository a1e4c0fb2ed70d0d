"""Two cities with shared shocks: simulator and loader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from helpers.simulation import Simulation
from helpers.tables import (
    DataError,
    check_calendar,
    check_unique,
    listed,
    numbers,
    parse_dates,
    read_table,
    require_columns,
    text,
)

CITY_NAMES = ("A", "B")

Timing = Literal["random", "avoid", "chase", "simultaneous"]

#: Log-odds of starting a campaign per standard deviation of a campaign's mean demand.
_TARGETING = {"random": 0.0, "simultaneous": 0.0, "avoid": -1.5, "chase": 1.5}


@dataclass(frozen=True)
class TwoCitiesTruth:
    """Parameters of the two-city market, in orders a day unless stated.

    Pairs are ordered (A, B).
    City A's loading on the shared shock is 1 by definition: it sets the unit of the shock.
    """

    intercept: tuple[float, float] = (900.0, 640.0)
    trend_per_year: tuple[float, float] = (45.0, 45.0)
    weekday_b: tuple[float, ...] = (-20.0, -35.0, -25.0, -5.0, 30.0, 45.0, 10.0)
    squeeze: float = 1.3
    loading_b: float = 0.8
    noise_sd: tuple[float, float] = (30.0, 22.0)
    drift_sd: float = 60.0
    own_drift_sd: tuple[float, float] = (0.0, 0.0)
    n_shared_days: int = 24
    n_known_days: int = 8
    n_own_days: int = 12
    shock_size: float = 160.0
    n_campaigns: int = 6
    campaign_days: int = 14
    lift: tuple[float, float] = (60.0, 45.0)


def _centred_walk(rng: np.random.Generator, n_days: int, sd: float) -> np.ndarray:
    """Random walk without level and straight line, scaled to standard deviation ``sd``."""
    if sd == 0:
        return np.zeros(n_days)
    walk = np.cumsum(rng.normal(size=n_days))
    line = np.column_stack([np.ones(n_days), np.arange(n_days)])
    walk -= line @ np.linalg.lstsq(line, walk, rcond=None)[0]
    return sd * walk / walk.std()


def _place_campaigns(rng, demand, timing, n_campaigns, length):
    """Draw campaign days, shape (n_days, 2); two lengths around each campaign stay free."""
    if timing not in _TARGETING:
        raise ValueError(f"timing={timing!r} is unknown; use one of {', '.join(_TARGETING)}")
    n_days = demand.size
    local = np.convolve(demand, np.ones(length) / length, "valid")
    local = (local - local.mean()) / max(local.std(), 1e-9)
    free = np.ones(n_days - length + 1, dtype=bool)
    ads = np.zeros((n_days, 2))
    together = timing == "simultaneous"
    for _ in range(n_campaigns):
        # A fresh order each round: neither city always gets the best days.
        for cities in [(0, 1)] if together else rng.permutation(2)[:, None]:
            starts = np.flatnonzero(free)
            if starts.size == 0:
                raise ValueError(
                    f"n_days={n_days} leaves no room for {n_campaigns} campaigns of "
                    f"{length} days in each city; use more days or fewer campaigns"
                )
            weight = np.exp(_TARGETING[timing] * local[starts])
            start = rng.choice(starts, p=weight / weight.sum())
            ads[start : start + length, list(cities)] = 1
            free[max(0, start - 2 * length) : start + 2 * length] = False
    return ads


def simulate_two_cities(
    n_days: int = 730,
    *,
    seed: int,
    truth: TwoCitiesTruth | None = None,
    timing: Timing = "random",
    start: str = "2023-01-02",
) -> Simulation:
    r"""Daily orders of two cities that share drift and sudden days.

    .. math::
        y_{ct} = \alpha_c + \beta_c t + s_c w_{d(t)} + \lambda_c (g_t + h_t)
                 + o_{ct} + u_{ct} + \delta_c\, \text{ads}_{ct} + \varepsilon_{ct}

    with shared drift :math:`g`, shared days :math:`h`, own drift :math:`o`, own days :math:`u`,
    loadings :math:`\lambda_A = 1`, :math:`\lambda_B`, squeeze :math:`s_A`, :math:`s_B = 1`.

    Parameters
    ----------
    n_days : int
        Number of days, at least 400 for the default campaigns.
    seed : int
        Seed of the generator; the same seed gives the same market.
    truth : TwoCitiesTruth, optional
        Parameters of the market; the default is the book's.
    timing : {"random", "avoid", "chase", "simultaneous"}
        When campaigns start: at random, in low demand, in high demand, or on the same random
        days in both cities.
    start : str
        First date, ISO format.

    Returns
    -------
    Simulation
        ``data``: long frame ``date, city, sales, ads, event`` with 2 ``n_days`` rows.
        ``truth``: the parameters, and ``shared_days`` and ``own_days_A/B`` (integer positions).
        ``expected``: arrays of shape (n_days,) ``drift``, ``shared_spikes``, ``shock`` (their
        sum, in city A's orders) and of shape (n_days, 2) ``mean``, ``own_drift``, ``own_spikes``,
        ``ads``.

    Raises
    ------
    ValueError
        If ``timing`` is unknown, or the days are too few for the events and campaigns asked.

    References
    ----------
    The question and the market's shape follow :cite:`forum_two_cities`.

    Examples
    --------
    >>> market = simulate_two_cities(730, seed=1)
    >>> market.data.columns.tolist()
    ['date', 'city', 'sales', 'ads', 'event']
    >>> market.truth["lift"]
    (60.0, 45.0)
    """
    truth = truth or TwoCitiesTruth()
    n_special = truth.n_shared_days + 2 * truth.n_own_days
    if n_special > n_days:
        raise ValueError(f"n_days={n_days} is fewer than the {n_special} shared and own days asked")
    rng = np.random.default_rng(seed)
    day = np.arange(n_days)
    dates = pd.date_range(start, periods=n_days, freq="D")
    loading = np.array([1.0, truth.loading_b])

    drift = _centred_walk(rng, n_days, truth.drift_sd)
    own_drift = np.column_stack([_centred_walk(rng, n_days, sd) for sd in truth.own_drift_sd])

    special = rng.choice(n_days, n_special, replace=False)
    shared_days = special[: truth.n_shared_days]
    own_days = np.split(special[truth.n_shared_days :], 2)

    def sizes(n):
        return rng.choice([-1.0, 1.0], n) * rng.gamma(9.0, truth.shock_size / 9.0, n)

    shared_spikes = np.zeros(n_days)
    shared_spikes[shared_days] = sizes(shared_days.size)
    own_spikes = np.zeros((n_days, 2))
    for c in range(2):
        own_spikes[own_days[c], c] = loading[c] * sizes(own_days[c].size)

    ads = _place_campaigns(rng, drift, timing, truth.n_campaigns, truth.campaign_days)
    shock = drift + shared_spikes
    weekday = np.asarray(truth.weekday_b)[dates.day_of_week]
    mean = (
        np.asarray(truth.intercept)
        + np.outer(day / 365.25, truth.trend_per_year)
        + np.outer(weekday, [truth.squeeze, 1.0])
        + np.outer(shock, loading)
        + own_drift
        + own_spikes
        + ads * np.asarray(truth.lift)
    )
    sales = mean + rng.normal(size=(n_days, 2)) * np.asarray(truth.noise_sd)

    event = np.full(n_days, None, dtype=object)
    event[shared_days[: truth.n_known_days]] = "known day"
    data = pd.DataFrame(
        {
            "date": np.repeat(dates, 2),
            "city": np.tile(CITY_NAMES, n_days),
            "sales": np.maximum(sales, 0.0).round(1).ravel(),
            "ads": ads.astype(int).ravel(),
            "event": np.repeat(event, 2),
        }
    )
    return Simulation(
        data=data,
        truth=asdict(truth)
        | {
            "shared_days": np.sort(shared_days),
            "own_days_A": np.sort(own_days[0]),
            "own_days_B": np.sort(own_days[1]),
        },
        expected={
            "drift": drift,
            "shared_spikes": shared_spikes,
            "shock": shock,
            "mean": mean,
            "own_drift": own_drift,
            "own_spikes": own_spikes,
            "ads": ads,
        },
    )


#: Fewest days that both cities must share: eight weeks of a weekly pattern and a little more.
MIN_DAYS = 60


@dataclass(frozen=True, eq=False)
class TwoSeries:
    """Daily sales of two cities over the period they share.

    Attributes
    ----------
    dates : pandas.DatetimeIndex
        Every day of the common period, length n.
    cities : tuple of str
        Names of the two cities, in the order of the columns below.
    sales : array, shape (n, 2)
        Sales in the units of the file; NaN on closed or unobserved days.
    ads : array, shape (n, 2)
        Ads, 0/1 or spend in the units of the file; all zero if the file has no such column.
    event : array of object, shape (n,)
        Name of a known day, or None.
    days_dropped : str or None
        What was left out because the cities' periods differ.
    """

    dates: pd.DatetimeIndex
    cities: tuple[str, str]
    sales: np.ndarray
    ads: np.ndarray
    event: np.ndarray
    days_dropped: str | None = None


def load_two_cities(path: str | Path, *, cities: Sequence[str] | None = None) -> TwoSeries:
    """Read and check daily sales of two cities from a long table.

    Parameters
    ----------
    path : str or pathlib.Path
        CSV or Parquet file with ``date`` (daily, YYYY-MM-DD), ``city``, ``sales`` (blank on closed
        days), optional ``ads`` (0/1 or spend) and optional ``event`` (name of a known day).
    cities : sequence of str, optional
        The two cities to use, in this order; the default is the only two in the file.

    Returns
    -------
    TwoSeries
        Arrays over the common period.

    Raises
    ------
    helpers.tables.DataError
        If the file cannot be read, or as :func:`as_two_series`.

    Examples
    --------
    >>> load_two_cities("sales.xlsx")
    Traceback (most recent call last):
    helpers.tables.DataError: sales.xlsx: the file ends in '.xlsx'; save it as .csv or .parquet
    """
    return as_two_series(read_table(path), cities=cities)


def as_two_series(frame: pd.DataFrame, *, cities: Sequence[str] | None = None) -> TwoSeries:
    """Check a long table and turn it into arrays over the two cities' common period.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns as in :func:`load_two_cities`.
    cities : sequence of str, optional
        The two cities to use, in this order; the default is the only two in the table.

    Returns
    -------
    TwoSeries
        Arrays over the common period.

    Raises
    ------
    helpers.tables.DataError
        If a column is missing; if the cities are not two, unknown, or twice the same; if a date is
        unreadable, within a day, repeated or missing; if sales are negative, infinite, not
        numbers, constant, or blank on most days; if ads are blank, negative, not numbers, the
        same every day in a city, or never on in either; if the cities share no period or fewer
        than ``MIN_DAYS`` days.

    Examples
    --------
    >>> series = as_two_series(simulate_two_cities(730, seed=1).data)
    >>> series.cities, series.sales.shape, series.days_dropped
    (('A', 'B'), (730, 2), None)
    """
    require_columns(frame, ["date", "city", "sales"])
    if not frame.index.is_unique:
        frame = frame.reset_index(drop=True)
    frame, cities = _choose_cities(frame, cities)
    frame = frame.assign(date=parse_dates(frame))
    check_unique(frame)
    frame["sales"] = numbers(frame, "sales", negative="set refunds to 0 or drop them")
    if "ads" in frame:
        frame["ads"] = numbers(
            frame, "ads", blank="write 0 where no ads ran", negative="write 0 where no ads ran"
        )
    check_calendar(frame)

    dates, dropped = _common_period(frame, cities)
    wide = frame.pivot(index="date", columns="city").loc[dates]
    sales = wide["sales"][list(cities)].to_numpy(float)
    _check_sales(sales, dates, cities)
    ads = wide["ads"][list(cities)].to_numpy(float) if "ads" in frame else np.zeros_like(sales)
    if "ads" in frame:
        _check_ads(ads[~np.isnan(sales).any(axis=1)], cities)
    event = np.full(len(dates), None, dtype=object)
    if "event" in frame:
        named = wide["event"][cities[0]].fillna(wide["event"][cities[1]])
        event[named.notna()] = named.dropna().astype(str)
    return TwoSeries(dates, cities, sales, ads, event, dropped)


def plant_lift(
    series: TwoSeries,
    *,
    seed: int,
    lift: float = 0.05,
    timing: Timing = "random",
    n_campaigns: int = 4,
    campaign_days: int = 14,
) -> tuple[TwoSeries, np.ndarray]:
    """Raise real sales on invented campaign days, to see whether a model finds it.

    Parameters
    ----------
    series : TwoSeries
        Real series; campaigns that they hold stay as they are.
    seed : int
        Seed of the placement.
    lift : float
        Share by which sales rise on planted days; 0 makes a placebo.
    timing : {"random", "avoid", "chase", "simultaneous"}
        Whether the campaigns seek low or high demand, as in :func:`simulate_two_cities`.
    n_campaigns, campaign_days : int
        Campaigns a city, and days a campaign; short series get shorter campaigns.

    Returns
    -------
    series : TwoSeries
        The series with raised sales.
    planted : array, shape (n_days, 2)
        1 on planted days.

    Raises
    ------
    ValueError
        If ``timing`` is unknown.

    Examples
    --------
    >>> series = as_two_series(simulate_two_cities(730, seed=1).data)
    >>> raised, planted = plant_lift(series, seed=2, lift=0.05)
    >>> round(float((raised.sales / series.sales)[planted == 1].mean()), 2)
    1.05
    """
    relative = series.sales / np.nanmean(series.sales, axis=0)
    # A closed day says nothing of demand: it takes its neighbours' mean.
    demand = pd.Series(relative.mean(axis=1)).interpolate(limit_direction="both").to_numpy()
    rng = np.random.default_rng(seed)
    # A campaign closes up to four lengths of starts to the others: this length always fits.
    longest = len(series.dates) // (8 * n_campaigns + 1)
    length = max(1, min(campaign_days, longest))
    planted = _place_campaigns(rng, demand, timing, n_campaigns, length)
    return replace(series, sales=series.sales * (1 + lift * planted)), planted


def _choose_cities(frame, cities):
    """Rows of the two cities, and their names."""
    frame = frame.assign(city=text(frame, "city"))
    present = sorted(frame["city"].unique())
    if cities is None:
        if len(present) != 2:
            mend = "name two of them in CITIES" if len(present) > 2 else "add the other city's rows"
            raise DataError(
                f"city: {len(present)} in the table ({listed(present)}), two are needed; {mend}"
            )
        cities = present
    elif isinstance(cities, str) or len(cities) != 2:
        raise DataError(f"CITIES: {cities!r} is not a pair; give two of {listed(present)}")
    cities = tuple(str(city) for city in cities)
    for city in cities:
        if city not in present:
            raise DataError(f"CITIES: {city!r} is not in column city; use {listed(present)}")
    if cities[0] == cities[1]:
        raise DataError(f"CITIES: {cities[0]!r} twice; give two different ones")
    return frame[frame["city"].isin(cities)], cities


def _common_period(frame, cities):
    """Days that both cities have, and a note on what that leaves out."""
    span = frame.groupby("city")["date"].agg(["min", "max"]).loc[list(cities)]
    first, last = span["min"].max(), span["max"].min()
    periods = " and ".join(
        f"{city} runs {low:%Y-%m-%d} to {high:%Y-%m-%d}" for city, low, high in span.itertuples()
    )
    if last < first:
        raise DataError(f"date: no common period ({periods}); use cities whose days overlap")
    dates = pd.date_range(first, last, name="date")
    if len(dates) < MIN_DAYS:
        raise DataError(
            f"date: {len(dates)} common days ({periods}), at least {MIN_DAYS} are needed; add days"
        )
    dropped = len(frame) - 2 * len(dates)
    note = (
        f"{periods}: {dropped} city-days outside {first:%Y-%m-%d} to {last:%Y-%m-%d} are left out"
    )
    return dates, note if dropped else None


def _check_sales(sales, dates, cities):
    blank = np.isnan(sales)
    closed = blank.any(axis=1)
    if 2 * closed.sum() > len(dates):
        c = int(np.argmax(blank.sum(axis=0)))
        raise DataError(
            f"sales: blank on {closed.sum()} of {len(dates)} common days "
            f"(first {dates[blank[:, c]][0]:%Y-%m-%d} in {cities[c]}); "
            "fill in the sales, or use a period when both cities are open on most days"
        )
    for c, city in enumerate(cities):
        seen = sales[~closed, c]
        if np.ptp(seen) == 0:
            raise DataError(
                f"sales: constant in {city} (always {seen[0]} from {dates[0]:%Y-%m-%d}); "
                "check the export or use another city"
            )


def _check_ads(ads, cities):
    """``ads`` on the days when both cities were open; a city without any is a control."""
    if not ads.any():
        raise DataError(
            f"ads: never on in {cities[0]} or {cities[1]} while both cities are open; "
            "use a period with and without ads, or leave the column out"
        )
    for c, city in enumerate(cities):
        value = ads[0, c]
        if value > 0 and np.ptp(ads[:, c]) == 0:
            raise DataError(
                f"ads: on every day in {city} (always {value}) while both cities are open; "
                "use a period with and without ads, or leave the column out"
            )
