"""Media data: loader, case study, simulator, adstock and saturation."""

import hashlib
import re

import numpy as np
import pandas as pd
import pytest
from malformed import MALFORMED_MEDIA, good_media_frame

from helpers import media
from helpers.media import (
    MediaTruth,
    adstock,
    load_case_study,
    load_media,
    media_contribution,
    simulate_media_mix,
)
from helpers.tables import DataError

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
    assert data.without(["twin"]).controls == ["promo"]


def test_split_and_between_keep_every_row(tmp_path):
    data = load_media(write(good_media_frame(), tmp_path), **COLUMNS)
    train, test = data.split(data.dates[99])
    assert (len(train), len(test)) == (100, 20)
    assert test.frame.index[0] == 0
    assert len(data.between(-20, None)) == 20


def test_adstock_keeps_the_sum_and_looks_back_only():
    spend = np.zeros((12, 2))
    spend[3] = 6.0, 1.0
    stock = adstock(spend, np.array([[0.5, 0.0], [0.9, 0.2]]), l_max=4)
    assert stock.shape == (2, 12, 2)
    np.testing.assert_allclose(stock.sum(axis=1), [[6, 1], [6, 1]])
    assert (stock[:, :3] == 0).all() and (stock[:, 7:] == 0).all()
    np.testing.assert_allclose(stock[0, 3:7, 0], 6 * np.array([8, 4, 2, 1]) / 15)
    np.testing.assert_allclose(stock[0, 3:7, 1], [1, 0, 0, 0])


def test_contribution_is_the_logistic_saturation_of_adstock():
    spend = np.random.default_rng(0).gamma(2.0, size=(30, 3))
    alpha, lam, beta = np.array([[0.1, 0.5, 0.8], [2.0, 1.0, 0.3], [5.0, 1.0, 9.0]])
    stock = adstock(spend, alpha)
    decay = np.exp(-lam * stock)
    expected = beta * (1 - decay) / (1 + decay)
    given = {"alpha": alpha, "lam": lam, "beta": beta}
    np.testing.assert_allclose(media_contribution(spend, **given), expected)
    steady = media_contribution(np.tile(spend[:1], (30, 1)), **given)[-1]
    np.testing.assert_allclose(media_contribution(spend[:1], steady=True, **given)[0], steady)


def test_the_twin_has_the_case_studys_shape_and_its_returns():
    twin = simulate_media_mix(seed=3)
    names = twin.truth["names"]
    assert twin.data.shape == (209, 2 + 7 + 22)
    assert f"{twin.data['date'].iloc[-1]:%Y-%m-%d}" == "2018-07-29"
    assert (twin.data[names] > 0).all(axis=None) and (twin.data["sales"] > 0).all()
    spend = twin.data[names].to_numpy()
    returns = twin.expected["contribution"].sum(axis=0) / spend.sum(axis=0)
    np.testing.assert_allclose(returns, MediaTruth().roas)
    parts = {k: twin.truth[k] for k in ("alpha", "lam", "beta")}
    np.testing.assert_allclose(media_contribution(spend, **parts), twin.expected["contribution"])
    pd.testing.assert_frame_equal(simulate_media_mix(seed=3).data, twin.data)


def test_holidays_fall_into_their_weeks():
    data = simulate_media_mix(seed=3).data.set_index("date")
    for holiday, weeks in {
        "Thanksgiving": ["2014-11-23", "2015-11-22", "2016-11-20", "2017-11-19"],
        "Memorial Day": ["2015-05-24", "2016-05-29", "2017-05-28", "2018-05-27"],
        "Easter": ["2015-04-05", "2016-03-27", "2017-04-16", "2018-04-01"],
        "July 4th": ["2015-06-28", "2016-07-03", "2017-07-02", "2018-07-01"],
    }.items():
        assert data.index[data[holiday] == 1].strftime("%Y-%m-%d").tolist() == weeks


def test_confounded_spend_follows_hidden_demand():
    truth = MediaTruth(demand_sd=2e7)
    correlations = []
    for confounding in (0.0, 0.6):
        twin = simulate_media_mix(800, seed=5, truth=truth, confounding=confounding)
        logs = np.log(twin.data[twin.truth["names"]]).mean(axis=1)
        detrended = logs - np.polyval(np.polyfit(range(800), logs, 1), range(800))
        correlations.append(np.corrcoef(detrended, twin.expected["demand"])[0, 1])
    assert abs(correlations[0]) < 0.2 and correlations[1] > 0.8


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
    holidays = {name: f"hldy_{name}" for name in media._HOLIDAYS}
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
