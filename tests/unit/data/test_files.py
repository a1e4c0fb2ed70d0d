"""A table reads the same however it is written, or is refused in one line."""

from __future__ import annotations

import os
import re
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from malformed import HARD, THOUSANDS, WRITTEN, good_frame, good_media_frame, good_price_frame

from helpers.cities.load import load_two_cities
from helpers.data.columns import DataError, DataNote, DataWarning
from helpers.data.readers import read_table, tidy_file
from helpers.media.load import load_market_panel, load_media
from helpers.media.simulate import simulate_markets
from helpers.prices.load import load_price_panel
from helpers.stores.load import load_stores
from helpers.stores.simulate import simulate_stores

CASES = Path(os.environ.get("MARKET_BOOK_CASES") or Path(__file__).parents[4] / "shared" / "cases")


def told(load, *args, **options):
    """What a loader returns, and what it told."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = load(*args, **options)
    assert {w.category for w in caught} <= {DataNote, DataWarning}
    return data, [str(w.message) for w in caught]


@pytest.mark.parametrize("name", WRITTEN)
def test_a_table_reads_the_same_however_it_is_written(tmp_path, name):
    write, message = WRITTEN[name]
    write(good_frame(), tmp_path / name)
    series, notes = told(load_two_cities, tmp_path / name)
    expected = load_two_cities(good_frame())
    assert series.dates.equals(expected.dates) and set(series.event) == {None}
    np.testing.assert_array_equal(series.sales, expected.sales)
    np.testing.assert_array_equal(series.ads, expected.ads)
    assert any(message in note for note in notes) if message else notes == []


@pytest.mark.parametrize("name", THOUSANDS)
def test_separators_of_thousands_are_read_where_there_is_one_reading(tmp_path, name):
    write, message = THOUSANDS[name]
    write(good_frame(), tmp_path / name)
    series, notes = told(load_two_cities, tmp_path / name)
    np.testing.assert_allclose(series.sales, 30 * load_two_cities(good_frame()).sales, atol=0.006)
    assert any(message in note for note in notes)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", HARD)
def test_a_hard_file_is_refused_in_one_line(tmp_path, name):
    write, message = HARD[name]
    write(good_frame(), tmp_path / name)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        load_two_cities(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_options_decide_where_a_file_does_not(tmp_path):
    frame, path = good_frame(), tmp_path / "umsatz.csv"
    frame = frame[pd.to_datetime(frame["date"]).dt.day <= 12]
    frame["sales"] = (2 * frame["sales"]).astype(int)
    written = frame.assign(
        date=pd.to_datetime(frame["date"]).dt.strftime("%d/%m/%Y"),
        Umsatz=[f"{v:,}".replace(",", ".") for v in frame["sales"]],
    )
    written.drop(columns="sales").to_csv(path, index=False)
    options = {"columns": {"sales": "umsatz"}, "dates": "DMY", "decimal": ","}
    tidy, notes = told(tidy_file, path, **options, to=tmp_path / "t.parquet")
    assert "columns taken: umsatz as sales" in notes
    assert {p.name for p in tmp_path.iterdir()} == {"umsatz.csv", "t.parquet"}
    table = read_table(tidy)
    assert table.attrs == {"dates": "DMY", "decimal": ",", "file": True}
    with pytest.raises(DataError, match="gap"):  # the dates are read: days 13 to 31 are missing
        load_two_cities(tidy)
    with pytest.raises(DataError, match="another --dates than MDY"):
        load_two_cities(tidy_file(_ddmm(tmp_path), dates="MDY"))


def _ddmm(folder):
    frame = good_frame()
    dates = pd.to_datetime(frame["date"]).dt.strftime("%d/%m/%Y")
    frame.assign(date=dates).to_csv(folder / "ddmm.csv", index=False)
    return folder / "ddmm.csv"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dates": "DYM"}, "dates: 'DYM' is none of DMY, MDY, YMD"),
        ({"decimal": ";"}, "decimal: ';' is neither , nor ."),
        ({"columns": {"sales": "Umsatz"}}, "Umsatz: column missing (present: date, city, sales"),
        ({"columns": {"sales": "ads", "event": "ads"}}, "ads: named twice"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, options, message):
    good_frame().to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match=re.escape(message)):
        tidy_file(tmp_path / "t.csv", **options)


def test_a_sheet_by_name(tmp_path):
    WRITTEN["two-sheets.xlsx"][0](good_frame(), tmp_path / "t.xlsx")
    assert read_table(tmp_path / "t.xlsx", sheet="Sales").shape == (180, 5)
    with pytest.raises(DataError, match=r"no sheet 'May'; there are 'Sales', 'Notes'"):
        read_table(tmp_path / "t.xlsx", sheet="May")


def test_ids_are_as_they_are_written(tmp_path):
    ids = {"north": "007", "east": "12E3", "south": "NO", "west": "7"}
    good_price_frame().replace({"region_id": ids}).to_csv(tmp_path / "t.csv", index=False)
    assert set(load_price_panel(tmp_path / "t.csv").regions) == set(ids.values())


def test_event_of_ones_is_one_event(tmp_path):
    frame = good_frame().assign(event=[int(i in (40, 41)) for i in range(180)])
    frame.to_csv(tmp_path / "t.csv", index=False)
    series, notes = told(load_two_cities, tmp_path / "t.csv")
    assert np.flatnonzero(series.event == "event").tolist() == [20]
    assert "event: 1 is a day called event, 0 is an ordinary day" in notes


def test_ads_on_the_same_days_and_names_alike_are_warned_of(tmp_path):
    frame = good_frame().assign(city=["Ulm", "ULM"] * 90)
    frame["ads"] = frame["ads"].where(frame["city"] == "Ulm").ffill().astype(int)
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.warns(DataWarning) as caught:
        load_two_cities(tmp_path / "t.csv")
    messages = [str(w.message) for w in caught]
    assert any("cannot be told apart" in message for message in messages)
    assert any("differ in capitals only" in message for message in messages)


def test_a_total_among_the_parts_is_refused(tmp_path):
    frame = good_price_frame()
    sums = frame.groupby("time_step", as_index=False).agg(
        quantity=("quantity", "sum"), price=("price", "mean")
    )
    total = sums.assign(region_id="Total", store_id=0, median_income=40.0)
    pd.concat([frame, total]).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match="region_id: Total is the sum of the others"):
        load_price_panel(tmp_path / "t.csv")


def test_prices_that_hardly_change_and_quantities_that_never_do(tmp_path):
    frame = good_price_frame()
    west = frame["region_id"] == "west"
    near = frame.assign(price=frame["price"].where(~west, 1.5 + 1e-9 * frame.index))
    near.to_csv(tmp_path / "t.csv", index=False)
    with pytest.warns(DataWarning, match=r"price: changes by less than 0.1% in west"):
        load_price_panel(tmp_path / "t.csv")
    frame.assign(quantity=5).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match="quantity: one quantity only in region"):
        load_price_panel(tmp_path / "t.csv")
    frame.groupby("region_id").head(3).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match="12 rows for 4 regions; at least 8 a region"):
        load_price_panel(tmp_path / "t.csv")


def test_a_channel_must_vary_in_what_is_fitted(tmp_path):
    frame = good_media_frame()
    frame["tv"] = frame["tv"].where(frame.index >= 100, 0)
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match="tv: zero on every date that is fitted"):
        load_media(
            tmp_path / "t.csv", target="sales", channels="tv,radio", held_out=20, yearly_modes=1
        )
    markets = simulate_markets(3, seed=3, n_weeks=30).data
    markets.loc[markets["market"] == "market 02", "tv"] = 0.0
    markets.to_csv(tmp_path / "t.csv", index=False)
    with pytest.warns(DataWarning, match="tv: never changes in market 02: what is said"):
        load_market_panel(tmp_path / "t.csv", channels=["tv", "radio", "online"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f[f["date"] < "2013-02-10"], "date: 40 days, 48 of them held out"),
        (
            lambda f: f.assign(
                open=f["open"].where(f["date"] < "2013-03-01", 0),
                sales=f["sales"].where(f["date"] < "2013-03-01", 0),
            ),
            "open: no store is open on the last 48 days",
        ),
        (lambda f: f[f["date"].dt.day_of_week == 1], "date: most rows are a week apart"),
        (
            lambda f: pd.concat([f, f[f["store"] == 3].assign(store=99)]),
            "store: sales of 99 repeat those of 3",
        ),
    ],
)
def test_chains_of_which_too_little_can_be_used(tmp_path, change, message):
    frame = simulate_stores(6, seed=1, n_days=120).data.reset_index(drop=True)
    change(frame).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match=message):
        load_stores(tmp_path / "t.csv", held_out=48)


def test_promotions_that_never_ran_are_warned_of(tmp_path):
    frame = simulate_stores(6, seed=1, n_days=120).data
    frame.assign(promo=0).to_csv(tmp_path / "t.csv", index=False)
    with pytest.warns(DataWarning, match="promo: promotions never ran"):
        load_stores(tmp_path / "t.csv", held_out=48)


def test_a_large_chain_is_read_in_seconds(tmp_path):
    frame = simulate_stores(300, seed=1, n_days=700).data
    frame.to_csv(tmp_path / "t.csv", index=False)
    start = time.process_time()
    load_stores(tmp_path / "t.csv", held_out=48)
    assert time.process_time() - start < 12  # 3 s alone on a core


def _two(path, **options):
    return load_two_cities(path, **options)


def _media(path, channels="tv,radio,online"):
    return load_media(path, target="sales", channels=channels, controls="promo", held_out=26)


def _stores(path):
    return load_stores(path, held_out=48)


#: File to (loader, options, part of what is told, whether it is refused).
RIGHT = {
    "utf16_tab.csv": (_two, {}, "read as UTF-16", False),
    "cp1252.csv": (_two, {}, "read as Windows-1252", False),
    "semicolon_decimal_comma.csv": (_two, {}, "numbers have decimal commas", False),
    "tabs.csv": (_two, {}, "tabs stand between", False),
    "excel_sep_line.csv": (_two, {}, "the line sep=, says", False),
    "duplicate_column.csv": (_two, {}, "sales: 2 columns of this name", True),
    "header_spaces_caps.csv": (_two, {}, "'SALES' as sales", False),
    "total_row_prices.csv": (load_price_panel, {}, "Total is the sum of the others", True),
    "german_thousands_point.csv": (_two, {}, "is 1630 (--decimal ,) or 1.630", True),
    "date_dmy_dots.csv": (_two, {}, "day, month, year", False),
    "date_mdy_slash.csv": (_two, {}, "month, day, year", False),
    "date_dmy_2digits.csv": (_two, {}, "day, month, year", False),
    "date_excel_serial.csv": (_two, {}, "Excel's day numbers", False),
    "tz_dst.parquet": (_two, {}, "time zone Europe/Berlin", False),
    "typo_year_stores.csv": (_stores, {}, "2923-01-21", True),
    "weekly_two.csv": (_two, {}, "a week apart; this chapter reads days", True),
    "weekly_stores.csv": (_stores, {}, "a week apart; this chapter reads days", True),
    "channel_called_baseline.csv": (_media, {"channels": "baseline,radio,online"}, None, False),
    "dollar_names.csv": (_media, {"channels": ["Spend US$ (A$)", "$$", "cost_{x"]}, None, False),
    "html_city.csv": (_two, {}, None, False),
    "norway.csv": (_two, {"cities": ("NO", "SE")}, None, False),
    "leading_zero_stores.csv": (load_price_panel, {}, None, False),
    "channel_only_held_out.csv": (_media, {}, "zero on every date that is fitted", True),
    "event_01.csv": (_two, {}, "1 is a day called event", False),
    "ads_simultaneous.csv": (_two, {}, "cannot be told apart here", False),
    "price_nearly_constant.csv": (load_price_panel, {}, "price: changes by less than", False),
    "price_quantity_constant.csv": (load_price_panel, {}, "one quantity only", True),
    "short_chain_40_days.csv": (_stores, {}, "40 days, 48 of them held out", True),
    "promo_never.csv": (_stores, {}, "promotions never ran", False),
    "all_closed_at_the_end.csv": (_stores, {}, "no store is open on the last 48 days", True),
}


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases from outside are not here")
@pytest.mark.parametrize("name", RIGHT)
def test_cases_from_outside(name):
    load, options, message, is_refused = RIGHT[name]
    if is_refused:
        with pytest.raises(DataError, match=re.escape(message)):
            load(CASES / name, **options)
        return
    _, notes = told(load, CASES / name, **options)
    assert any(message in note for note in notes) if message else notes == []
