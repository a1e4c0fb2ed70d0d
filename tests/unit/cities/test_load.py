"""Tests of `helpers.cities.load`."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from chapter_code import from_chapter
from malformed import MALFORMED, MALFORMED_MEDIA, MALFORMED_PRICES, good_frame

from helpers.cities.load import load_two_cities
from helpers.cities.simulate import simulate_two_cities
from helpers.data.columns import DataError

SEEDS = range(8)
(plant_lift,) = from_chapter("what-the-ads-did", "plant_lift")


def sales_of(market):
    return market.data["sales"].to_numpy().reshape(-1, 2)


def test_a_planted_lift_raises_planted_days_only():
    frame = simulate_two_cities(seed=3).data
    frame.loc[40:48:2, "sales"] = np.nan
    series = load_two_cities(frame)
    raised, planted = plant_lift(series, seed=1, lift=0.2, number=2, length=10)
    assert planted.sum(axis=0).tolist() == [20, 20]
    np.testing.assert_allclose(raised.sales, series.sales * np.where(planted > 0, 1.2, 1))
    np.testing.assert_array_equal(raised.ads, series.ads)
    again = plant_lift(series, seed=1, lift=0, number=2, length=10)
    np.testing.assert_array_equal(again[0].sales, series.sales)
    np.testing.assert_array_equal(again[1], planted)


def test_planted_lifts_seek_the_demand_they_are_told_to():
    series = load_two_cities(simulate_two_cities(seed=3).data)
    sales = series.sales / series.sales.mean(axis=0)

    def level(timing):
        found = [plant_lift(series, seed=seed, lift=0, timing=timing)[1] for seed in SEEDS]
        return np.mean([sales[planted > 0].mean() for planted in found])

    assert level("avoid") < level("random") - 0.02 < level("chase") - 0.04


def test_as_two_series_returns_what_was_simulated():
    market = simulate_two_cities(seed=1)
    series = load_two_cities(market.data)
    np.testing.assert_array_equal(series.sales, sales_of(market))
    np.testing.assert_array_equal(series.ads, market.expected["ads"])
    assert series.cities == ("A", "B") and series.days_dropped is None
    assert series.dates[0] == pd.Timestamp("2023-01-02") and len(series.dates) == 730
    named = np.flatnonzero([name is not None for name in series.event])
    assert named.size == 8 and np.isin(named, market.truth["shared_days"]).all()
    assert len(set(series.event[named])) == 8  # one name for days of several sizes has no one fit


def test_rows_in_any_order_and_cities_in_the_order_asked():
    frame = good_frame()
    series = load_two_cities(frame.sample(frac=1, random_state=1), cities=("B", "A"))
    assert series.cities == ("B", "A")
    np.testing.assert_array_equal(series.sales[:, 0], frame["sales"][1::2])
    np.testing.assert_array_equal(series.ads[:, 1], frame["ads"][::2])


def test_optional_columns_may_be_absent_and_further_ones_present():
    frame = good_frame().drop(columns=["ads", "event"])
    for table in (frame, frame.assign(note="x")):
        series = load_two_cities(table)
        assert series.ads.shape == (90, 2) and not series.ads.any()
        assert set(series.event) == {None}


def test_closed_days_are_blank_and_spend_is_kept():
    frame = good_frame()
    frame.loc[[20, 23], "sales"] = np.nan
    series = load_two_cities(frame.assign(ads=frame["ads"] * 12.5))
    assert np.argwhere(np.isnan(series.sales)).tolist() == [[10, 0], [11, 1]]
    assert np.unique(series.ads).tolist() == [0.0, 12.5]


def test_a_city_without_ads_is_a_control():
    frame = good_frame()
    frame.loc[1::2, "ads"] = 0
    ads = load_two_cities(frame).ads
    assert ads[:, 0].any() and not ads[:, 1].any()


def test_spend_that_varies_may_run_every_day():
    frame = good_frame()
    frame.loc[::2, "ads"] += 1
    assert load_two_cities(frame).ads[:, 0].min() == 1


def test_ads_count_only_while_both_cities_are_open():
    frame = good_frame()
    frame.loc[frame["ads"].eq(1) & frame["city"].eq("A"), "sales"] = np.nan
    frame.loc[1::2, "ads"] = 0
    with pytest.raises(DataError, match="ads: never on in A or B"):
        load_two_cities(frame)


def test_either_city_names_the_event():
    frame = good_frame()
    frame["event"] = frame["event"].astype(object)
    frame.loc[[2, 3, 5], "event"] = ["fair", "match", "strike"]
    assert load_two_cities(frame).event[:4].tolist() == [None, "fair", "strike", None]


def test_the_common_period_is_used_and_said():
    frame = good_frame().drop(index=[0, 2, 179])
    series = load_two_cities(frame)
    assert len(series.dates) == len(series.sales) == 87
    assert series.days_dropped == (
        "A runs 2023-01-04 to 2023-04-01 and B runs 2023-01-02 to 2023-03-31: "
        "3 city-days outside 2023-01-04 to 2023-03-31 are left out"
    )


def test_csv_and_parquet_give_the_same_series(tmp_path):
    frame = good_frame()
    frame.loc[7, "sales"] = np.nan
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.assign(date=pd.to_datetime(frame["date"])).to_parquet(tmp_path / "t.parquet")
    one, other = (load_two_cities(tmp_path / name) for name in ("t.csv", "t.parquet"))
    np.testing.assert_array_equal(one.sales, other.sales)
    np.testing.assert_array_equal(one.ads, other.ads)
    assert one.dates.equals(other.dates)
    np.testing.assert_array_equal(one.sales, load_two_cities(frame).sales)


def test_cities_whose_names_are_numbers():
    frame = good_frame().replace({"city": {"A": 10, "B": 9}})
    assert load_two_cities(frame).cities == ("10", "9")
    assert load_two_cities(frame, cities=(9, 10)).cities == ("9", "10")


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_tables_are_refused(tmp_path, name):
    change, message = MALFORMED[name]
    frame = change(good_frame())
    with pytest.raises(DataError, match=re.escape(message)):
        load_two_cities(frame)
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match=re.escape(message)):
        load_two_cities(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("cities", "message"),
    [
        (("A", "X"), "CITIES: 'X' is not in column city; use A, B, C"),
        (("A", "A"), "CITIES: 'A' twice; give two different ones"),
        (("A", "B", "C"), "CITIES: ('A', 'B', 'C') is not a pair; give two of A, B, C"),
        ("AB", "CITIES: 'AB' is not a pair; give two of A, B, C"),
    ],
)
def test_cities_are_refused(cities, message):
    frame = MALFORMED["three cities"][0](good_frame())
    with pytest.raises(DataError, match=re.escape(message)):
        load_two_cities(frame, cities=cities)


def test_a_third_city_is_left_alone_when_two_are_named():
    frame = MALFORMED["three cities"][0](good_frame())
    frame.loc[frame["city"] == "B", "sales"] = -1.0
    assert load_two_cities(frame, cities=("C", "A")).cities == ("C", "A")


def test_the_book_explains_every_message():
    root = Path(__file__).parents[3]
    pages = [path.read_text(encoding="utf-8") for path in (root / "book").glob("*.md")]
    (page,) = [page for page in pages if "# What each error means" in page]
    explained = re.findall(r"^\| `(.+?)` \|", page.split("# What each error means")[1], re.M)
    tables = (MALFORMED, MALFORMED_PRICES, MALFORMED_MEDIA)
    messages = [message for table in tables for _, message in table.values()]
    assert [m for m in messages if not any(part in m for part in explained)] == []
    rooms = ("data", "cities", "prices", "media", "stores")
    sources = [path for room in rooms for path in (root / "helpers" / room).glob("*.py")]
    raised = [path.read_text(encoding="utf-8") for path in sources]
    assert [part for part in explained if not any(part in text for text in messages + raised)] == []
