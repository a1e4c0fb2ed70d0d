"""Tests of `helpers.data.records`."""

from __future__ import annotations

import pytest

from helpers.data import records


def test_a_result_is_kept_beside_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "FILE", tmp_path / "records.json")
    records.keep("first", {"a": 1.5})
    records.keep("second", [1, 2])
    records.keep("first", {"a": 2.5})
    assert records.kept("first")["values"] == {"a": 2.5}
    assert records.kept("second")["values"] == [1, 2]
    assert len(records.kept("first")["date"]) == len("2026-12-01")
    with pytest.raises(KeyError, match="third"):
        records.kept("third")


def test_the_records_of_the_book_hold_each_way_of_forecasting():
    values = records.kept("forecasts")["values"]
    assert {"last four like days", "gradient boosting", "patterns and level"} <= set(values)
    assert all({"CRPS", "CRPS less ours", "error"} <= set(way) for way in values.values())
