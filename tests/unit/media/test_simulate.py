"""Tests of `helpers.media.simulate`."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from helpers.media.simulate import MarketsTruth, MediaTruth, simulate_markets, simulate_media_mix


def test_holidays_fall_into_their_weeks():
    data = simulate_media_mix(seed=3).data.set_index("date")
    for holiday, weeks in {
        "Thanksgiving": ["2014-11-23", "2015-11-22", "2016-11-20", "2017-11-19"],
        "Memorial Day": ["2015-05-24", "2016-05-29", "2017-05-28", "2018-05-27"],
        "Easter": ["2015-04-05", "2016-03-27", "2017-04-16", "2018-04-01"],
        "July 4th": ["2015-06-28", "2016-07-03", "2017-07-02", "2018-07-01"],
    }.items():
        assert data.index[data[holiday] == 1].strftime("%Y-%m-%d").tolist() == weeks


def test_confounded_spend_follows_hidden_demand():
    correlations = []
    for confounding in (0.0, 0.6):
        truth = MediaTruth(confounding=confounding, season_pull=(0.0,) * 7)
        twin = simulate_media_mix(800, seed=5, truth=truth)
        logs = np.log(twin.data[twin.truth["names"]]).mean(axis=1)
        detrended = logs - np.polyval(np.polyfit(range(800), logs, 1), range(800))
        correlations.append(np.corrcoef(detrended, twin.expected["demand"])[0, 1])
    assert abs(correlations[0]) < 0.2 and correlations[1] > 0.8


def test_spend_follows_the_season_as_much_as_its_channel_is_pulled():
    truth = MediaTruth(confounding=0.0, trend=(0.0,) * 7)
    twin = simulate_media_mix(800, seed=5, truth=truth)
    logs = np.log(twin.data[twin.truth["names"]].to_numpy())
    season = twin.expected["season"] / twin.expected["season"].std()
    slopes = (logs - logs.mean(axis=0)).T @ season / len(season)
    assert slopes == pytest.approx(np.array(truth.season_pull), abs=0.07)


def test_one_channel_has_one_effect_and_the_others_are_correlated():
    effect = simulate_markets(4000, seed=1, n_weeks=2).truth["effect"]
    assert np.ptp(effect[:, 2]) == 0
    logs = np.log(effect[:, :2])
    assert logs.std(axis=0) == pytest.approx(np.array([0.5, 0.5]), abs=0.03)
    assert np.corrcoef(logs.T)[0, 1] == pytest.approx(0.6, abs=0.04)


def test_the_seed_decides():
    one, same, other = (simulate_markets(2, seed=s, n_weeks=9).data for s in (1, 1, 2))
    assert one.equals(same) and not one.equals(other)


@pytest.mark.parametrize(
    ("size", "changes", "message"),
    [
        ({"n_markets": 0}, {}, "n_markets = 0: must be at least 1"),
        ({"weeks": [30, 31]}, {}, "weeks: 2 numbers from 2 to n_weeks = 30 are needed"),
        ({"weeks": [30]}, {}, "weeks: 2 numbers from 2 to n_weeks = 30 are needed"),
        ({"shortest": 1}, {}, "shortest = 1: must lie between 2 and n_weeks = 30"),
        ({}, {"effect": (1.0, 2.0)}, "effect: 2 values for 3 channels"),
        ({}, {"effect": (1.0, 2.0, 0.0)}, "effect.2\n  Input should be greater than 0"),
        ({}, {"carry_over": (0.1, 1.0, 0.2)}, "carry_over.1\n  Input should be less than 1"),
        ({}, {"correlation": -0.9}, "correlation = -0.9: must be a possible correlation"),
        ({}, {"max_lag": 0}, "max_lag\n  Input should be greater than or equal to 1"),
    ],
)
def test_impossible_truths_are_refused(size, changes, message):
    sizes = {"n_markets": 2, "seed": 1, "n_weeks": 30} | size
    with pytest.raises(ValueError, match=re.escape(message)):
        simulate_markets(**sizes, truth=replace(MarketsTruth(), **changes))
