"""What `make bench` measured of more and more markets meets its targets."""

from __future__ import annotations

import json

import pytest

from helpers.bookmaking.cli import CHECKOUT


@pytest.fixture(scope="module")
def sizes():
    record = json.loads((CHECKOUT / "book" / "performance_markets.json").read_text())
    return {(one["markets"], one["weeks"], one["channels"]): one for one in record["sizes"]}


def test_six_markets_take_less_than_two_minutes(sizes):
    assert sizes[6, 104, 3]["seconds"] < 120


def test_forty_markets_take_less_than_fifteen_minutes(sizes):
    assert sizes[40, 156, 5]["seconds"] < 900


def test_every_size_converged(sizes):
    for one in sizes.values():
        assert one["draws"] == 4000
        assert one["divergences"] == 0
        assert one["rhat"] <= 1.01 and min(one["ess_bulk"], one["ess_tail"]) >= 400
