"""Tests of `helpers.inference.sampling`."""

from __future__ import annotations

import gc
import os
from types import SimpleNamespace

import arviz as az
import numpy as np
import pymc as pm
import pytest

from helpers.inference.sampling import _backend, fit_many, sample


def data_of(mean, n=20, n_effects=3):
    """Measurements with known noise of sd 1; ``scale`` gives the model a shape, not its data."""
    y = np.random.default_rng(0).normal(mean, 1, n)
    return SimpleNamespace(arrays={"y": y, "scale": np.ones(n_effects)})


def build(data):
    with pm.Model() as model:
        mean = pm.Normal("mean", 0, 2)
        pm.Normal("effect", 0, data.arrays["scale"])
        pm.Data("data_scale", data.arrays["scale"])  # nothing depends on it
        pm.Normal("y", mean, 1, observed=pm.Data("data_y", data.arrays["y"]))
    return model


def assert_exact(idata, data):
    """The posterior is normal with precision n + 1/4; within five Monte Carlo errors."""
    draws = idata["posterior"]["mean"].values
    precision = data.arrays["y"].size + 1 / 4
    expected, sd = data.arrays["y"].sum() / precision, precision**-0.5
    ess = float(az.ess(draws))
    assert ess > 50
    assert abs(draws.mean() - expected) < 5 * sd / ess**0.5
    assert draws.std() == pytest.approx(sd, rel=0.25)


@pytest.mark.parametrize(("backend", "draws"), [("jax", 300), ("numba", 5000)])
def test_sample_draws_from_the_posterior_in_silence(backend, draws, capfd):
    assert _backend(2 * (draws + 200)) == backend
    data = data_of(3)
    idata = sample(build(data), draws=draws, tune=200, chains=2, seed=1)
    assert_exact(idata, data)
    assert idata["posterior"]["mean"].shape == (2, draws)
    assert "diverging" in idata["sample_stats"]
    assert capfd.readouterr() == ("", "")


def test_no_core_is_left_idle(monkeypatch):
    asked, sampled = [], pm.sample
    monkeypatch.setattr(pm, "sample", lambda *a, **k: asked.append(k["cores"]) or sampled(*a, **k))
    sample(build(data_of(0)), draws=10, tune=10, chains=2, seed=1)
    assert asked == [min(2, os.cpu_count())]


@pytest.mark.parametrize(("backend", "draws"), [("jax", 180), ("numba", 1600)])
def test_fit_many_fits_each_in_order_and_takes_a_new_shape(backend, draws):
    assert _backend(3 * 2 * (draws + 120)) == backend
    datasets = [data_of(-2), data_of(4), data_of(1, n=30, n_effects=5)]
    fits = list(fit_many(datasets, build, draws=draws, tune=120, chains=2, seed=1))
    assert [data for data, _ in fits] == datasets
    for data, idata in fits:
        assert_exact(idata, data)
        assert idata["posterior"]["mean"].shape == (2, draws)
        assert idata["posterior"]["effect"].shape[2:] == data.arrays["scale"].shape


def test_each_data_set_has_its_own_stream_and_the_seed_decides():
    twins = [data_of(1), data_of(1)]

    def means():
        fits = fit_many(twins, build, draws=20, tune=50, chains=1, seed=5)
        return [idata["posterior"]["mean"].values for _, idata in fits]

    one, other = means()
    assert (one != other).mean() > 0.9
    np.testing.assert_array_equal(one, means()[0])


def test_a_fit_within_fits_leaves_their_model_out_of_the_collector_s_sight():
    def fits(mean):
        data = [data_of(mean), data_of(mean + 1)]
        return fit_many(data, build, draws=20, tune=50, chains=1, seed=5, backend="numba")

    gc.unfreeze()
    for _ in fits(1):
        frozen = gc.get_freeze_count()
        assert frozen > 100_000
        for _ in fits(3):  # one that failed, once more
            pass
        assert 0.9 * frozen < gc.get_freeze_count() <= frozen
    assert gc.get_freeze_count() == 0
