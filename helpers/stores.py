"""Daily sales of many stores: loader, encoder, simulator, and the table the likelihood needs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.polynomial import chebyshev
from scipy.special import gammaln

from helpers.rossmann import load_rossmann
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

Family = Literal["nb1", "nb2"]

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

#: Codes of Kaggle's column: none, public holiday, Easter, Christmas.
STATE_HOLIDAYS = ("0", "a", "b", "c")

#: Half-width of the interval of log alpha on which a cell's likelihood is tabulated, and degree.
HALF_WIDTH = 4.0
DEGREE = 20

_KEYS = ("date", "store")
_REQUIRED = ("date", "store", "sales", "open", "promo")
_CALENDAR = ("weekday", "promo", "state_holiday", "school_holiday")
_ATTRIBUTES = ("competition_distance", "store_type", "assortment", "promo2")
_OPTIONAL = ("state_holiday", "school_holiday", *_ATTRIBUTES)
_KAGGLE = {
    "Date": "date",
    "Store": "store",
    "Sales": "sales",
    "Open": "open",
    "Promo": "promo",
    "StateHoliday": "state_holiday",
    "SchoolHoliday": "school_holiday",
    "CompetitionDistance": "competition_distance",
    "StoreType": "store_type",
    "Assortment": "assortment",
    "Promo2": "promo2",
}
_YEAR_DAYS = 365.25


@dataclass(frozen=True, eq=False)
class StorePanel:
    """Sales of stores by day, with what is known of the days and the stores.

    Within a store the predictor of a day depends on the day's *pattern* only: weekday,
    promotion, state holiday, school holiday. Some fifty patterns serve all stores and days.

    Attributes
    ----------
    stores : tuple of str
        Names, in the order of numbers where all names are numbers.
    dates : pandas.DatetimeIndex, length T
        Every day from the first to the last.
    sales : array, shape (S, T)
        Sales, whole numbers; NaN where the store was closed or has no row.
    pattern : array of int, shape (S, T)
        Row of ``calendar``; -1 where a store has no row for a day.
    calendar : pandas.DataFrame, shape (P, J)
        Features of each pattern, dummies in full.
    attributes : pandas.DataFrame, shape (S, K)
        Features of each store, dummies in full.
    source : {"rossmann", "file", "simulated"}
        Where the rows come from.
    truth : dict, optional
        Parameters that generated them, if they are simulated.
    """

    stores: tuple[str, ...]
    dates: pd.DatetimeIndex
    sales: np.ndarray
    pattern: np.ndarray
    calendar: pd.DataFrame
    attributes: pd.DataFrame
    source: str = "file"
    truth: dict[str, Any] | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """Names of all J + K features.

        Returns
        -------
        tuple of str
            Those of the calendar first.
        """
        return (*self.calendar.columns, *self.attributes.columns)

    @property
    def simulated(self) -> bool:
        """Whether the sales were simulated.

        Returns
        -------
        bool
            From ``source``.
        """
        return self.source == "simulated"

    def take(
        self, stores: slice | np.ndarray | None = None, days: slice | np.ndarray | None = None
    ) -> StorePanel:
        """Keep some stores and days; patterns and encoding stay as they are.

        Parameters
        ----------
        stores, days : slice or array, optional
            Positions to keep, all by default. Days must follow one another.

        Returns
        -------
        StorePanel
            The part, its truth included.
        """
        stores = slice(None) if stores is None else stores
        days = slice(None) if days is None else days
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
        """Hide the sales of some days, as if they were still to come.

        Parameters
        ----------
        days : array of bool, shape (T,) or (S, T)
            Where sales stay visible.

        Returns
        -------
        StorePanel
            The panel with the other sales set to NaN.
        """
        return replace(self, sales=np.where(days, self.sales, np.nan))

    def cube(self) -> np.ndarray:
        """Features of each store and day in full, as the plain model takes them.

        Returns
        -------
        array of float32, shape (S, T, J + K)
            Zeros where a store has no row.
        """
        calendar = self.calendar.to_numpy(np.float32)[self.pattern]
        store = np.broadcast_to(
            self.attributes.to_numpy(np.float32)[:, None],
            (*self.pattern.shape, self.attributes.shape[1]),
        )
        cube = np.concatenate([calendar, store], axis=-1)
        cube[self.pattern < 0] = 0
        return cube


def as_store_panel(frame: pd.DataFrame, *, source: str = "file") -> StorePanel:
    """Check a long table of sales and encode its days and stores.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns as in :func:`load_stores`.
    source : str
        Kept as the panel's ``source``.

    Returns
    -------
    StorePanel
        Stores by days. Missing rows and closed days are unobserved.

    Raises
    ------
    helpers.tables.DataError
        If a column is missing or unknown; if a date, store or flag is blank or unreadable; if a
        store has two rows for one day; if sales are negative, no whole numbers, blank on an open
        day or above zero on a closed one; if a state holiday has an unknown code; if an
        attribute changes within a store or a distance is not positive; if fewer than two stores
        sell.

    Examples
    --------
    >>> panel = as_store_panel(simulate_stores(6, seed=1, n_days=400).data)
    >>> panel.sales.shape, len(panel.features)
    ((6, 400), 23)
    """
    frame = _checked(frame)
    store, stores = _coded(frame["store"])
    start = frame["date"].min()
    dates = pd.date_range(start, frame["date"].max(), name="date")
    day = (frame["date"] - start).dt.days.to_numpy()
    place = store * dates.size + day

    code, calendar = _calendar(frame)
    pattern = np.full(len(stores) * dates.size, -1, np.int16)
    pattern[place] = code
    is_open = frame["open"].to_numpy() == 1
    sales = np.full(pattern.size, np.nan, np.float32)
    sales[place[is_open]] = frame["sales"].to_numpy()[is_open]
    shape = len(stores), dates.size
    first = np.unique(store, return_index=True)[1]
    return StorePanel(
        stores=stores,
        dates=dates,
        sales=sales.reshape(shape),
        pattern=pattern.reshape(shape),
        calendar=calendar,
        attributes=_attributes(frame, store, first).set_axis(list(stores)),
        source=source,
    )


def _checked(frame: pd.DataFrame) -> pd.DataFrame:
    """Parsed columns, every value fit for use."""
    require_columns(frame, _REQUIRED)
    known = (*_REQUIRED, *_OPTIONAL)
    unknown = [str(name) for name in frame.columns if name not in known]
    if unknown:
        raise DataError(
            f"{listed(unknown)}: unknown column{'s' * (len(unknown) > 1)} "
            f"(known: {listed(known, len(known))}); drop or rename"
        )
    if not frame.index.is_unique or not pd.api.types.is_integer_dtype(frame.index.dtype):
        frame = frame.reset_index(drop=True)
    frame = frame.assign(date=parse_dates(frame), store=_names(frame, "store"))
    check_unique(frame, _KEYS)
    for column in ("open", "promo", "school_holiday", "promo2"):
        if column in frame:
            frame[column] = _flag(frame, column)
    closed = frame["open"] == 0
    sales = numbers(frame, "sales", _KEYS, negative="set refunds to 0")
    refuse(
        frame,
        sales.isna() & ~closed,
        "sales",
        "blank value{s} on an open day",
        "fill in the sales, or set open to 0",
        _KEYS,
    )
    refuse(
        frame,
        closed & (sales > 0),
        "sales",
        "value{s} above zero on a closed day",
        "set open to 1, or sales to 0",
        _KEYS,
    )
    refuse(
        frame,
        (sales % 1 != 0) & sales.notna(),
        "sales",
        "fractional value{s}",
        "round to whole units: the model counts",
        _KEYS,
    )
    frame["sales"] = sales
    selling = frame.loc[~closed, "store"].nunique()
    if selling < 2:
        raise DataError(f"store: {selling} with an open day; at least two are needed")
    if "state_holiday" in frame:
        codes = _names(frame, "state_holiday")
        refuse(
            frame.assign(state_holiday=codes),
            ~codes.isin(STATE_HOLIDAYS),
            "state_holiday",
            "unknown code{s}",
            f"use {', '.join(STATE_HOLIDAYS)} (none, public holiday, Easter, Christmas)",
            _KEYS,
        )
        frame["state_holiday"] = codes
    return frame


def _names(frame: pd.DataFrame, column: str) -> pd.Series:
    """Names of a column that holds few different ones, a million rows in no time."""
    code, values = pd.factorize(frame[column], use_na_sentinel=False)
    first = np.full(len(values), -1)
    first[code[::-1]] = np.arange(code.size)[::-1]
    # numbers in the first row of each value, so that an error names the right one
    distinct = pd.DataFrame({column: values}, index=frame.index[first])
    names = text(distinct, column).to_numpy(object)
    return pd.Series(names[code], index=frame.index)


def _flag(frame: pd.DataFrame, column: str) -> pd.Series:
    values = numbers(frame, column, _KEYS, blank="write 0 or 1")
    odd = ~values.isin([0, 1])
    refuse(frame, odd, column, "value{s} other than 0 and 1", "write 0 or 1", _KEYS)
    return values.astype(np.int8)


def _coded(names: pd.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    """Integer codes and sorted names, in the order of numbers where all names are numbers."""
    code, present = pd.factorize(names)
    value = pd.to_numeric(pd.Series(present), errors="coerce")
    plain = present.astype(str)
    order = np.lexsort([plain, value if value.notna().all() else plain])
    rank = np.empty(order.size, int)
    rank[order] = np.arange(order.size)
    return rank[code], tuple(str(name) for name in present[order])


def _calendar(frame: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """Pattern of each row, and the features of each pattern."""
    holiday = np.zeros(len(frame), int)
    if "state_holiday" in frame:
        holiday = pd.Categorical(frame["state_holiday"], categories=STATE_HOLIDAYS).codes
    school = frame["school_holiday"].to_numpy() if "school_holiday" in frame else 0
    weekday = frame["date"].dt.day_of_week.to_numpy()
    packed = ((weekday * 2 + frame["promo"].to_numpy()) * 4 + holiday) * 2 + school
    patterns, code = np.unique(packed, return_inverse=True)
    levels = {
        "weekday": (patterns // 16, WEEKDAYS),
        "state_holiday": (patterns // 2 % 4, STATE_HOLIDAYS),
    }
    columns = {f"weekday_{name}": patterns // 16 == i for i, name in enumerate(WEEKDAYS)}
    columns["promo"] = patterns // 8 % 2
    observed = np.unique(levels["state_holiday"][0])
    if observed.size > 1:  # one level alone is another intercept
        columns |= {
            f"state_holiday_{STATE_HOLIDAYS[k]}": levels["state_holiday"][0] == k for k in observed
        }
    if "school_holiday" in frame:
        columns["school_holiday"] = patterns % 2
    return code, pd.DataFrame(columns).astype(np.float32)


def _attributes(frame: pd.DataFrame, store: np.ndarray, first: np.ndarray) -> pd.DataFrame:
    """Features of each store; a distance enters as a standardised logarithm."""
    columns: dict[str, np.ndarray] = {}
    for name in (name for name in _ATTRIBUTES if name in frame):
        given = frame[name]
        at_first = given.iloc[first].iloc[store].set_axis(given.index)
        refuse(
            frame,
            (given != at_first) & ~(given.isna() & at_first.isna()),
            name,
            "value{s} unlike the store's first",
            "give each store one value",
            _KEYS,
        )
        of_store = frame.iloc[first]
        if name == "competition_distance":
            distance = numbers(of_store, name, _KEYS)
            low = distance <= 0
            refuse(
                of_store, low, name, "value{s} not above zero", "leave unknown ones blank", _KEYS
            )
            log = np.log(distance.to_numpy())
            spread = np.nanstd(log) if np.isfinite(log).any() else 0.0
            if spread > 0:  # an unknown distance counts as a middling one
                columns[name] = np.nan_to_num((log - np.nanmean(log)) / spread)
            continue
        levels = _names(of_store, name)
        if levels.nunique() > 1:
            columns |= {f"{name}_{k}": (levels == k).to_numpy() for k in sorted(levels.unique())}
    return pd.DataFrame(columns, index=range(first.size)).astype(np.float32)


def load_stores(
    path: str | Path | None = None,
    *,
    n_stores: int = 1115,
    n_days: int = 942,
    seed: int = 0,
) -> StorePanel:
    """Read daily sales of stores: Kaggle's, a file of your own, or a simulated twin.

    Parameters
    ----------
    path : str or pathlib.Path, optional
        A folder with Kaggle's ``train`` and ``store`` (``.csv`` or ``.parquet``), or one
        ``.csv`` or ``.parquet`` file with a row a store and day: ``date``, ``store``, ``sales``,
        ``open``, ``promo``; optional ``school_holiday``, ``state_holiday`` (codes 0, a, b, c),
        ``store_type``, ``assortment``, ``competition_distance``, ``promo2``. By default
        ``MARKET_BOOK_DATA`` names the folder; without it the sales are simulated.
    n_stores, n_days : int
        How many stores and days of Kaggle's data or of the twin; a file is read whole.
    seed : int
        Seed of the twin.

    Returns
    -------
    StorePanel
        Stores by days; ``source`` says which of the three it is.

    Raises
    ------
    FileNotFoundError
        If the named folder does not hold the two files.
    helpers.tables.DataError
        As :func:`as_store_panel` and :func:`helpers.rossmann.load_rossmann`.

    Examples
    --------
    >>> load_stores("sales.xlsx")
    Traceback (most recent call last):
    helpers.tables.DataError: sales.xlsx: the file ends in '.xlsx'; save it as .csv or .parquet
    """
    if path is not None and not Path(path).is_dir():
        return as_store_panel(read_table(path))
    if path is None and not os.environ.get("MARKET_BOOK_DATA"):
        twin = simulate_stores(
            n_stores, seed=seed, n_days=n_days, truth=StoresTruth(season=0.1, week_sd=0.06)
        )
        panel = as_store_panel(twin.data, source="simulated")
        return replace(panel, truth=twin.truth)
    frame = load_rossmann(path)
    kept = [name for name in _KAGGLE if name in frame]
    panel = as_store_panel(frame[kept].rename(columns=_KAGGLE), source="rossmann")
    return panel.take(stores=slice(n_stores), days=slice(n_days))


@dataclass(frozen=True)
class StoresTruth:
    """Population from which :func:`simulate_stores` draws its stores.

    Effects are on the scale of log sales; a ``_sd`` says how much stores differ in it.

    Attributes
    ----------
    level, level_sd : float
        Log sales on a plain day.
    weekday : tuple of float
        Effects of Monday to Sunday.
    weekday_sd : tuple of float
        Their standard deviations over stores.
    promo, promo_sd : float
        Effect of a promotion.
    state_holiday : tuple of float
        Effects of a public holiday, Easter and Christmas against none.
    state_holiday_sd : float
        Their standard deviation over stores.
    school_holiday, school_holiday_sd : float
        Effect of school holidays.
    distance : float
        Effect of a competitor's log distance, by standard deviation.
    store_type : tuple of float
        Effects of types a to d.
    assortment : tuple of float
        Effects of assortments a to c.
    promo2 : float
        Effect of a store's taking part in the long promotion.
    dispersion, dispersion_sd : float
        Log dispersion :math:`d`: the variance of a day is :math:`\\mu (1 + e^d)`.
    season : float
        Amplitude of a season with a peak in December, which the model here lacks.
    week_sd : float
        Standard deviation of a shock that a store's week shares, which no model there has.

    Examples
    --------
    >>> StoresTruth(promo=0.2).promo
    0.2
    """

    level: float = 8.65
    level_sd: float = 0.28
    weekday: tuple[float, ...] = (0.18, 0.03, -0.03, -0.03, 0.02, -0.02, -0.15)
    weekday_sd: tuple[float, ...] = (0.06, 0.04, 0.04, 0.04, 0.04, 0.12, 0.2)
    promo: float = 0.3
    promo_sd: float = 0.11
    state_holiday: tuple[float, ...] = (-0.1, 0.1, -0.1)
    state_holiday_sd: float = 0.1
    school_holiday: float = 0.03
    school_holiday_sd: float = 0.03
    distance: float = -0.03
    store_type: tuple[float, ...] = (0.0, 0.4, 0.02, -0.05)
    assortment: tuple[float, ...] = (0.0, 0.1, 0.08)
    promo2: float = -0.08
    dispersion: float = 5.4
    dispersion_sd: float = 0.4
    season: float = 0.0
    week_sd: float = 0.0


def simulate_stores(
    n_stores: int = 1115,
    *,
    seed: int,
    n_days: int = 942,
    truth: StoresTruth | None = None,
) -> Simulation:
    r"""Simulate a chain whose days, gaps and sizes resemble Rossmann's.

    Sales of store :math:`i` on an open day :math:`t` are negative binomial with

    .. math:: \log \mu_{it} = \theta_i^\top x_{it} + s_t + w_{i,\text{week}(t)}, \qquad
        \text{Var}(y_{it}) = \mu_{it} (1 + e^{d_i}).

    Parameters
    ----------
    n_stores : int
        Stores, at least 6.
    seed : int
        Seed of everything random.
    n_days : int
        Days from 2013-01-01, at least 360 if every kind of holiday is to occur.
    truth : StoresTruth, optional
        The population.

    Returns
    -------
    helpers.simulation.Simulation
        ``data`` has the columns that :func:`load_stores` reads. ``truth`` has ``features``,
        ``coef`` of shape (S, F) and ``dispersion`` of shape (S,), and the population's
        ``population``. ``expected`` has ``mean``, shape (S, T), also for closed days.

    Raises
    ------
    ValueError
        If there are fewer than 6 stores or 14 days.

    Examples
    --------
    >>> market = simulate_stores(6, seed=1, n_days=400)
    >>> len(market.data), market.truth["coef"].shape
    (2400, (6, 23))
    """
    if n_stores < 6 or n_days < 14:
        raise ValueError(f"{n_stores} stores, {n_days} days: at least 6 and 14 are needed")
    truth = StoresTruth() if truth is None else truth
    rng = np.random.default_rng(seed)
    dates = pd.date_range("2013-01-01", periods=n_days)
    always = np.zeros(n_stores, bool)  # open on Sundays and holidays
    always[4 + rng.choice(n_stores - 4, max(2, round(0.03 * n_stores)), replace=False)] = True
    attributes = _draw_attributes(n_stores, always, rng)
    weekday = dates.day_of_week.to_numpy()
    promo = ((dates - pd.Timestamp("2012-12-31")).days // 7 % 2 == 0) & (weekday < 5)
    holiday = np.stack([_state_holidays(dates, region) for region in range(4)])
    school = np.stack([_school_holidays(dates, region) for region in range(4)])
    region = rng.integers(4, size=n_stores)
    holiday, school = holiday[region], school[region]

    coef, features = _draw_coefficients(n_stores, truth, rng)
    dispersion = rng.normal(truth.dispersion, truth.dispersion_sd, n_stores)
    by_name = dict(zip(features, coef.T, strict=True))
    mean = np.stack([by_name[f"weekday_{name}"] for name in WEEKDAYS])[weekday].T
    mean += by_name["promo"][:, None] * promo
    for k in range(1, 4):
        mean += by_name[f"state_holiday_{STATE_HOLIDAYS[k]}"][:, None] * (holiday == k)
    mean += by_name["school_holiday"][:, None] * school
    log = np.log(attributes["competition_distance"].to_numpy())
    log = np.nan_to_num((log - np.nanmean(log)) / np.nanstd(log))
    mean += (by_name["competition_distance"] * log)[:, None]
    for name in ("store_type", "assortment", "promo2"):
        chosen = [f"{name}_{value}" for value in attributes[name]]
        mean += np.array([by_name[c][i] for i, c in enumerate(chosen)])[:, None]
    day = dates.day_of_year.to_numpy()
    season = np.cos(2 * np.pi * (day - 355) / _YEAR_DAYS)
    week = (np.arange(n_days) + dates[0].weekday()) // 7  # they begin on Monday
    shock = rng.normal(0, truth.week_sd, (n_stores, week[-1] + 1))
    mean = np.exp(mean + truth.season * np.maximum(season, -0.3) ** 3 + shock[:, week])

    shape = mean * np.exp(-dispersion)[:, None]
    sales = rng.poisson(rng.gamma(shape) * np.exp(dispersion)[:, None])
    is_open = always[:, None] | ((weekday < 6) & (holiday == 0))
    rows = np.ones((n_stores, n_days), bool)
    gap = rng.random(n_stores) < 0.16
    rows[np.ix_(gap, (dates >= "2014-07-01") & (dates < "2015-01-01"))] = False
    where, when = np.nonzero(rows)
    data = pd.DataFrame(
        {
            "date": dates[when],
            "store": where + 1,
            "sales": np.where(is_open, sales, 0)[where, when],
            "open": is_open[where, when].astype(np.int8),
            "promo": promo[when].astype(np.int8),
            "school_holiday": school[where, when].astype(np.int8),
            "state_holiday": np.array(STATE_HOLIDAYS)[holiday[where, when]],
        }
    )
    data = data.join(attributes, on=data["store"] - 1)
    return Simulation(
        data=data[[*_REQUIRED, *_OPTIONAL]],
        truth={
            "features": features,
            "coef": coef,
            "dispersion": dispersion,
            "population": truth,
        },
        expected={"mean": mean},
    )


def _draw_attributes(n_stores, always, rng) -> pd.DataFrame:
    """Type b belongs to stores that are always open; every level occurs."""
    kinds = rng.choice(list("acd"), n_stores, p=[0.55, 0.13, 0.32])
    kinds[:4] = list("acda")
    kinds[np.flatnonzero(always)[: max(1, always.sum() // 2)]] = "b"
    assortment = rng.choice(list("ac"), n_stores, p=[0.53, 0.47])
    assortment[:4] = list("acca")
    assortment[np.flatnonzero(always)[: max(1, always.sum() // 4)]] = "b"
    distance = np.ceil(rng.lognormal(7.75, 1.5, n_stores) / 10) * 10
    distance[rng.random(n_stores) < 0.003] = np.nan
    promo2 = (rng.random(n_stores) < 0.51).astype(int)
    promo2[:2] = 0, 1
    return pd.DataFrame(
        {
            "competition_distance": distance,
            "store_type": kinds,
            "assortment": assortment,
            "promo2": promo2,
        }
    )


def _draw_coefficients(n_stores, truth, rng) -> tuple[np.ndarray, tuple[str, ...]]:
    """Coefficients of each store; the weekdays carry the level, a first level has none."""
    level = rng.normal(truth.level, truth.level_sd, (n_stores, 1))
    week = level + rng.normal(truth.weekday, truth.weekday_sd, (n_stores, 7))

    def spread(mean, sd):
        return rng.normal(mean, sd, (n_stores, np.size(mean)))

    blocks = {
        tuple(f"weekday_{name}" for name in WEEKDAYS): week,
        ("promo",): spread(truth.promo, truth.promo_sd),
        tuple(f"state_holiday_{k}" for k in STATE_HOLIDAYS): spread(
            (0.0, *truth.state_holiday), (0.0, *[truth.state_holiday_sd] * 3)
        ),
        ("school_holiday",): spread(truth.school_holiday, truth.school_holiday_sd),
        ("competition_distance",): spread(truth.distance, 0.0),
        tuple(f"store_type_{k}" for k in "abcd"): spread(truth.store_type, 0.0),
        tuple(f"assortment_{k}" for k in "abc"): spread(truth.assortment, 0.0),
        ("promo2_0", "promo2_1"): spread((0.0, truth.promo2), 0.0),
    }
    names = tuple(name for block in blocks for name in block)
    return np.concatenate(list(blocks.values()), axis=1), names


def _state_holidays(dates: pd.DatetimeIndex, region: int) -> np.ndarray:
    """Code of each day: 0 none, 1 public, 2 Easter, 3 Christmas; some only in some regions."""
    from dateutil.easter import easter

    code = np.zeros(dates.size, int)
    fixed = {(1, 1): 1, (5, 1): 1, (10, 3): 1, (12, 25): 3, (12, 26): 3}
    if region % 2:
        fixed |= {(1, 6): 1, (11, 1): 1}
    for (month, day), kind in fixed.items():
        code[(dates.month == month) & (dates.day == day)] = kind
    for year in sorted(set(dates.year)):
        sunday = pd.Timestamp(easter(year))
        for shift, kind in ((-2, 2), (1, 2), (39, 1), (50, 1)):
            code[dates == sunday + pd.Timedelta(days=shift)] = kind
    return code


def _school_holidays(dates: pd.DatetimeIndex, region: int) -> np.ndarray:
    """Four seasons of holidays, the summer's at another time in each region."""
    day = dates.day_of_year.to_numpy()
    summer = 172 + 12 * region
    away = (day <= 5) | (day >= 357) | ((day >= 84) & (day <= 97))
    away |= (day >= summer) & (day < summer + 42) | ((day >= 285) & (day <= 297))
    return (away & (dates.day_of_week < 5)).astype(int)


@dataclass(frozen=True, eq=False)
class Cells:
    r"""What a negative binomial likelihood needs to know of the sales, stores first.

    A cell is a store and a calendar pattern. With :math:`u = \log \alpha` its days enter by
    their number, their sum, and a smooth function of one number,
    :math:`h(u) = \sum_t \log\Gamma(e^u + y_t) - \log\Gamma(e^u) - \log\Gamma(y_t + 1)`,
    kept as Chebyshev coefficients on an interval around a moment estimate of :math:`u`; outside
    it goes on as a straight line. NB1 needs it by cell, NB2 by store.

    Attributes
    ----------
    family : {"nb1", "nb2"}
        Variance :math:`\mu (1 + e^d)`, or :math:`\mu + \mu^2 e^{-d}`.
    n : array, shape (S, P)
        Open days of each cell.
    total : array, shape (S, P)
        Their sales.
    h : array, shape (DEGREE + 1, S, P) or (DEGREE + 1, S, 1)
        Chebyshev coefficients.
    centre : array, shape (S, P) or (S, 1)
        Centre of the interval.
    calendar : array, shape (P, J)
        Features of the patterns.
    attributes : array, shape (S, K)
        Features of the stores.
    features : tuple of str
        Names of the J + K features.
    """

    family: Family
    n: np.ndarray
    total: np.ndarray
    h: np.ndarray
    centre: np.ndarray
    calendar: np.ndarray
    attributes: np.ndarray
    features: tuple[str, ...]

    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays by name in single precision, as the models take them.

        Returns
        -------
        dict of array
            Everything but the names.
        """
        names = ("n", "total", "h", "centre", "calendar", "attributes")
        return {name: getattr(self, name).astype(np.float32) for name in names}

    def take(self, stores: slice | np.ndarray) -> Cells:
        """Keep some stores.

        Parameters
        ----------
        stores : slice or array
            Positions.

        Returns
        -------
        Cells
            The part.
        """
        parts = {name: getattr(self, name)[stores] for name in ("n", "total", "centre")}
        return replace(self, h=self.h[:, stores], attributes=self.attributes[stores], **parts)


def count_cells(
    panel: StorePanel, *, family: Family = "nb1", dispersion: float | None = None
) -> Cells:
    """Reduce the sales to what the likelihood needs, once for all steps of a fit.

    Parameters
    ----------
    panel : StorePanel
        Sales; what is NaN does not count.
    family : {"nb1", "nb2"}
        Negative binomial with a variance linear or quadratic in the mean.
    dispersion : float, optional
        Log dispersion (NB1) around which to tabulate, where a store has too few days to tell. By
        default each store's own moment estimate.

    Returns
    -------
    Cells
        The table, in double precision.

    Raises
    ------
    ValueError
        If the family is another one.

    Examples
    --------
    >>> panel = as_store_panel(simulate_stores(6, seed=1, n_days=400).data)
    >>> cells = count_cells(panel)
    >>> int(cells.n.sum()) == int(np.isfinite(panel.sales).sum())
    True
    """
    if family not in ("nb1", "nb2"):
        raise ValueError(f"family {family!r}: use 'nb1' or 'nb2'")
    n_stores, n_patterns = len(panel.stores), len(panel.calendar)
    store, day = np.nonzero(np.isfinite(panel.sales))
    y = panel.sales[store, day].astype(float)
    cell = store * n_patterns + panel.pattern[store, day]
    shape = n_stores, n_patterns

    def summed(values=None):
        return np.bincount(cell, values, minlength=n_stores * n_patterns)

    n, total = summed().astype(float), summed(y)
    centre = _moment_centre(store, cell, y, n, total, n_stores, n_patterns, dispersion)
    if family == "nb2":
        group, centre = store, np.median(centre.reshape(shape), axis=1)
        n_groups = n_stores
    else:
        group, n_groups = cell, n.size
    days = np.bincount(group, minlength=n_groups)
    # values at Chebyshev's nodes, then a discrete cosine transform to coefficients
    nodes = np.cos(np.pi * (np.arange(DEGREE + 1) + 0.5) / (DEGREE + 1))
    factorial = np.bincount(group, gammaln(y + 1), minlength=n_groups)
    values = np.empty((nodes.size, n_groups))
    for k, node in enumerate(nodes):
        alpha = np.exp(centre + HALF_WIDTH * node)
        sums = np.bincount(group, gammaln(alpha[group] + y), minlength=n_groups)
        values[k] = sums - days * gammaln(alpha) - factorial
    weights = chebyshev.chebvander(nodes, DEGREE) * (2 / nodes.size)
    weights[:, 0] /= 2
    h = weights.T @ values
    by_group = (n_stores, n_groups // n_stores)
    return Cells(
        family=family,
        n=n.reshape(shape),
        total=total.reshape(shape),
        h=h.reshape(DEGREE + 1, *by_group),
        centre=centre.reshape(by_group),
        calendar=panel.calendar.to_numpy(float),
        attributes=panel.attributes.to_numpy(float),
        features=panel.features,
    )


def _moment_centre(store, cell, y, n, total, n_stores, n_patterns, known_dispersion=None):
    """Moment estimate of log alpha of NB1 by cell; its mean minus the store's log dispersion."""
    mean = total / np.maximum(n, 1)
    square = np.bincount(store, (y - mean[cell]) ** 2, minlength=n_stores)
    expected = np.bincount(store, mean[cell] * (1 - 1 / n[cell]), minlength=n_stores)
    ratio = np.where(expected > 0, square / np.maximum(expected, 1e-9), np.nan)
    known = np.isfinite(ratio) & (ratio > 0)
    ratio = np.where(known, ratio, np.median(ratio[known]) if known.any() else 2.0)
    dispersion = np.log(np.maximum(ratio - 1, 0.1))
    if known_dispersion is not None:
        dispersion = np.full(n_stores, float(known_dispersion))
    overall = np.bincount(store, y, minlength=n_stores) / np.maximum(
        np.bincount(store, minlength=n_stores), 1
    )
    overall = np.where(overall > 0, overall, max(float(y.mean()) if y.size else 1.0, 0.1))
    filled = np.where(n > 0, mean, np.repeat(overall, n_patterns))
    filled = np.maximum(filled, 0.1 * np.repeat(overall, n_patterns))
    return np.log(filled) - np.repeat(dispersion, n_patterns)


def contrasts(
    coef: np.ndarray, attributes: np.ndarray, features: Sequence[str]
) -> dict[str, np.ndarray]:
    """Contrasts that a store's own sales identify, although all dummies enter together.

    A weekday is compared with the mean of Monday to Saturday, a state holiday with none.
    ``level`` is the log of the sales on a mean weekday without promotion and holidays; what is
    constant within a store is part of it.

    Parameters
    ----------
    coef : array, shape (..., S, F)
        Coefficients, draws in front.
    attributes : array, shape (S, K)
        Features of the stores, the last K of the F.
    features : sequence of str
        Names of the features, as ``StorePanel.features``.

    Returns
    -------
    dict of array, shape (..., S)
        ``level``, the weekdays, and each other feature of the calendar.

    Examples
    --------
    >>> coef = np.array([[8.1, 8.3, 0.2, 0.5]])
    >>> names = ["weekday_Mon", "weekday_Tue", "promo", "promo2_1"]
    >>> {name: value.round(2).tolist() for name, value in contrasts(coef, [[1]], names).items()}
    {'level': [8.7], 'weekday_Mon': [-0.1], 'weekday_Tue': [0.1], 'promo': [0.2]}
    """
    attributes = np.asarray(attributes)
    n_calendar = len(features) - attributes.shape[1]
    value = {name: coef[..., i] for i, name in enumerate(features[:n_calendar])}
    week = [name for name in value if name.startswith("weekday_")]
    plain = np.mean([value[name] for name in week if name != "weekday_Sun"], axis=0)
    none = value.pop("state_holiday_0", 0.0)
    base = dict.fromkeys(week, plain)
    base |= {name: none for name in value if name.startswith("state_holiday_")}
    level = plain + none + (coef[..., n_calendar:] * attributes).sum(-1)
    return {"level": level} | {name: value[name] - base.get(name, 0.0) for name in value}
