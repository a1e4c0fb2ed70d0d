"""The media mix is sampled, and what `make bench` measured meets its targets."""

from __future__ import annotations

import json

import mix
import pytest

from helpers.bookmaking.cli import CHECKOUT


@pytest.fixture(scope="module")
def rows():
    return json.loads((CHECKOUT / "book" / "performance_mix.json").read_text())["ways"]


@pytest.fixture(scope="module")
def ways(rows):
    return {row["way"]: row for row in rows if "growth" not in row}


def test_every_way_was_measured_on_the_same_data(ways):
    assert {*ways} == {*mix.WAYS}
    assert len({(way["weeks"], way["data"]) for way in ways.values()}) == 1


def test_ours_may_be_read(ways):
    ours = ways["nutpie"]
    assert ours["divergences"] == 0
    assert ours["rhat"] <= 1.01
    assert min(ours["ess_bulk"], ours["ess_tail"]) >= 400


def test_ours_keeps_less_and_ends_sooner(ways):
    source, ours = ways["as_in_the_source"], ways["nutpie"]
    assert ours["draws_mb"] < source["draws_mb"] / 20
    assert ours["peak_mb"] < source["peak_mb"]
    assert ours["seconds"] < source["seconds"]


def test_more_weeks_were_measured(rows):
    grown = [row for row in rows if "growth" in row]
    weeks = grown[0]["weeks"]
    assert [row["weeks"] for row in grown] == [weeks * growth for growth in mix.GROWTH]
    assert {row["data"] for row in grown} == {"simulated"}
    assert max(row["peak_mb"] for row in grown) < 3000


def test_ours_is_sampled_on_more_weeks(monkeypatch):
    monkeypatch.delenv("MARKET_BOOK_DATA", raising=False)
    row = mix.record("nutpie", 2, 20)
    assert row["weeks"] == 2 * 183 and row["draws"] == 80 and row["data"] == "simulated"
    assert 0 < row["compile_seconds"] < row["seconds"]
