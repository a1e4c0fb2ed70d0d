"""Chains of stores whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from helpers.data.simulation import Simulation

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
#: Codes of Kaggle's column: none, public holiday, Easter, Christmas.
STATE_HOLIDAYS = ("0", "a", "b", "c")
_KEYS = ("date", "store")
_REQUIRED = ("date", "store", "sales", "open", "promo")
_ATTRIBUTES = ("competition_distance", "store_type", "assortment", "promo2")
_OPTIONAL = ("state_holiday", "school_holiday", *_ATTRIBUTES)


@dataclass(frozen=True)
class StoresTruth:
    """Population of :func:`simulate_stores`; a ``_sd`` says how much stores differ.

    Attributes
    ----------
    level, weekday, promo, state_holiday, school_holiday : float or tuple of float
        On log sales: a plain day; Monday to Sunday; promotion; public holiday, Easter, Christmas.
    distance, store_type, assortment, promo2 : float or tuple of float
        Of a competitor's log distance, by sd; types a to d; assortments a to c; the long promotion.
    dispersion, season, week_sd : float
        :math:`d`; amplitude of a season that peaks in December; sd of what a store's week shares.
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
    n_stores: int = 1115, *, seed: int, n_days: int = 942, truth: StoresTruth | None = None
) -> Simulation:
    """Simulate a chain whose days, gaps and sizes resemble Rossmann's, with variance mu (1 + e^d).

    Parameters
    ----------
    n_stores, seed, n_days, truth : int, int, int and StoresTruth
        At least 6 stores and 14 days from 2013-01-01 (360 for every kind of holiday).

    Returns
    -------
    helpers.data.simulation.Simulation
        ``data`` as :func:`load_stores` reads it; ``truth`` with ``coef`` (S, F), ``dispersion``
        (S,), ``features``, ``population``; ``expected`` with ``mean`` (S, T), also for closed days.
    """
    if n_stores < 6 or n_days < 14:
        raise ValueError(f"{n_stores} stores, {n_days} days: at least 6 and 14 are needed")
    truth = truth or StoresTruth()
    rng = np.random.default_rng(seed)
    dates = pd.date_range("2013-01-01", periods=n_days)
    always = np.zeros(n_stores, bool)  # open on Sundays and holidays
    always[4 + rng.choice(n_stores - 4, max(2, round(0.03 * n_stores)), replace=False)] = True
    attributes = _draw_attributes(n_stores, always, rng)
    weekday = dates.day_of_week.to_numpy()
    promo = ((dates - pd.Timestamp("2012-12-31")).days // 7 % 2 == 0) & (weekday < 5)
    region = rng.integers(4, size=n_stores)
    of_region = (np.stack([days(dates, k) for k in range(4)]) for days in (_state, _school))
    holiday, school = (days[region] for days in of_region)

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
    season = np.cos(2 * np.pi * (day - 355) / 365.25)
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
    columns = {
        "sales": np.where(is_open, sales, 0),
        "open": is_open.astype(np.int8),
        "promo": np.broadcast_to(promo, rows.shape).astype(np.int8),
        "school_holiday": school.astype(np.int8),
        "state_holiday": np.array(STATE_HOLIDAYS)[holiday],
    }
    columns = {name: values[where, when] for name, values in columns.items()}
    data = pd.DataFrame({"date": dates[when], "store": where + 1} | columns)
    data = data.join(attributes, on=data["store"] - 1)
    return Simulation(
        data=data[[*_REQUIRED, *_OPTIONAL]],
        truth={"features": features, "coef": coef, "dispersion": dispersion, "population": truth},
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
    columns = (distance, kinds, assortment, promo2)
    return pd.DataFrame(dict(zip(_ATTRIBUTES, columns, strict=True)))


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


def _state(dates: pd.DatetimeIndex, region: int) -> np.ndarray:
    """Holiday of each day: 0 none, 1 public, 2 Easter, 3 Christmas; some only in some regions."""
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


def _school(dates: pd.DatetimeIndex, region: int) -> np.ndarray:
    """Four seasons of school holidays, the summer's at another time in each region."""
    day = dates.day_of_year.to_numpy()
    summer = 172 + 12 * region
    away = (day <= 5) | (day >= 357) | ((day >= 84) & (day <= 97))
    away |= (day >= summer) & (day < summer + 42) | ((day >= 285) & (day <= 297))
    return (away & (dates.day_of_week < 5)).astype(int)
