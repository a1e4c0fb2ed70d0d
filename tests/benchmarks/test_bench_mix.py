"""The media mix is sampled, also on more weeks."""

from __future__ import annotations

import mix


def test_ours_is_sampled_on_more_weeks(monkeypatch):
    monkeypatch.delenv("MARKET_BOOK_DATA", raising=False)
    row = mix.record("nutpie", 2, 20)
    assert row["weeks"] == 2 * 183 and row["draws"] == 80 and row["data"] == "simulated"
    assert 0 < row["compile_seconds"] < row["seconds"]
