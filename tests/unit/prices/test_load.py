"""Tests of `helpers.prices.load`."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pandas as pd
import pytest
from malformed import MALFORMED_PRICES, good_price_frame

from helpers.data.columns import DataError
from helpers.prices import load
from helpers.prices.load import load_price_panel, load_shelf
from helpers.prices.simulate import simulate_prices


def test_a_panel_holds_what_was_simulated():
    market = simulate_prices(12, seed=1, price_response=0.3)
    panel, data = load_price_panel(market.data), market.data
    assert panel.regions == tuple(str(r) for r in range(12))  # "10" after "9"
    np.testing.assert_array_equal(panel.region, data["region_id"])
    np.testing.assert_array_equal(panel.store_region, market.truth["store_region"])
    np.testing.assert_array_equal(panel.store_region[panel.store], panel.region)
    np.testing.assert_array_equal(panel.income, market.truth["income"])
    np.testing.assert_array_equal(panel.log_price, np.log(data["price"]))
    np.testing.assert_array_equal(panel.log_quantity, np.log(data["quantity"]))
    np.testing.assert_allclose(panel.cost, market.expected["log_cost"], atol=1e-12)
    np.testing.assert_array_equal(panel.time, data["time_step"])
    assert panel.stores[0] == "0 / 0" and len(panel.stores) == len(set(panel.stores))


def test_rows_may_come_in_any_order():
    frame = good_price_frame()
    shuffled = frame.sample(frac=1, random_state=1)
    one, other = load_price_panel(frame), load_price_panel(shuffled)
    assert one.regions == other.regions == ("east", "north", "south", "west")
    assert one.stores == other.stores and one.stores[:3] == ("east / 0", "east / 1", "east / 2")
    np.testing.assert_array_equal(one.income, other.income)
    assert one.income.tolist() == [31.0, 30.0, 32.0, 33.0]
    for name in ("region", "store", "log_price", "log_quantity", "time"):
        np.testing.assert_array_equal(getattr(one, name)[shuffled.index], getattr(other, name))


def test_optional_columns_may_be_absent():
    panel = load_price_panel(good_price_frame().drop(columns="median_income"))
    assert panel.income is None and panel.cost is None


def test_csv_and_parquet_with_dates_give_the_same_panel(tmp_path):
    frame = good_price_frame().rename(columns={"time_step": "date"})
    frame["date"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(7 * frame["date"], "D")
    frame["store_id"] = frame["store_id"].astype(float)  # as after a blank elsewhere
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    one, other = (load_price_panel(tmp_path / name) for name in ("t.csv", "t.parquet"))
    assert one.stores == other.stores and one.stores[0] == "east / 0"
    np.testing.assert_array_equal(one.log_price, other.log_price)
    np.testing.assert_array_equal(one.time, other.time)
    assert one.time[1] == np.datetime64("2024-01-08")


def test_any_index_will_do():
    frame = good_price_frame()
    named = frame.set_axis([f"row {i}" for i in range(len(frame))])
    np.testing.assert_array_equal(load_price_panel(named).store, load_price_panel(frame).store)


@pytest.mark.parametrize("name", MALFORMED_PRICES)
def test_malformed_tables_are_refused(tmp_path, name):
    change, message = MALFORMED_PRICES[name]
    frame = change(good_price_frame())
    with pytest.raises(DataError, match=re.escape(message)):
        load_price_panel(frame)
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match=re.escape(message)):
        load_price_panel(tmp_path / "t.csv")


def test_a_shelf_is_the_twin_unless_the_published_table_is_at_hand(monkeypatch, tmp_path):
    monkeypatch.setenv("MARKET_BOOK_DATA", str(tmp_path))
    wide, truth = load_shelf(5, n_weeks=20, seed=1)
    assert wide["sold"].shape == (20, 10) and truth.shape == (5, 2, 2)
    assert list(wide["price"].columns[:2]) == [
        ("area 01", "conventional"),
        ("area 01", "organic"),
    ]


def test_of_areas_that_overlap_the_smallest_are_kept(monkeypatch, tmp_path):
    table = pd.DataFrame({"Date": "2015-01-04", "type": "organic", "AveragePrice": 1.5}, range(11))
    table["region"] = [*load._LARGER, "TotalUS", "Boise", "Tampa"]
    table["Total Volume"] = [*8 * [3.0], 24.0, 1.0, 2.0]
    file = tmp_path / "avocado.csv"
    monkeypatch.setenv("MARKET_BOOK_DATA", str(tmp_path))
    for total in (24.0, 25.0):
        table.loc[8, "Total Volume"] = total
        table.to_csv(file, index=False)
        monkeypatch.setattr(load, "AVOCADOS_SHA256", hashlib.sha256(file.read_bytes()).hexdigest())
        if total == 24:
            wide, truth = load_shelf(seed=1)
            assert truth is None and list(wide["sold"].iloc[0]) == [1.0, 2.0]
        else:
            with pytest.raises(DataError, match="TotalUS"):
                load_shelf(seed=1)
