"""Tests of `helpers.cities.simulate`."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from helpers.cities.simulate import TwoCitiesTruth, simulate_two_cities

SEEDS = range(8)

TRUTH = TwoCitiesTruth()


def sales_of(market):
    return market.data["sales"].to_numpy().reshape(-1, 2)


def ads_on_demand(timing, seeds=SEEDS):
    """Mean drift on ad days less drift elsewhere, in its sd; shape (seeds, cities)."""
    gaps = []
    for seed in seeds:
        expected = simulate_two_cities(seed=seed, timing=timing).expected
        on, drift = expected["ads"] > 0, expected["drift"] / TRUTH.drift_sd
        gaps.append([drift[on[:, c]].mean() - drift[~on[:, c]].mean() for c in range(2)])
    return np.array(gaps)


def test_least_squares_on_the_known_parts_recovers_the_truth():
    market = simulate_two_cities(3000, seed=3)
    known, truth = market.expected, market.truth
    day = np.arange(3000)
    weekday = np.eye(7)[pd.date_range("2023-01-02", periods=3000).day_of_week]
    scale = [truth["squeeze"], 1.0]
    for c, loading in enumerate([1.0, truth["loading_b"]]):
        design = np.column_stack([day / 365.25, weekday, known["shock"], known["ads"][:, c]])
        target = sales_of(market)[:, c] - known["own_drift"][:, c] - known["own_spikes"][:, c]
        estimate = np.linalg.lstsq(design, target, rcond=None)[0]
        error = truth["noise_sd"][c] * np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
        expected = [
            truth["trend_per_year"][c],
            *(truth["intercept"][c] + scale[c] * np.asarray(truth["weekday_b"])),
            loading,
            truth["lift"][c],
        ]
        np.testing.assert_array_less(np.abs(estimate - expected), 4 * error)


def test_noise_has_its_standard_deviation_and_no_correlation_between_cities():
    market = simulate_two_cities(4000, seed=5)
    noise = sales_of(market) - market.expected["mean"]
    np.testing.assert_allclose(noise.std(axis=0), TRUTH.noise_sd, rtol=0.05)
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=4 * max(TRUTH.noise_sd) / 4000**0.5)
    assert abs(np.corrcoef(noise.T)[0, 1]) < 4 / 4000**0.5


def test_drift_has_no_level_and_no_line_and_the_asked_spread():
    truth = replace(TRUTH, own_drift_sd=(20.0, 0.0))
    expected = simulate_two_cities(seed=1, truth=truth).expected
    day = np.arange(730)
    for walk, sd in [(expected["drift"], 60.0), (expected["own_drift"][:, 0], 20.0)]:
        assert walk.std() == pytest.approx(sd)
        assert walk.mean() == pytest.approx(0, abs=1e-9)
        assert np.corrcoef(walk, day)[0, 1] == pytest.approx(0, abs=1e-9)
    assert not expected["own_drift"][:, 1].any()


def test_shared_and_own_days_are_where_the_truth_says():
    market = simulate_two_cities(seed=2)
    truth, expected = market.truth, market.expected
    np.testing.assert_array_equal(np.flatnonzero(expected["shared_spikes"]), truth["shared_days"])
    for c, city in enumerate("AB"):
        days = truth[f"own_days_{city}"]
        np.testing.assert_array_equal(np.flatnonzero(expected["own_spikes"][:, c]), days)
        assert not np.isin(days, truth["shared_days"]).any()
    assert truth["shared_days"].size == 24 and truth["own_days_A"].size == 12
    known = np.flatnonzero(market.data["event"].notna().to_numpy()[::2])
    assert known.size == 8 and np.isin(known, truth["shared_days"]).all()


def test_loading_scales_the_shock_of_city_b():
    one, other = (
        simulate_two_cities(seed=4, truth=replace(TRUTH, loading_b=loading)).expected
        for loading in (0.8, 0.3)
    )
    np.testing.assert_array_equal(one["mean"][:, 0], other["mean"][:, 0])
    quiet = (one["own_spikes"] == 0).all(axis=1)
    difference = (one["mean"] - other["mean"])[quiet, 1]
    np.testing.assert_allclose(difference, 0.5 * one["shock"][quiet], atol=1e-9)


def test_campaigns_are_whole_apart_and_as_many_as_asked():
    for seed in SEEDS:
        ads = simulate_two_cities(seed=seed).expected["ads"]
        assert ads.sum(axis=0).tolist() == [84, 84]
        assert not (ads[:, 0] * ads[:, 1]).any()
        assert (np.diff(np.r_[0, ads[:, 0]]) > 0).sum() == 6


def test_timing_moves_campaigns_with_demand():
    assert ads_on_demand("avoid").mean() < -0.3
    assert ads_on_demand("chase").mean() > 0.3
    assert abs(ads_on_demand("random").mean()) < 0.3


@pytest.mark.parametrize("timing", ["avoid", "chase"])
def test_timing_biases_both_cities_alike(timing):
    gaps = ads_on_demand(timing, seeds=range(80))
    difference = gaps[:, 0] - gaps[:, 1]
    error = difference.std(ddof=1) / len(difference) ** 0.5
    assert abs(difference.mean()) < 3 * error
    assert 3 * error < abs(gaps.mean()) / 3  # the study could see a city that always comes first


def test_simultaneous_campaigns_are_the_same_in_both_cities():
    ads = simulate_two_cities(seed=1, timing="simultaneous").expected["ads"]
    np.testing.assert_array_equal(ads[:, 0], ads[:, 1])
    assert ads.any()


def test_the_seed_decides():
    one, again, other = (simulate_two_cities(seed=seed).data for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, again)
    assert (one["sales"] != other["sales"]).mean() > 0.9


def test_limits():
    nothing = replace(
        TRUTH,
        drift_sd=0.0,
        n_shared_days=0,
        n_known_days=0,
        n_own_days=0,
        n_campaigns=0,
        noise_sd=(0.0, 0.0),
        trend_per_year=(0.0, 0.0),
        weekday_b=(0.0,) * 7,
    )
    sales = sales_of(simulate_two_cities(30, seed=1, truth=nothing))
    assert np.unique(sales, axis=0).tolist() == [[900.0, 640.0]]
    rising = replace(nothing, trend_per_year=(36.525, 0.0))
    step = np.diff(simulate_two_cities(30, seed=1, truth=rising).expected["mean"], axis=0)
    np.testing.assert_allclose(step, [[0.1, 0.0]] * 29, atol=1e-9)
    poor = replace(nothing, intercept=(-5.0, 5.0))
    assert np.unique(sales_of(simulate_two_cities(30, seed=1, truth=poor)), axis=0).tolist() == [
        [0.0, 5.0]
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"timing": "always"},
            "timing='always' is unknown; use one of random, simultaneous, avoid",
        ),
        ({"n_days": 40}, "n_days=40 is fewer than the 48 shared and own days asked"),
        ({"n_days": 150}, "n_days=150 leaves no room for 6 campaigns of 14 days in each city; use"),
    ],
)
def test_simulator_refuses(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        simulate_two_cities(seed=1, **arguments)
