"""Tests of `helpers.media.transforms`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from helpers.media.simulate import MarketsTruth, MediaTruth, simulate_markets, simulate_media_mix
from helpers.media.transforms import adstock, media_contribution, saturated


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


CHANNELS = ["tv", "radio", "online"]


def test_truth_is_in_the_models_units_and_the_mean_follows_from_it():
    panel = simulate_markets(3, seed=2, n_weeks=400)
    truth = panel.truth
    assert panel.data["sales"].max() == truth["target_scale"]
    spend = panel.data.pivot(index="date", columns="market")[CHANNELS].to_numpy()
    spend = spend.reshape(400, 3, 3).transpose(2, 0, 1) / truth["channel_scale"]
    assert spend.max() == 1
    lags = MarketsTruth().max_lag
    pressure = [adstock(market, truth["carry_over"], l_max=lags) for market in spend]
    pressure = np.stack(pressure, axis=1)
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
    ours = adstock(spend, share, l_max=4)
    assert theirs.transpose("date", "channel").values.eval() == pytest.approx(ours)
    curve = logistic_saturation(as_xtensor(spend, dims=("date", "channel")), 2.0)
    assert curve.values.eval() == pytest.approx(saturated(spend, np.array(2.0)))
