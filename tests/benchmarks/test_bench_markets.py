"""What `make bench` measured of more and more markets meets its targets."""

from __future__ import annotations

import json

import pytest

from helpers.bookmaking.cli import CHECKOUT


@pytest.fixture(scope="module")
def sizes():
    path = CHECKOUT / "book" / "performance_markets.json"
    if not path.exists():
        pytest.skip("not measured yet: make bench")
    record = json.loads(path.read_text())
    return {(one["markets"], one["weeks"], one["channels"]): one for one in record["sizes"]}


def test_six_markets_take_less_than_two_minutes(sizes):
    small = sizes[6, 104, 3]
    assert small["draws"] == 4000 and small["seconds"] < 120
    assert small["rhat"] <= 1.01 and small["ess"] >= 400


def test_forty_markets_take_less_than_fifteen_minutes(sizes):
    large = sizes[40, 156, 5]
    assert large["seconds"] < 900
    assert large["rhat"] <= 1.02 and large["ess"] >= 400


def test_nothing_diverged(sizes):
    assert [one["divergences"] for one in sizes.values()] == [0] * len(sizes)
