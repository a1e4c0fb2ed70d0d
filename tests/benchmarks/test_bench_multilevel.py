"""What `make bench` measured meets its targets, and all ways found the same posterior."""

from __future__ import annotations

import json

import numpy as np
import pytest

from helpers.bookmaking.cli import CHECKOUT


@pytest.fixture(scope="module")
def rows():
    return json.loads((CHECKOUT / "book" / "performance.json").read_text())["ways"]


@pytest.fixture(scope="module")
def ways(rows):
    return {row["way"]: row for row in rows if "growth" not in row}


def ess(row):
    return min(row["ess_bulk"], row["ess_tail"])


def test_collapsed_is_twenty_times_as_fast(ways):
    source, ours = ways["as_in_the_source"], ways["collapsed"]
    assert ess(ours) >= 1000
    assert ours["seconds"] <= source["seconds"] / 20
    assert ess(ours) / ours["seconds"] >= 10 * ess(source) / source["seconds"]
    assert ours["peak_mb"] < source["peak_mb"]


def test_nothing_diverged(rows):
    assert [row["divergences"] for row in rows] == [0] * len(rows)


def test_a_hundred_times_the_rows_take_less_than_twice_the_time(rows, ways):
    ours, longest = ways["collapsed"], max(rows, key=lambda row: row["rows"])
    assert longest["rows"] == 100 * ours["rows"]
    assert longest["seconds"] < 2 * ours["seconds"]
    assert longest["peak_mb"] < 2 * ours["peak_mb"]
    assert longest["rhat"] <= 1.01 and ess(longest) >= 400


def test_all_ways_agree(ways):
    source = ways["as_in_the_source"]
    for way in ways.values():
        off = np.subtract(way["elasticity"], source["elasticity"])
        error = np.hypot(way["elasticity_mcse"], source["elasticity_mcse"])
        assert (np.abs(off) < 4.5 * error + 1e-4).all(), way["way"]
