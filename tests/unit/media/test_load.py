"""Tests of `helpers.media.load`."""

from __future__ import annotations

import hashlib
import io
import re

import numpy as np
import pandas as pd
import pytest
from malformed import MALFORMED_MEDIA, good_media_frame

from helpers.data.columns import DataError
from helpers.media import load as markets
from helpers.media import load as media
from helpers.media.load import (
    histories,
    load_case_study,
    load_market_panel,
    load_media,
    load_two_markets,
    refuse_unequal,
)
from helpers.media.simulate import _HOLIDAYS, simulate_markets, simulate_media_mix

COLUMNS = {"target": "sales", "channels": "tv,radio", "controls": ["promo"]}


def write(frame, tmp_path):
    path = tmp_path / "media.csv"
    frame.to_csv(path, index=False)
    return path


def test_a_good_table_is_read_in_any_order_of_rows(tmp_path):
    frame = good_media_frame()
    data = load_media(write(frame.iloc[::-1], tmp_path), **COLUMNS)
    assert (data.frequency, data.period, data.periods_per_year) == ("W", "week", 52)
    assert data.channels == ["tv", "radio"] and data.controls == ["promo"]
    assert data.X.columns.tolist() == ["date", "tv", "radio", "promo"]
    np.testing.assert_array_equal(data.y, frame["sales"])
    np.testing.assert_array_equal(data.spend, frame[["tv", "radio"]])
    assert data.notes == ()


def test_daily_parquet_with_other_names_and_no_controls(tmp_path):
    frame = good_media_frame().rename(columns={"date": "day", "sales": "revenue"})
    frame["day"] = pd.date_range("2023-01-01", periods=len(frame))
    path = tmp_path / "media.parquet"
    frame.to_parquet(path)
    data = load_media(path, date="day", target="revenue", channels=["tv", "radio"])
    assert (data.frequency, data.period, data.controls) == ("D", "day", [])


@pytest.mark.parametrize("name", MALFORMED_MEDIA)
def test_a_malformed_table_is_refused(name, tmp_path):
    change, message = MALFORMED_MEDIA[name]
    path = write(change(good_media_frame()), tmp_path)
    with pytest.raises(DataError, match=re.escape(message)):
        load_media(path, **COLUMNS)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"channels": " , "}, "channels: none named"),
        ({"channels": "tv,tv"}, "tv: named 2 times; give each column one role"),
        ({"controls": "radio"}, "radio: named 2 times"),
        ({"held_out": 100}, "20 weeks to fit for 19 parameters"),
        ({"held_out": 102}, "18 weeks to fit for 19 parameters"),
    ],
)
def test_columns_that_do_not_fit_are_refused(columns, message, tmp_path):
    path = write(good_media_frame(), tmp_path)
    if message.startswith("20"):
        assert len(load_media(path, **COLUMNS | columns)) == 120
        return
    with pytest.raises(DataError, match=message):
        load_media(path, **COLUMNS | columns)


def test_collinear_channels_and_repeats_are_noted(tmp_path):
    frame = good_media_frame()
    frame["radio"] = 2 * frame["tv"] + 1
    frame["twin"] = frame["promo"]
    data = load_media(
        write(frame, tmp_path), target="sales", channels="tv,radio", controls="promo,twin"
    )
    assert data.notes[0].startswith("tv and radio correlate at 1.00")
    assert data.notes[1] == "twin repeats promo in every week: it is left out"
    assert data.repeated_controls() == {"twin": "promo"}
    frame["radio"] = frame["tv"].max() - frame["tv"]
    against = load_media(write(frame, tmp_path), target="sales", channels="tv,radio")
    assert against.notes[0].startswith("tv and radio correlate at -1.00")
    assert data.without(["twin"]).controls == ["promo"]


def test_between_keeps_every_row(tmp_path):
    data = load_media(write(good_media_frame(), tmp_path), **COLUMNS)
    train, test = data.between(None, 100), data.between(100, None)
    assert train.dates[-1] < test.dates[0]
    assert (len(train), len(test)) == (100, 20)
    assert test.frame.index[0] == 0
    assert len(data.between(-20, None)) == 20


def test_other_spend_is_by_channel_or_by_period(tmp_path):
    data = load_media(write(good_media_frame(), tmp_path), **COLUMNS)
    even = data.with_spend(np.array([1.0, 2.0]))
    np.testing.assert_array_equal(even.spend, np.tile([1.0, 2.0], (len(data), 1)))
    np.testing.assert_array_equal(data.with_spend(2 * data.spend).spend, 2 * data.spend)
    assert even.y.equals(data.y)


@pytest.fixture
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("MARKET_BOOK_DATA", raising=False)
    return tmp_path


class Answer:
    """What urlopen gives."""

    def __init__(self, content):
        self.content = content

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def read(self):
        return self.content


def case_study_file():
    """A file in the source's columns, made from the twin."""
    frame = simulate_media_mix(seed=1).data.rename(columns={"date": "wk_strt_dt"})
    back = {name: raw for raw, name in media._SOURCE_CHANNELS.items()}
    holidays = {name: f"hldy_{name}" for name in _HOLIDAYS}
    frame = frame.rename(columns=back | holidays)
    return frame.assign(mdsp_sem=1.0).to_csv(index=False).encode()


def test_without_network_and_file_the_twin_serves(empty_home, monkeypatch):
    def cut(*_, **__):
        raise OSError("network is unreachable")

    monkeypatch.setattr("urllib.request.urlopen", cut)
    data, is_real = load_case_study()
    assert not is_real
    assert (len(data), len(data.channels), len(data.controls)) == (209, 7, 22)
    assert sorted(data.repeated_controls()) == [
        "Day after Christmas",
        "Pre Thanksgiving",
        "Thanksgiving",
    ]


def test_a_file_is_fetched_once_and_checked(empty_home, monkeypatch):
    content, calls = case_study_file(), []

    def fetch(url, timeout):
        calls.append(url)
        return Answer(content)

    monkeypatch.setattr("urllib.request.urlopen", fetch)
    assert load_case_study()[1] is False  # another file than the published one
    monkeypatch.setattr(media, "CASE_STUDY_SHA256", hashlib.sha256(content).hexdigest())
    first, is_real = load_case_study()
    assert is_real and first.channels == list(media._SOURCE_CHANNELS.values())
    assert "Black Friday" in first.controls and "mdsp_sem" not in first.frame
    load_case_study()
    assert len(calls) == 2  # the third time from the cache


def test_the_folder_comes_first_and_a_changed_file_is_refused(empty_home, monkeypatch):
    monkeypatch.setenv("MARKET_BOOK_DATA", str(empty_home))
    content = case_study_file()
    monkeypatch.setattr(media, "CASE_STUDY_SHA256", hashlib.sha256(content).hexdigest())
    (empty_home / "data.csv").write_bytes(content)
    assert load_case_study()[1]
    (empty_home / "mmm_case_study.csv").write_bytes(content + b"\n")
    with pytest.raises(DataError, match="not the published file"):
        load_case_study()


CHANNELS = ["tv", "radio", "online"]


def good_panel():
    return simulate_markets(3, seed=3, n_weeks=30, shortest=20).data


def test_markets_differ_in_size_and_history():
    panel = simulate_markets(6, seed=1, shortest=26)
    spans = histories(panel.data)
    assert spans["periods"].min() == 26 and spans["periods"].max() == 104
    assert spans["last"].nunique() == 1
    assert panel.truth["level"].max() > 2 * panel.truth["level"].min()
    assert (np.sort(104 - spans["periods"]) == np.sort(panel.truth["first_week"])).all()


def test_histories_are_as_asked_and_nothing_was_spent_before():
    panel = simulate_markets(3, seed=1, n_weeks=30, weeks=[10, 30, 20])
    assert histories(panel.data)["periods"].tolist() == [10, 30, 20]
    assert panel.truth["first_week"].tolist() == [20, 0, 10]
    before = np.arange(30)[:, None] < panel.truth["first_week"]
    assert (panel.expected["contribution"][before] == 0).all()


def test_a_good_panel_is_read_as_it_was_written(tmp_path):
    panel = good_panel()
    panel.sample(frac=1, random_state=1).to_csv(tmp_path / "panel.csv", index=False)
    read = load_market_panel(tmp_path / "panel.csv", channels=CHANNELS)
    pd.testing.assert_frame_equal(read, panel[read.columns], check_dtype=False)


def test_columns_have_the_readers_names(tmp_path):
    names = {"date": "week", "market": "region", "sales": "orders", "tv": "TV spend"}
    good_panel().rename(columns=names).to_csv(tmp_path / "panel.csv", index=False)
    read = load_market_panel(
        tmp_path / "panel.csv", date="week", market="region", target="orders", channels="TV spend"
    )
    assert read.columns.tolist() == ["week", "region", "TV spend", "orders"]


def drop_a_week(panel):
    return panel.drop(index=5)


def set_value(column, value, rows=slice(3, 3)):
    def change(panel):
        panel[column] = panel[column].astype(object)
        panel.loc[rows, column] = value
        return panel

    return change


def constant(panel):
    panel.loc[panel["market"] == "market 02", "sales"] = 5.0
    return panel


MALFORMED = {
    "gap": (drop_a_week, "date: 1 gap (first in market 01 after 2022-03-07, 14 days instead of 7)"),
    "repeat": (
        lambda panel: pd.concat([panel, panel.iloc[[4]]]),
        "date, market: 1 repeated row",
    ),
    "negative": (set_value("tv", -3.0), "tv: 1 negative value (first -3.0 on"),
    "blank spend": (set_value("radio", None), "radio: 1 blank value"),
    "blank sales": (set_value("sales", None), "leave out weeks before a market's first sales"),
    "words": (set_value("tv", "12 EUR"), "tv: 1 non-numeric value (first '12 EUR' on"),
    "constant": (
        lambda panel: panel.assign(tv=0.0),
        "tv: constant (0) in market 01, market 02, market 03: nothing can be learnt there",
    ),
    "flat sales": (constant, "sales: constant (5) in market 02: nothing can be learnt there"),
    "column": (lambda panel: panel.drop(columns="radio"), "radio: column missing"),
    "one market": (lambda panel: panel[panel["market"] == "market 03"], "one market only"),
    "date": (set_value("date", "1.3.2022"), "date: 1 unreadable date (first '1.3.2022'"),
    "short": (
        lambda panel: panel.groupby("market").tail(9),
        "market: 3 markets with fewer than 10 periods",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_panels_are_refused(case, tmp_path):
    change, message = MALFORMED[case]
    change(good_panel()).to_csv(tmp_path / "panel.csv", index=False)
    with pytest.raises(DataError) as error:
        load_market_panel(tmp_path / "panel.csv", channels=CHANNELS)
    assert message in str(error.value)


def test_unequal_histories_are_told_market_by_market():
    with pytest.raises(DataError) as error:
        refuse_unequal(histories(good_panel()))
    message = str(error.value)
    assert all(f"market 0{m} 2022-" in message for m in (1, 2, 3))
    assert "cut them to 2022-03-14 to 2022-07-25" in message


def test_channels_must_be_named():
    with pytest.raises(DataError, match="channels: none named"):
        load_market_panel("panel.csv", channels=[])


def test_controls_may_be_negative_but_not_blank(tmp_path):
    panel = good_panel()
    panel["gap"] = -1.5 * (panel.index % 4)
    path = tmp_path / "panel.csv"
    panel.to_csv(path, index=False)
    read = load_market_panel(path, channels=CHANNELS, controls=["gap"])
    assert read.columns.tolist() == ["date", "market", *CHANNELS, "gap", "sales"]
    assert read["gap"].min() == -4.5
    panel.assign(gap=panel["gap"].where(panel.index > 2)).to_csv(path, index=False)
    with pytest.raises(DataError, match=r"gap: 3 blank values .*write 0 where there was none"):
        load_market_panel(path, channels=CHANNELS, controls="gap")


@pytest.fixture
def no_file(tmp_path, monkeypatch):
    monkeypatch.delenv("MARKET_BOOK_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_without_network_and_file_the_twin_of_two_markets_serves(no_file, monkeypatch):
    def cut(*_, **__):
        raise OSError("network is unreachable")

    monkeypatch.setattr("urllib.request.urlopen", cut)
    frame, is_real = load_two_markets()
    assert not is_real
    assert frame.columns.tolist() == ["date", "market", "x1", "x2", "event_1", "event_2", "sales"]
    assert histories(frame)["periods"].tolist() == [159, 159]
    assert frame.equals(load_two_markets()[0])


def test_the_public_file_is_fetched_once_and_checked(no_file, monkeypatch):
    columns = "date,geo,x1,x2,event_1,event_2,y"
    content = f"{columns}\n2022-06-06,geo_b,2,0,0,0,5\n2022-06-06,geo_a,1,0,0,1,4\n".encode()
    calls = []

    def fetch(url, timeout):
        calls.append(url)
        return io.BytesIO(content)

    monkeypatch.setattr("urllib.request.urlopen", fetch)
    assert load_two_markets()[1] is False  # not the published file
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(markets, "TWO_MARKETS_SHA256", digest)
    frame, is_real = load_two_markets()
    assert is_real and frame["market"].tolist() == ["geo_a", "geo_b"]
    assert frame["sales"].tolist() == [4, 5]
    load_two_markets()
    assert len(calls) == 2  # the third time from the cache
    (no_file / "market-book" / "mmm_multidimensional_example.csv").write_bytes(content + b"x")
    with pytest.raises(DataError, match="not the published file"):
        load_two_markets()
