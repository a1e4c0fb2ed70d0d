"""A reader's two cities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.data import columns as col
from helpers.data.columns import DataError, DataWarning, note
from helpers.data.dates import parse_dates
from helpers.data.readers import read_table

#: Fewest days that both cities must share: eight weeks of a weekly pattern and a little more.
_MIN_DAYS = 60

#: What is written in lower case where there is no event.
_NO_EVENT = frozenset({"0", "false", "none", "no", "nan", "na", "n/a", "null", "-", "nein", "kein"})


@dataclass(frozen=True, eq=False)
class TwoSeries:
    """Daily sales, ads and events of two cities over the days they share; NaN sales: closed."""

    dates: pd.DatetimeIndex
    cities: tuple[str, str]
    sales: np.ndarray
    ads: np.ndarray
    event: np.ndarray
    days_dropped: str | None = None


def load_two_cities(
    table: str | Path | pd.DataFrame, *, cities: Sequence[str] | None = None
) -> TwoSeries:
    """Check a long table and turn it into arrays over the two cities' common period.

    Parameters
    ----------
    table, cities : path or pandas.DataFrame, and pair of str
        ``date`` (daily), ``city``, ``sales`` (blank on closed days), optional ``ads``
        (0/1 or spend) and ``event`` (a known day's name); two of its cities, if it has more.

    Returns
    -------
    TwoSeries
        In the units of the table; a table that cannot be used raises a DataError.
    """
    frame = col.take_columns(read_table(table), ["date", "city", "sales"], ["ads", "event"])
    frame = frame.assign(city=col.text(frame, "city"))
    cities = _choose_cities(frame, cities)
    frame["date"] = parse_dates(frame)
    col.check_unique(frame)
    frame["sales"] = col.numbers(frame, "sales")
    col.check_groups(
        frame.pivot(index="date", columns="city", values="sales"), "city", "sales", cities
    )
    frame = frame[frame["city"].isin(cities)]
    refunds = "set refunds to 0 or drop them"
    col.refuse(frame, frame["sales"] < 0, "sales", "negative value{s}", refunds, ("date", "city"))
    if "ads" in frame:
        frame["ads"] = col.numbers(
            frame, "ads", blank="write 0 where no ads ran", negative="write 0 where no ads ran"
        )
    closed = "add a row for each day, with sales blank on days when a city was closed"
    col.check_steps(frame, group="city", mend=closed)

    dates, dropped = _common_period(frame, cities)
    wide = frame.pivot(index="date", columns="city").loc[dates]
    sales = wide["sales"][list(cities)].to_numpy(float)
    _check_sales(sales, dates, cities)
    ads = wide["ads"][list(cities)].to_numpy(float) if "ads" in frame else np.zeros_like(sales)
    if "ads" in frame:
        both = ads[~np.isnan(sales).any(axis=1)]
        _check_ads(both, cities)
        if frame.attrs.get("file") and ((both > 0) == (both[:, :1] > 0)).all():
            note(
                f"ads ran in {cities[0]} and {cities[1]} on the same days only: a shock that both "
                "share and what the ads did cannot be told apart here",
                DataWarning,
            )
    event = np.full(len(dates), None, dtype=object)
    if "event" in frame:
        named = _events(wide["event"])
        named = named[cities[0]].fillna(named[cities[1]])
        event[named.notna()] = named.dropna()
    return TwoSeries(dates, cities, sales, ads, event, dropped)


def _choose_cities(frame, cities):
    """Names of the two cities."""
    present = sorted(frame["city"].unique())
    if cities is None:
        if len(present) != 2:
            mend = "name two of them in CITIES" if len(present) > 2 else "add the other city's rows"
            raise DataError(
                f"city: {len(present)} in the table ({col.listed(present)}), two are needed; {mend}"
            )
        cities = present
    elif isinstance(cities, str) or len(cities) != 2:
        raise DataError(f"CITIES: {cities!r} is not a pair; give two of {col.listed(present)}")
    cities = tuple(str(city) for city in cities)
    for city in cities:
        if city not in present:
            raise DataError(f"CITIES: {city!r} is not in column city; use {col.listed(present)}")
    if cities[0] == cities[1]:
        raise DataError(f"CITIES: {cities[0]!r} twice; give two different ones")
    return cities


def _events(named: pd.DataFrame) -> pd.DataFrame:
    """Names of special days, blank on all others."""
    named = named.apply(lambda city: city.astype("string").str.strip())
    plain = named.apply(lambda city: city.str.lower().str.removesuffix(".0"))
    written = set(plain.stack())
    if written & {"1", "true"} and written <= {"0", "1", "true", "false", ""}:
        note("event: 1 is a day called event, 0 is an ordinary day")
        named = named.where(~plain.isin(["1", "true"]), "event")
    if nothing := sorted(written & _NO_EVENT):
        note(f"event: {col.listed(map(repr, nothing))} are ordinary days")
    named = named.where(~plain.isin([*_NO_EVENT, ""]), None)
    often = named.stack().value_counts()
    if len(often) and often.iloc[0] > len(named):
        raise DataError(
            f"event: {often.index[0]!r} on {often.iloc[0]} of {named.size} city-days; "
            "leave ordinary days blank"
        )
    return named.astype(object).where(named.notna(), None)


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
    if len(dates) < _MIN_DAYS:
        raise DataError(
            f"date: {len(dates)} common days ({periods}), at least {_MIN_DAYS} are needed; add days"
        )
    dropped = len(frame) - 2 * len(dates)
    outside = f"{dropped} city-days outside {first:%Y-%m-%d} to {last:%Y-%m-%d} are left out"
    return dates, f"{periods}: {outside}" if dropped else None


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
