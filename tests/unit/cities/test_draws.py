"""Tests of `helpers.cities.draws`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from small_markets import covariances, small_series

from helpers.cities.draws import day_posterior, lift_draws
from helpers.cities.load import load_two_cities
from helpers.cities.model import DAY_TYPES, prepare, shared_shock_model
from helpers.cities.simulate import TwoCitiesTruth, simulate_two_cities
from helpers.inference.sampling import sample


def test_day_posterior_by_brute_force(points):
    data = points.data
    posterior = xr.Dataset(
        {
            name: (
                ("chain", "draw", *points.dims[name]),
                np.reshape([v[name] for v in points.by_name], (2, 3, *np.shape(value))),
            )
            for name, value in points.by_name[0].items()
        }
    )
    found, found_shock = day_posterior(posterior, data)
    assert found.columns.tolist() == list(DAY_TYPES)
    assert found.index.equals(data.dates)
    probability, shock = np.zeros((80, 4)), np.zeros((6, 80))
    for i, v in enumerate(points.by_name):
        slope = np.array([1, v["loading"]])
        variance = v["day_sd"] ** 2 + np.array([0, v["spike_sd"] ** 2, 0, 0])
        for t, residual in enumerate(v["residual"]):
            weight = [
                rate * stats.multivariate_normal.pdf(residual, cov=covariance)
                for covariance, rate in zip(covariances(v), v["rate"], strict=True)
            ]
            weight /= np.sum(weight)
            means = [
                size * slope @ np.linalg.inv(covariance) @ residual
                for size, covariance in zip(variance, covariances(v), strict=True)
            ]
            event = data.arrays["event"][t] @ v["event_effect"]
            probability[t] += weight / 6
            walk = data.arrays["modes"][t] @ v["walk"]
            shock[i, t] = walk + event + weight @ means
    np.testing.assert_allclose(found, probability, atol=1e-9)
    np.testing.assert_allclose(found_shock, shock * data.spread[0])


@pytest.mark.parametrize("scale", ["level", "log"])
def test_lift_is_in_sales_or_a_share_of_them(scale):
    planted = np.zeros((80, 2))
    planted[70:75] = 1
    data = prepare(small_series(), scale=scale, planted=planted)
    lift = np.random.default_rng(1).normal(size=(2, 5, 2, 2))
    posterior = xr.Dataset(
        {"lift": (("chain", "draw", "city", "campaign"), lift)},
        coords={"campaign": list(data.campaigns)},
    )
    for j, campaign in enumerate(data.campaigns):
        found = lift_draws(posterior, data, campaign)
        change = lift[..., j].reshape(10, 2) * data.spread
        np.testing.assert_allclose(found, np.exp(change) - 1 if scale == "log" else change)


def test_a_short_fit_recovers_the_lift():
    truth = replace(TwoCitiesTruth(), n_shared_days=8, n_known_days=2, n_own_days=3, n_campaigns=2)
    market = simulate_two_cities(200, seed=11, truth=truth, timing="avoid")
    data = prepare(load_two_cities(market.data))
    fit = sample(shared_shock_model(data), draws=200, tune=300, chains=2, seed=1)
    lift = lift_draws(fit["posterior"].to_dataset(), data)
    error = lift.mean(axis=0) - truth.lift
    assert (np.abs(error) < 3 * lift.std(axis=0)).all()
    assert (np.abs(error) < 25).all() and (lift.std(axis=0) < 20).all()
