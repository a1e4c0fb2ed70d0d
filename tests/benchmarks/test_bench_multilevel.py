"""What `make bench` measured meets its targets, and all ways found the same posterior."""

from __future__ import annotations

import json

import numpy as np
import pytest

from helpers.bookmaking.cli import CHECKOUT


@pytest.fixture(scope="module")
def ways():
    record = json.loads((CHECKOUT / "book" / "performance.json").read_text())
    return {way["way"]: way for way in record["ways"] if "growth" not in way}


def test_collapsed_is_twenty_times_as_fast(ways):
    source, ours = ways["as_in_the_source"], ways["collapsed"]
    assert ours["ess"] >= 1000
    assert ours["seconds"] <= source["seconds"] / 20
    assert ours["ess"] / ours["seconds"] >= 10 * source["ess"] / source["seconds"]
    assert ours["peak_mb"] < source["peak_mb"]


def test_nothing_diverged(ways):
    assert [way["divergences"] for way in ways.values()] == [0] * len(ways)


def test_all_ways_agree(ways):
    source = ways["as_in_the_source"]
    for way in ways.values():
        off = np.subtract(way["elasticity"], source["elasticity"])
        error = np.hypot(way["elasticity_mcse"], source["elasticity_mcse"])
        assert (np.abs(off) < 4.5 * error + 1e-4).all(), way["way"]
