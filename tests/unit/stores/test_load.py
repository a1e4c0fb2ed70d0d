"""Tests of `helpers.stores.load`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from helpers.data.columns import DataError
from helpers.inference.scores import crps
from helpers.stores.load import as_store_panel, load_stores, sources_columns
from helpers.stores.posterior import _series
from helpers.stores.simulate import StoresTruth, simulate_stores


@pytest.fixture(scope="module")
def market():
    return simulate_stores(12, seed=3, n_days=760)


@pytest.fixture(scope="module")
def panel(market):
    return as_store_panel(market.data)


def kaggle(directory, market):
    """Kaggle's two files of a simulated market."""
    data = market.data.copy()
    data["day_of_week"] = data["date"].dt.day_of_week + 1
    names = {
        "store": "Store",
        "date": "Date",
        "sales": "Sales",
        "open": "Open",
        "promo": "Promo",
        "state_holiday": "StateHoliday",
        "school_holiday": "SchoolHoliday",
    }
    train = data[list(names)].rename(columns=names).assign(Customers=0)
    more = {
        "store": "Store",
        "store_type": "StoreType",
        "assortment": "Assortment",
        "competition_distance": "CompetitionDistance",
        "promo2": "Promo2",
    }
    stores = data.groupby("store", as_index=False).first()[list(more)].rename(columns=more)
    train.to_csv(directory / "train.csv", index=False)
    stores.to_csv(directory / "store.csv", index=False)
    return directory


def test_the_source_has_23_features(panel):
    assert len(panel.features) == 23
    assert panel.features[7] == "promo"
    assert panel.calendar.shape[1] == 13
    weekday = panel.calendar.filter(like="weekday_").to_numpy()
    assert (weekday.sum(axis=1) == 1).all()
    assert panel.attributes["competition_distance"].std(ddof=0) == pytest.approx(1, abs=0.01)


def test_closed_days_and_missing_rows_are_unobserved(market, panel):
    frame = market.data
    observed = np.isfinite(panel.sales)
    assert observed.sum() == (frame["open"] == 1).sum()
    assert np.nansum(panel.sales, dtype=float) == frame.loc[frame["open"] == 1, "sales"].sum()
    assert (panel.pattern >= 0).sum() == len(frame)
    assert (panel.pattern < 0).any(), "the simulated chain has gaps"


def test_the_rows_may_come_in_any_order(market, panel):
    mixed = as_store_panel(market.data.sample(frac=1, random_state=1))
    np.testing.assert_array_equal(mixed.sales, panel.sales)
    np.testing.assert_array_equal(mixed.pattern, panel.pattern)
    pd.testing.assert_frame_equal(mixed.attributes, panel.attributes)


def test_cube_and_patterns_say_the_same(market, panel):
    log_mean = np.einsum("stf,sf->st", panel.cube().astype(float), market.truth["coef"])
    present = panel.pattern >= 0
    np.testing.assert_allclose(
        log_mean[present], np.log(market.expected["mean"][present]), rtol=1e-5
    )


def test_the_noise_has_the_variance_of_nb1():
    truth = StoresTruth(level_sd=0, weekday=(0,) * 7, weekday_sd=(0,) * 7, dispersion_sd=0)
    market = simulate_stores(40, seed=5, n_days=400, truth=truth)
    panel = as_store_panel(market.data)
    residual = panel.sales - market.expected["mean"]
    ratio = np.nanmean(residual**2 / market.expected["mean"])
    assert ratio == pytest.approx(1 + np.exp(truth.dispersion), rel=0.05)


def test_a_file_of_your_own_needs_five_columns(market, tmp_path):
    frame = market.data[["date", "store", "sales", "open", "promo"]]
    frame = frame.assign(sales=frame["sales"].where(frame["open"] == 1))
    frame.to_csv(tmp_path / "sales.csv", index=False)
    panel = load_stores(tmp_path / "sales.csv")
    assert panel.source == "file"
    assert panel.features == (*[f for f in panel.features if "weekday" in f], "promo")


def test_kaggles_files_and_the_twin(market, tmp_path, monkeypatch):
    panel = load_stores(kaggle(tmp_path, market))
    np.testing.assert_array_equal(panel.sales, as_store_panel(market.data).sales)
    assert len(panel.features) == 23 and panel.source == "rossmann"
    monkeypatch.setenv("MARKET_BOOK_DATA", str(tmp_path))
    assert load_stores(n_stores=5, n_days=100).sales.shape == (5, 100)
    monkeypatch.delenv("MARKET_BOOK_DATA")
    twin = load_stores(n_stores=8, n_days=400, seed=2)
    assert twin.source == "simulated" and twin.truth["coef"].shape == (8, 23)
    assert twin.take(stores=slice(3)).truth["dispersion"].shape == (3,)


def put(column, value, row=40):
    def change(frame):
        frame = frame.astype({column: object})
        frame.loc[row, column] = value
        return frame

    return change


BAD = {
    "promo: column missing": lambda f: f.drop(columns="promo"),
    "school_holidays: unknown column": lambda f: f.rename(
        columns={"school_holiday": "school_holidays"}
    ),
    "state_holiday: 1 unknown code (first 'x' on 2013-02-10 in 1)": put("state_holiday", "x"),
    "sales: 1 negative value (first -3 on 2013-02-10 in 1)": put("sales", -3),
    "sales: 1 fractional value": put("sales", 10.5, row=41),
    "sales: 1 blank value on an open day": put("sales", None, row=41),
    "sales: 1 value above zero on a closed day": lambda f: put("open", 0, row=41)(f),
    "open: 1 value other than 0 and 1": put("open", 2),
    "promo: 1 blank value": put("promo", None),
    "date: 1 unreadable date": put("date", "10.02.2013"),
    "store: 1 blank value": put("store", None),
    "date, store: 1 repeated row": lambda f: pd.concat([f, f.iloc[[7]]], ignore_index=True),
    "promo2: 1 value unlike the store's first": lambda f: f.assign(
        promo2=f["promo2"].where(f.index != 9, 1 - f["promo2"])
    ),
    "competition_distance: 1 value not above zero": lambda f: f.assign(
        competition_distance=f["competition_distance"].where(f["store"] != 3, -1.0)
    ),
    "store: 1 with an open day": lambda f: f[f["store"] == 1],
}


@pytest.mark.parametrize("message", BAD)
def test_bad_tables_are_refused(market, message):
    frame = market.data.reset_index(drop=True)
    frame["date"] = frame["date"].dt.strftime("%Y-%m-%d")
    with pytest.raises(DataError) as error:
        as_store_panel(BAD[message](frame))
    assert message in str(error.value)


def test_outside_its_interval_the_table_is_a_straight_line():
    h = np.array([0.5, 1.0, 0.3])[:, None]
    value, slope, curvature = _series(h, np.array([1.0, 2.0, 3.0]))
    assert np.diff(value) == pytest.approx(slope[0] * np.ones(2))
    assert (curvature[1:] == 0).all()


def test_crps_of_a_normal_forecast():
    rng = np.random.default_rng(1)
    score = crps(rng.normal(size=(4000, 1)), np.array([0.0]))
    assert score[0] == pytest.approx((np.sqrt(2) - 1) / np.sqrt(np.pi), abs=0.01)


def test_the_sources_columns_name_pairs_of_type_and_assortment():
    market = simulate_stores(300, seed=1, n_days=800)
    panel = as_store_panel(market.data)
    theirs = sources_columns(panel)
    of_store = market.data.drop_duplicates("store")
    pairs = of_store.groupby(["store_type", "assortment"]).size()
    kinds = theirs.attributes.drop(columns="promo2")
    assert sorted(kinds.sum()) == sorted(pairs) and (kinds.sum(axis=1) == 1).all()
    assert "competition_distance" not in theirs.features
    np.testing.assert_array_equal(theirs.attributes["promo2"], panel.attributes["promo2_1"])
