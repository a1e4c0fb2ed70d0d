"""Daily sales of two cities whose truth is known."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import pandas as pd

from helpers.data.simulation import Simulation

Timing = Literal["random", "avoid", "chase", "simultaneous"]

_CITY_NAMES = ("A", "B")

#: Log-odds of starting a campaign per standard deviation of a campaign's mean demand.
_TARGETING = {"random": 0.0, "simultaneous": 0.0, "avoid": -1.5, "chase": 1.5}


@dataclass(frozen=True)
class TwoCitiesTruth:
    """Parameters of the two-city market, in orders a day.

    Attributes
    ----------
    intercept, trend_per_year, lift : pair of float
        Of cities A and B; A's loading is 1 by definition.
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


def place_campaigns(
    rng: np.random.Generator, demand: np.ndarray, timing: Timing, n_campaigns: int, length: int
) -> np.ndarray:
    """Draw campaign days; two lengths around each campaign stay free.

    Parameters
    ----------
    rng, demand, timing, n_campaigns, length : Generator, array (n_days,), str, int and int
        Of each city's campaigns of so many days, which seek demand or avoid it, as ``timing`` says.

    Returns
    -------
    array, shape (n_days, 2)
        1 on the days with ads.
    """
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
) -> Simulation:
    """Daily orders of two cities that share drift and sudden days, after :cite:`forum_two_cities`.

    Parameters
    ----------
    n_days, seed, truth : int, int and TwoCitiesTruth
        Number of days, at least 400 for the default campaigns; seed and parameters.
    timing : {"random", "avoid", "chase", "simultaneous"}
        When campaigns start: at random, in low or in high demand, or together.

    Returns
    -------
    Simulation
        Long frame ``date, city, sales, ads, event``, the truth, and the parts of each day's mean.
    """
    truth = truth or TwoCitiesTruth()
    n_special = truth.n_shared_days + 2 * truth.n_own_days
    if n_special > n_days:
        raise ValueError(f"n_days={n_days} is fewer than the {n_special} shared and own days asked")
    rng = np.random.default_rng(seed)
    day = np.arange(n_days)
    dates = pd.date_range("2023-01-02", periods=n_days, freq="D")
    loading = np.array([1.0, truth.loading_b])

    drift = _centred_walk(rng, n_days, truth.drift_sd)
    own_drift = np.column_stack([_centred_walk(rng, n_days, sd) for sd in truth.own_drift_sd])

    special = rng.choice(n_days, n_special, replace=False)
    shared_days = special[: truth.n_shared_days]
    own_days = np.split(special[truth.n_shared_days :], 2)

    def sizes(n):
        return rng.choice([-1.0, 1.0], n) * rng.gamma(9.0, truth.shock_size / 9.0, n)

    shared_spikes, own_spikes = np.zeros(n_days), np.zeros((n_days, 2))
    shared_spikes[shared_days] = sizes(shared_days.size)
    for c in range(2):
        own_spikes[own_days[c], c] = loading[c] * sizes(own_days[c].size)

    ads = place_campaigns(rng, drift, timing, truth.n_campaigns, truth.campaign_days)
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
    for number, known in enumerate(shared_days[: truth.n_known_days], start=1):
        event[known] = f"known day {number}"  # each has a size of its own, hence a name
    data = pd.DataFrame(
        {
            "date": np.repeat(dates, 2),
            "city": np.tile(_CITY_NAMES, n_days),
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
            **{"drift": drift, "shared_spikes": shared_spikes, "shock": shock, "mean": mean},
            **{"own_drift": own_drift, "own_spikes": own_spikes, "ads": ads},
        },
    )
