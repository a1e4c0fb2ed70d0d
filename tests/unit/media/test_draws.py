"""Tests of `helpers.media.draws`."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr
from pymc_extras.prior import Prior
from scipy.stats import truncnorm
from small_markets import config, media, sample_prior

from helpers.media.draws import MixDraws, mix_draws
from helpers.media.load import MediaData, run_together
from helpers.media.model import build_media_mix, fit_media_mix
from helpers.media.refits import Refits
from helpers.media.simulate import simulate_media_mix
from helpers.notebook.claims import mean_interval

PYTHON = {"mode": "FAST_COMPILE"}  # compiling would take longer than the tests


def computed(mmm, *names):
    return pm.compute_deterministics(
        mmm.idata["posterior"].to_dataset(),
        model=mmm.model,
        var_names=names,
        progressbar=False,
        compile_kwargs=PYTHON,
    ).isel(chain=0)


def test_draws_in_money_are_the_librarys_own(fitted, draws, split):
    names = "channel_contribution_original_scale", "mu", "yearly_seasonality_contribution"
    library = computed(fitted, *names, "control_contribution")
    sales = split[0].y.max()
    parts = draws.parts(split[0])
    np.testing.assert_allclose(draws.media(split[0]), library[names[0]], atol=1e-8)
    np.testing.assert_allclose(draws.parts(split[0]).location, sales * library["mu"], rtol=1e-9)
    np.testing.assert_allclose(parts.season, sales * library[names[2]], atol=1e-6)
    controls = sales * library["control_contribution"].sum("control")
    np.testing.assert_allclose(parts.controls, controls, atol=1e-8)


def test_carry_over_is_the_librarys_own(fitted, draws, split):
    predicted = fitted.sample_posterior_predictive(
        split[1].X,
        extend_idata=False,
        include_last_observations=True,
        combined=False,
        var_names=["channel_contribution_original_scale"],
        progressbar=False,
        random_seed=1,
        compile_kwargs=PYTHON,
    )["channel_contribution_original_scale"].isel(chain=0)
    ours = draws.media(split[1], history=split[0])
    np.testing.assert_allclose(ours, predicted, atol=1e-8)
    assert not np.allclose(draws.media(split[1])[:, 0], ours[:, 0])
    with pytest.raises(ValueError, match="ends 14 days before the data, not one week"):
        draws.media(split[1].between(1, None), history=split[0])


def test_predictions_of_y_are_no_money_and_ours_are(fitted, draws, split):
    predicted = fitted.sample_posterior_predictive(
        split[0].X,
        extend_idata=False,
        combined=False,
        var_names=["y", "y_original_scale"],
        progressbar=False,
        random_seed=1,
        compile_kwargs=PYTHON,
    ).isel(chain=0)
    ours = draws.sample(draws.parts(split[0]).location, seed=1)
    mean = float(predicted["y_original_scale"].mean())
    assert abs(ours.mean() / mean - 1) < 0.05
    assert float(predicted["y"].mean()) < mean / 100  # the silent trap
    assert ours.min() >= 0


OWN_NAMES = ["baseline", "season", "total", "controls", "channel", "$$", "placebo", "drift 1"]


def test_names_of_channels_are_never_the_models_own(split):
    """The same model under other names has the same parts, and a placebo has a place of its own."""
    data = media()
    for first in range(0, len(OWN_NAMES), 2):
        names = OWN_NAMES[first : first + 2]
        renamed = data.frame.rename(columns=dict(zip(data.channels, names, strict=True)))
        hostile = replace(data, frame=renamed, channels=names)
        both = []
        for named in (data, hostile):
            mmm = build_media_mix(named, config(named), l_max=4, yearly_modes=2)
            sample_prior(mmm, 5)
            both.append(mix_draws(mmm, "prior").parts(named))
        for plain, ours in zip(*both, strict=True):
            np.testing.assert_allclose(plain, ours)
        assert not np.allclose(both[1].media.sum(axis=(0, 1)), both[1].baseline.sum())
        wide = Refits.widened(SimpleNamespace(drift_modes=2), hostile, placebo=np.ones(len(data)))
        assert wide.spend.shape == (len(data), 3) and (wide.spend[:, -1] == 1).all()
        np.testing.assert_array_equal(wide.spend[:, :2], data.spend)


def test_a_channel_called_baseline_keeps_its_return():
    """The truth is planted: 2, 1 and a baseline of 1000 that must not become the channel's."""
    rng = np.random.default_rng(3)
    spend = rng.gamma(2.0, [150.0, 60.0], (110, 2))
    sales = 1000 + 2 * spend[:, 0] + spend[:, 1] + rng.normal(0, 20, 110)
    frame = pd.DataFrame(spend, columns=["baseline", "$$"]).assign(sales=sales)
    frame["date"] = pd.date_range("2021-01-03", periods=110, freq="W")
    data = MediaData(frame, "sales", ["baseline", "$$"], [])
    priors = config(data) | {"intercept": Prior("Normal", mu=0.5, sigma=0.2)}
    mmm = build_media_mix(data, priors, l_max=2, yearly_modes=0)
    fit_media_mix(mmm, draws=100, tune=200, chains=1, seed=1)
    parts = mix_draws(mmm).parts(data)
    returns = parts.media.sum(axis=1).mean(axis=0) / spend.sum(axis=0)
    np.testing.assert_allclose(returns, [2, 1], atol=0.5)
    assert parts.baseline.mean() == pytest.approx(1000, rel=0.2)


def test_channels_that_run_together_are_one_group():
    spend = np.random.default_rng(1).gamma(2.0, 1.0, (60, 4))
    spend[:, 2], spend[:, 3] = 3 * spend[:, 0], 0
    assert run_together(spend) == [[0, 2], [1], [3]]
    assert run_together(spend[:, :1]) == [[0]]


def test_no_controls_and_no_season(split):
    bare = split[0].without(["promo", "hot"])
    mmm = build_media_mix(bare, config(bare), yearly_modes=0)
    names = {variable.name for variable in mmm.model.free_RVs}
    assert not names & {"gamma_control", "gamma_fourier"}
    sample_prior(mmm, 5)
    prior = mix_draws(mmm, "prior")
    assert prior.parts(bare).location.shape == (5, 100)
    assert not prior.parts(bare).controls.any()


def test_intervals_reduce_the_draws_and_not_the_last_axis():
    draws = np.random.default_rng(0).normal(size=(500, 3)) * [1, 10, 100]
    assert mean_interval(draws).shape == (3, 3)
    assert np.shape(az.hdi(draws, prob=0.9)) == (500, 2)  # the silent trap
    right = az.hdi(xr.DataArray(draws, dims=("sample", "week")), prob=0.9, dim="sample")
    assert right.sizes["week"] == 3
    np.testing.assert_allclose(mean_interval(draws)[2], right.isel(ci_bound=1), rtol=0.3)


def test_truncated_normal_draws():
    n = 40_000
    none = np.zeros((n, 0))
    draws = MixDraws(none, none, none, np.zeros(n), none, none, np.full(n, 2.0))
    for centre in (3.0, -1.0, -300.0):
        location = np.full((n, 1), centre)
        known = truncnorm(-centre / 2, np.inf, loc=centre, scale=2)
        sampled = draws.sample(location, seed=1)
        assert sampled.mean() == pytest.approx(known.mean(), rel=0.03)
        assert sampled.std() == pytest.approx(known.std(), rel=0.03)
        np.testing.assert_allclose(draws.expected(location), known.mean(), rtol=1e-6)


def constant(data, plan):
    return replace(data, frame=data.frame.assign(**dict(zip(data.channels, plan, strict=True))))


def test_fits_recover_the_twin_and_share_one_compilation():
    datasets = []
    for seed in (1, 2):
        twin = simulate_media_mix(60, seed=seed)
        data = MediaData(twin.data, "sales", twin.truth["names"][:2], ["Thanksgiving"])
        datasets.append(data)
    small = config(datasets[0]) | {
        "saturation_beta": Prior("HalfNormal", sigma=0.3, dims="channel")
    }
    refits = Refits(datasets[0], small, yearly_modes=1)
    size = {"draws": 120, "tune": 150, "chains": 1, "seed": 1}
    scale = {"prior_scale": np.full(3, 0.3), "target_accept": 0.95}
    many = [refits.fit(data, **scale, **size).draws for data in datasets]
    alone = build_media_mix(datasets[1], small, yearly_modes=1)
    idata = fit_media_mix(alone, **size)
    assert idata is alone.idata
    assert "channel_contribution" not in idata["posterior"]
    first, second, third = (draws.baseline for draws in (*many, mix_draws(alone)))
    assert abs(second.mean() - third.mean()) < 4 * third.std() / np.sqrt(20)
    assert abs(first.mean() - second.mean()) > 1e-6 * second.mean()
    assert (datasets[1].y.max() * 0.1 < third.mean()) and third.mean() < datasets[1].y.max()
