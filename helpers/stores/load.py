"""A reader's chain of stores."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from helpers.data import columns as col
from helpers.data.columns import DataError, DataWarning, note
from helpers.data.dates import parse_dates
from helpers.data.readers import read_table
from helpers.data.rossmann import load_rossmann
from helpers.stores.simulate import (
    _ATTRIBUTES,
    _KEYS,
    _OPTIONAL,
    _REQUIRED,
    STATE_HOLIDAYS,
    WEEKDAYS,
    StoresTruth,
    simulate_stores,
)

#: Fewest days that are fitted: four weeks, so that each weekday comes again.
_MIN_DAYS = 28

#: Kaggle's names of the columns.
_KAGGLE = {"".join(map(str.title, n.split("_"))): n for n in (*_REQUIRED, *_OPTIONAL)}


@dataclass(frozen=True, eq=False)
class StorePanel:
    """Sales of stores by day; within a store the predictor depends on the day's *pattern* only."""

    stores: tuple[str, ...]  # in the order of numbers where all names are numbers
    dates: pd.DatetimeIndex  # every day from the first to the last, T
    sales: np.ndarray  # (S, T), NaN where the store was closed or has no row
    pattern: np.ndarray  # (S, T), row of the calendar; -1 where a store has no row
    calendar: pd.DataFrame  # (P, J), features of each pattern, dummies in full
    attributes: pd.DataFrame  # (S, K), features of each store, dummies in full
    source: str = "file"  # or "rossmann", "simulated"
    truth: dict[str, Any] | None = None  # of simulated sales

    @property
    def features(self) -> tuple[str, ...]:
        """Names of all J + K features, those of the calendar first."""
        return (*self.calendar.columns, *self.attributes.columns)

    def take(
        self, stores: slice | np.ndarray = slice(None), days: slice | np.ndarray = slice(None)
    ) -> StorePanel:
        """Keep some stores and days, which must follow one another; the encoding stays."""
        truth = self.truth
        if truth is not None:
            by_store = ("coef", "dispersion")
            truth = truth | {name: truth[name][stores] for name in by_store if name in truth}
        return replace(
            self,
            stores=tuple(np.array(self.stores, dtype=object)[stores]),
            dates=self.dates[days],
            sales=self.sales[stores][:, days],
            pattern=self.pattern[stores][:, days],
            attributes=self.attributes.iloc[stores],
            truth=truth,
        )

    def observed(self, days: np.ndarray) -> StorePanel:
        """Keep the sales of ``days``, (T,) or (S, T), and hide the others as if still to come."""
        return replace(self, sales=np.where(days, self.sales, np.nan))

    def cube(self) -> np.ndarray:
        """Features (S, T, J + K) of each store and day, zero where a store has no row."""
        calendar = self.calendar.to_numpy(np.float32)[self.pattern]
        of_store = self.attributes.to_numpy(np.float32)
        every_day = np.repeat(of_store[:, None], self.pattern.shape[1], axis=1)
        cube = np.concatenate([calendar, every_day], axis=-1)
        cube[self.pattern < 0] = 0
        return cube


def as_store_panel(frame: pd.DataFrame, *, source: str = "file", held_out: int = 0) -> StorePanel:
    """Check a long table of sales and encode its days and stores.

    Parameters
    ----------
    frame, source, held_out : pandas.DataFrame, str and int
        Columns as in :func:`load_stores`; a table that cannot be used raises a DataError; last
        days that are not fitted.

    Returns
    -------
    StorePanel
        Missing rows and closed days are unobserved.
    """
    frame = _checked(frame)
    store, stores = col.coded(frame["store"])
    start = frame["date"].min()
    dates = pd.date_range(start, frame["date"].max(), name="date")
    day = (frame["date"] - start).dt.days.to_numpy()
    col.check_steps(pd.DataFrame({"date": frame["date"].to_numpy(), "store": store}), group="store")
    place = store * dates.size + day

    code, calendar = _calendar(frame)
    pattern = np.full(len(stores) * dates.size, -1, np.int16)
    pattern[place] = code
    is_open = frame["open"].to_numpy() == 1
    sales = np.full(pattern.size, np.nan, np.float32)
    sales[place[is_open]] = frame["sales"].to_numpy()[is_open]
    shape = len(stores), dates.size
    first = np.unique(store, return_index=True)[1]
    panel = StorePanel(
        stores=stores,
        dates=dates,
        sales=sales.reshape(shape),
        pattern=pattern.reshape(shape),
        calendar=calendar,
        attributes=_attributes(frame, store, first).set_axis(list(stores)),
        source=source,
    )
    if frame.attrs.get("file") and source == "file":
        _check_use(panel, held_out)
    return panel


def _check_use(panel: StorePanel, held_out: int) -> None:
    """Refuse a chain of which too little is left to fit or to score; warn of idle promotions."""
    n_days = panel.dates.size
    fitted = n_days - held_out
    if fitted < _MIN_DAYS:
        raise DataError(
            f"date: {n_days} days, {held_out} of them held out; at least {_MIN_DAYS} are needed to "
            "fit: add days or hold out fewer"
        )
    is_open = np.isfinite(panel.sales)
    if held_out and not is_open[:, fitted:].any():
        raise DataError(
            f"open: no store is open on the last {held_out} days (from "
            f"{panel.dates[fitted]:%Y-%m-%d}), which are held out to score the forecast; end the "
            "file with the last day of sales or hold out more"
        )
    if (n_selling := is_open[:, :fitted].any(axis=1).sum()) < 2:
        raise DataError(f"store: {n_selling} open on a day that is fitted; two are needed")
    idle = is_open.any(axis=1) & (np.nansum(panel.sales, axis=1) == 0)
    if idle.any():
        names = [name for name, none in zip(panel.stores, idle, strict=True) if none]
        raise DataError(
            f"sales: {col.listed(names)} sold nothing on any open day; set open to 0, or drop the "
            "store"
        )
    sales = pd.DataFrame(panel.sales.T.astype(float), columns=list(panel.stores))
    col.check_groups(sales, "store", "sales")
    shown = np.unique(panel.pattern[is_open])
    promo = panel.calendar["promo"].iloc[shown]
    if promo.nunique() == 1:
        ran = "ran on every open day" if promo.iloc[0] else "never ran on an open day"
        note(f"promo: promotions {ran}: nothing is learnt of them", DataWarning)


def _checked(frame: pd.DataFrame) -> pd.DataFrame:
    """Parsed columns, every value fit for use."""
    frame = col.take_columns(frame, _REQUIRED, _OPTIONAL)
    frame = frame.assign(date=parse_dates(frame), store=col.text(frame, "store"))
    col.check_unique(frame, _KEYS)
    for column in ("open", "promo", "school_holiday", "promo2"):
        if column in frame:
            frame[column] = col.flag(frame, column, _KEYS)
    closed = frame["open"] == 0
    sales = col.numbers(frame, "sales", _KEYS, negative="set refunds to 0")
    blank, sold, broken = sales.isna() & ~closed, closed & (sales > 0), sales.dropna() % 1 != 0
    for bad, what, repair in (
        (blank, "blank value{s} on an open day", "fill in the sales, or set open to 0"),
        (sold, "value{s} above zero on a closed day", "set open to 1, or sales to 0"),
        (broken, "fractional value{s}", "round to whole units: the model counts"),
    ):
        col.refuse(frame, bad.reindex(frame.index, fill_value=False), "sales", what, repair, _KEYS)
    frame["sales"] = sales
    selling = frame.loc[~closed, "store"].nunique()
    if selling < 2:
        raise DataError(f"store: {selling} with an open day; at least two are needed")
    if "state_holiday" in frame:
        codes = col.text(frame, "state_holiday")
        frame["state_holiday"], odd = codes, ~codes.isin(STATE_HOLIDAYS)
        use = f"use {', '.join(STATE_HOLIDAYS)} (none, public holiday, Easter, Christmas)"
        col.refuse(frame, odd, "state_holiday", "unknown code{s}", use, _KEYS)
    return frame


def _calendar(frame: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """Pattern of each row, and the features of each pattern."""
    holiday = np.zeros(len(frame), int)
    if "state_holiday" in frame:
        holiday = pd.Categorical(frame["state_holiday"], categories=STATE_HOLIDAYS).codes
    school = frame["school_holiday"].to_numpy() if "school_holiday" in frame else 0
    weekday = frame["date"].dt.day_of_week.to_numpy()
    packed = ((weekday * 2 + frame["promo"].to_numpy()) * 4 + holiday) * 2 + school
    patterns, code = np.unique(packed, return_inverse=True)
    columns = {f"weekday_{name}": patterns // 16 == i for i, name in enumerate(WEEKDAYS)}
    columns["promo"] = patterns // 8 % 2
    holiday = patterns // 2 % 4
    observed = np.unique(holiday)
    if observed.size > 1:  # one level alone is another intercept
        columns |= {f"state_holiday_{STATE_HOLIDAYS[k]}": holiday == k for k in observed}
    if "school_holiday" in frame:
        columns["school_holiday"] = patterns % 2
    return code, pd.DataFrame(columns).astype(np.float32)


def _attributes(frame: pd.DataFrame, store: np.ndarray, first: np.ndarray) -> pd.DataFrame:
    """Features of each store; a distance enters as a standardised logarithm."""
    columns: dict[str, np.ndarray] = {}
    for name in (name for name in _ATTRIBUTES if name in frame):
        given = frame[name]
        at_first = given.iloc[first].iloc[store].set_axis(given.index)
        odd = (given != at_first) & ~(given.isna() & at_first.isna())
        unlike = "value{s} unlike the store's first"
        col.refuse(frame, odd, name, unlike, "give each store one value", _KEYS)
        of_store = frame.iloc[first]
        if name == "competition_distance":
            distance = col.numbers(of_store, name, _KEYS)
            repair = "leave unknown ones blank"
            col.refuse(of_store, distance <= 0, name, "value{s} not above zero", repair, _KEYS)
            log = np.log(distance.to_numpy())
            spread = np.nanstd(log) if np.isfinite(log).any() else 0.0
            if spread > 0:  # an unknown distance counts as a middling one
                columns[name] = np.nan_to_num((log - np.nanmean(log)) / spread)
            continue
        levels = col.text(of_store, name)
        if levels.nunique() > 1:
            columns |= {f"{name}_{k}": (levels == k).to_numpy() for k in sorted(levels.unique())}
    return pd.DataFrame(columns, index=range(first.size)).astype(np.float32)


def load_stores(
    path: str | Path | None = None,
    *,
    n_stores: int = 1115,
    n_days: int = 942,
    seed: int = 0,
    held_out: int = 0,
) -> StorePanel:
    """Read daily sales of stores: Kaggle's, a file of your own, or a simulated twin.

    Parameters
    ----------
    path : str or pathlib.Path, optional
        Folder of Kaggle's ``train`` and ``store``, or a file with a row a store and day: ``date``,
        ``store``, ``sales``, ``open``, ``promo``; optional ``school_holiday``, ``state_holiday``
        (0, a, b, c), ``store_type``, ``assortment``, ``competition_distance``, ``promo2``. By
        default ``MARKET_BOOK_DATA``, else simulated.
    n_stores, n_days, seed, held_out : int
        Stores and days of Kaggle's data or of the twin (a file is read whole); seed of the twin;
        last days of a file that are not fitted.

    Returns
    -------
    StorePanel
        Its ``source`` says which of the three it is.
    """
    if path is not None and not Path(path).is_dir():
        return as_store_panel(read_table(path), held_out=held_out)
    if path is None and not os.environ.get("MARKET_BOOK_DATA"):
        truth = StoresTruth(season=0.1, week_sd=0.06)
        twin = simulate_stores(n_stores, seed=seed, n_days=n_days, truth=truth)
        return replace(as_store_panel(twin.data, source="simulated"), truth=twin.truth)
    frame = load_rossmann(path)
    kept = [name for name in _KAGGLE if name in frame]
    panel = as_store_panel(frame[kept].rename(columns=_KAGGLE), source="rossmann")
    return panel.take(stores=slice(n_stores), days=slice(n_days))


def sources_columns(panel: StorePanel) -> StorePanel:
    """Give stores the columns of :cite:`wilhelm_bhm`: promo2, type by assortment, no distance.

    Parameters
    ----------
    panel : StorePanel
        With ``store_type``, ``assortment`` and ``promo2``, as Kaggle's and the twin have them.

    Returns
    -------
    StorePanel
        With other ``attributes``.
    """
    of = panel.attributes
    types, ranges = of.filter(like="store_type_"), of.filter(like="assortment_")
    columns = {f"{kind}_{r}": types[kind] * ranges[r] for kind in types for r in ranges}
    frame = pd.DataFrame({"promo2": of["promo2_1"]} | columns)
    return replace(panel, attributes=frame.loc[:, frame.any()])
