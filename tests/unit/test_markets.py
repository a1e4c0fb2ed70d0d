"""The simulated panel of markets, and the loaders of a reader's own and of the public two."""

import hashlib
import io
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from helpers import markets
from helpers.markets import (
    MarketsTruth,
    carried_over,
    histories,
    load_market_panel,
    load_two_markets,
    saturated,
    simulate_markets,
)
from helpers.tables import DataError

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


def test_one_channel_has_one_effect_and_the_others_are_correlated():
    effect = simulate_markets(4000, seed=1, n_weeks=2).truth["effect"]
    assert np.ptp(effect[:, 2]) == 0
    logs = np.log(effect[:, :2])
    assert logs.std(axis=0) == pytest.approx(np.array([0.5, 0.5]), abs=0.03)
    assert np.corrcoef(logs.T)[0, 1] == pytest.approx(0.6, abs=0.04)


def test_truth_is_in_the_models_units_and_the_mean_follows_from_it():
    panel = simulate_markets(3, seed=2, n_weeks=400)
    truth = panel.truth
    assert panel.data["sales"].max() == truth["target_scale"]
    spend = panel.data.pivot(index="date", columns="market")[CHANNELS].to_numpy()
    spend = spend.reshape(400, 3, 3).transpose(0, 2, 1) / truth["channel_scale"]
    assert spend.max() == 1
    pressure = carried_over(spend, truth["carry_over"], MarketsTruth().max_lag)
    media = (truth["effect"] * saturated(pressure, truth["steepness"])).sum(axis=-1)
    sales = panel.data.pivot(index="date", columns="market", values="sales").to_numpy()
    rest = sales / truth["target_scale"] - truth["level"] - media
    assert np.abs(rest.mean(axis=0)).max() < 4 * truth["noise"].max() / np.sqrt(400)
    assert rest.std(axis=0) == pytest.approx(truth["noise"], rel=0.15)
    expected = panel.expected["mean"] / truth["target_scale"]
    assert expected == pytest.approx(truth["level"] + media)


def test_carry_over_is_what_mmm_computes():
    from pymc_marketing.mmm.transformers import geometric_adstock, logistic_saturation
    from pytensor.xtensor import as_xtensor

    spend = np.random.default_rng(1).gamma(1.0, size=(12, 2))
    share = np.array([0.3, 0.7])
    theirs = geometric_adstock(
        as_xtensor(spend, dims=("date", "channel")),
        as_xtensor(share, dims=("channel",)),
        l_max=4,
        normalize=True,
        dim="date",
    )
    ours = carried_over(spend, share, 4)
    assert theirs.transpose("date", "channel").values.eval() == pytest.approx(ours)
    curve = logistic_saturation(as_xtensor(spend, dims=("date", "channel")), 2.0)
    assert curve.values.eval() == pytest.approx(saturated(spend, np.array(2.0)))


def test_the_seed_decides():
    one, same, other = (simulate_markets(2, seed=s, n_weeks=9).data for s in (1, 1, 2))
    assert one.equals(same) and not one.equals(other)


@pytest.mark.parametrize(
    ("size", "changes", "message"),
    [
        ({"n_markets": 0}, {}, "n_markets = 0: must be at least 1"),
        ({"weeks": [30, 31]}, {}, "weeks: 2 numbers from 2 to n_weeks = 30 are needed"),
        ({"weeks": [30]}, {}, "weeks: 2 numbers from 2 to n_weeks = 30 are needed"),
        ({"shortest": 1}, {}, "shortest = 1: must lie between 2 and n_weeks = 30"),
        ({}, {"effect": (1.0, 2.0)}, "effect: 2 values for 3 channels"),
        ({}, {"effect": (1.0, 2.0, 0.0)}, "effect = (1.0, 2.0, 0.0): must be positive"),
        ({}, {"carry_over": (0.1, 1.0, 0.2)}, "must be in [0, 1)"),
        ({}, {"correlation": -0.9}, "correlation = -0.9: must be a possible correlation"),
        ({}, {"max_lag": 0}, "max_lag = 0: must be at least 1"),
    ],
)
def test_impossible_truths_are_refused(size, changes, message):
    sizes = {"n_markets": 2, "seed": 1, "n_weeks": 30} | size
    with pytest.raises(ValueError, match=re.escape(message)):
        simulate_markets(**sizes, truth=replace(MarketsTruth(), **changes))


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
    panel.loc[panel["market"] == "market 02", "tv"] = 0.0
    return panel


MALFORMED = {
    "gap": (drop_a_week, "1 irregular step (first in market 01, from 2022-03-07 to 2022-03-21"),
    "repeat": (
        lambda panel: pd.concat([panel, panel.iloc[[4]]]),
        "date, market: 1 repeated row",
    ),
    "negative": (set_value("tv", -3.0), "tv: 1 negative value (first -3.0 on"),
    "blank spend": (set_value("radio", None), "radio: 1 blank value"),
    "blank sales": (set_value("sales", None), "leave out weeks before a market's first sales"),
    "words": (set_value("tv", "12 EUR"), "tv: 1 non-numeric value (first '12 EUR' on"),
    "constant": (constant, "tv: constant (0) in market 02: nothing can be learnt there"),
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


def test_unequal_histories_are_told_market_by_market(tmp_path):
    good_panel().to_csv(tmp_path / "panel.csv", index=False)
    with pytest.raises(DataError) as error:
        load_market_panel(tmp_path / "panel.csv", channels=CHANNELS, equal=True)
    message = str(error.value)
    assert all(f"market 0{m} 2022-" in message for m in (1, 2, 3))
    assert "cut them to 2022-03-14 to 2022-07-25" in message


def test_channels_must_be_named():
    with pytest.raises(DataError, match="channels: none given"):
        load_market_panel("panel.csv", channels=[])


def test_controls_may_be_negative_but_not_blank(tmp_path):
    panel = good_panel().assign(gap=-1.5)
    path = tmp_path / "panel.csv"
    panel.to_csv(path, index=False)
    read = load_market_panel(path, channels=CHANNELS, controls=["gap"])
    assert read.columns.tolist() == ["date", "market", *CHANNELS, "gap", "sales"]
    assert (read["gap"] == -1.5).all()
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
