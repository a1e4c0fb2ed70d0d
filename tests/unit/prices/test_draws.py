"""Tests of `helpers.prices.draws`."""

from __future__ import annotations

from dataclasses import replace

import arviz as az
import numpy as np
import pymc as pm
import pytest
import xarray as xr
from small_markets import POPULATION, rows_of, small_panel

from helpers.inference.sampling import sample
from helpers.prices.draws import new_region_draws, population_draws, region_draws
from helpers.prices.model import elasticity_model, prepare_prices


def draws_of(values, n_draws=1):
    """A posterior whose draws are all the same."""
    arrays = {name: (("chain", "draw"), np.full((1, n_draws), v)) for name, v in values.items()}
    return xr.Dataset(arrays)


@pytest.mark.parametrize("reference_price", [1.0, 1.5])
def test_region_draws_have_the_exact_conditional_distribution(reference_price):
    panel = small_panel()
    data = prepare_prices(panel)
    design, means, effects, mean, covariance = rows_of(panel, data, POPULATION)
    # Regression of all regions' effects on the rows.
    belongs = np.equal.outer(np.arange(4), panel.region)[:, None, :]
    cross = (np.einsum("ij,nj->in", effects, design)[None] * belongs).reshape(8, -1)
    gain = np.linalg.solve(covariance, cross.T).T
    expected = means.ravel() + gain @ (panel.log_quantity - data.reference[1] - mean)
    uncertainty = np.kron(np.eye(4), effects) - gain @ cross.T
    shift = data.reference[0] - np.log(reference_price)
    turn = np.kron(np.eye(4), [[1, -shift], [0, 1]])
    expected = turn @ expected + np.tile([data.reference[1], 0], 4)
    uncertainty = turn @ uncertainty @ turn.T

    n = 40_000
    draws = region_draws(draws_of(POPULATION, n), data, seed=1, reference_price=reference_price)
    pairs = np.stack([draws["alpha"][0], draws["beta"][0]], axis=-1).reshape(n, 8)
    z = (pairs.mean(axis=0) - expected) / np.sqrt(np.diag(uncertainty) / n)
    assert np.abs(z).max() < 4.5
    scale = np.sqrt(np.outer(np.diag(uncertainty), np.diag(uncertainty)))
    assert np.abs((np.cov(pairs.T) - uncertainty) / scale).max() < 5 / np.sqrt(n)


def test_new_region_is_a_draw_from_the_population():
    panel = small_panel()
    data = prepare_prices(panel, leave_out=panel.regions[1])
    posterior = draws_of(POPULATION, 40_000)
    options = {"seed": 1, "reference_price": 1.3}
    left_out = region_draws(posterior, data, **options).isel(region=1)
    new = new_region_draws(posterior, data, income=float(panel.income[1]), **options)
    population = population_draws(posterior, data, reference_price=1.3).isel(chain=0, draw=0)
    for draws in (left_out, new):
        for name in ("alpha", "beta"):
            sd = float(population[f"{name}_sd"])
            mean = population[f"{name}_intercept"] + population[f"{name}_slope"] * panel.income[1]
            assert abs(float(draws[name].mean() - mean)) < 4.5 * sd / 200
            assert float(draws[name].std()) == pytest.approx(sd, rel=0.02)
        correlation = np.corrcoef(draws["alpha"][0], draws["beta"][0])[0, 1]
        assert correlation == pytest.approx(float(population["effect_correlation"]), abs=0.02)


def test_income_is_needed_where_the_panel_has_it_and_refused_where_not():
    with_income, without = prepare_prices(small_panel()), prepare_prices(small_panel(income=False))
    with pytest.raises(ValueError, match="the model needs the new region's median income"):
        new_region_draws(draws_of(POPULATION), with_income, seed=1)
    with pytest.raises(ValueError, match="the panel has none"):
        new_region_draws(draws_of(POPULATION), without, income=3.0, seed=1)
    assert new_region_draws(draws_of(POPULATION), without, seed=1)["beta"].shape == (1, 1)


def test_units_of_price_and_quantity_do_not_matter():
    panel = small_panel()
    other = replace(
        panel,
        log_price=panel.log_price + np.log(100),
        log_quantity=panel.log_quantity + np.log(7),
        income=panel.income * 1000,
    )
    euros, cents = prepare_prices(panel), prepare_prices(other)
    for name, values in euros.arrays.items():
        np.testing.assert_allclose(cents.arrays[name], values, atol=1e-9, err_msg=name)
    posterior = draws_of(POPULATION, 3)
    one = region_draws(posterior, euros, seed=1)
    two = region_draws(posterior, cents, seed=1, reference_price=100.0)
    np.testing.assert_allclose(two["alpha"], one["alpha"] + np.log(7))
    np.testing.assert_allclose(two["beta"], one["beta"])


def long_model(panel, data):
    """The same model with every effect sampled and every row in the likelihood."""
    with pm.Model() as model:
        income = data.arrays["income"]
        mean = [
            pm.Normal(f"{name}_intercept", centre, 2) + pm.Normal(f"{name}_slope", 0, 1) * income
            for name, centre in (("alpha", 0), ("beta", -2))
        ]
        scales = pm.HalfNormal.dist(1, size=2)
        packed = pm.LKJCholeskyCov("chol", n=2, eta=2, sd_dist=scales, compute_corr=False)
        chol = pm.expand_packed_triangular(2, packed)
        z = pm.Normal("z", 0, 1, shape=(2, len(data.regions)))
        effects = chol @ z
        alpha, beta = (mean[k] + effects[k] for k in range(2))
        beta = pm.Deterministic("beta", beta)
        store = pm.HalfNormal("store_sd", 0.5) * pm.Normal("u", 0, 1, shape=len(data.stores))
        sigma = pm.HalfNormal("residual_sd", 1)
        fitted = alpha[panel.region] + store[panel.store]
        fitted = fitted + beta[panel.region] * (panel.log_price - data.reference[0])
        pm.Normal("y", fitted, sigma, observed=panel.log_quantity - data.reference[1])
    return model


def test_posterior_equals_that_of_the_long_form():
    panel = small_panel(6, stores=(2, 4), n_weeks=12)
    data = prepare_prices(panel)
    run = {"draws": 300, "tune": 300, "chains": 2, "seed": 1}
    short = sample(elasticity_model(data), **run)["posterior"].to_dataset()
    long = sample(long_model(panel, data), **run)["posterior"].to_dataset()
    short["beta"] = region_draws(short, data, seed=2)["beta"]
    for name in ("beta", "alpha_intercept", "alpha_slope", "store_sd", "residual_sd"):
        means = [draws[name].mean(("chain", "draw")).to_numpy() for draws in (short, long)]
        errors = [az.mcse(draws[name]).to_numpy() for draws in (short, long)]
        assert (np.abs(means[0] - means[1]) < 4.5 * np.hypot(*errors)).all(), name
        sds = [draws[name].std(("chain", "draw")).to_numpy() for draws in (short, long)]
        np.testing.assert_allclose(sds[0], sds[1], rtol=0.25)
