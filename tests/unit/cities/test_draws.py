"""Tests of `helpers.cities.draws`."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from helpers.cities.draws import day_posterior, lift_draws
from helpers.cities.load import TwoSeries, as_two_series
from helpers.cities.model import DAY_TYPES, prepare, shared_shock_model
from helpers.cities.simulate import TwoCitiesTruth, simulate_two_cities
from helpers.inference.sampling import sample


def small_series(n_days=80):
    """Two cities with campaigns, spend in B, two known days, and all days open."""
    rng = np.random.default_rng(7)
    event = np.full(n_days, None, dtype=object)
    event[[5, 40]], event[20] = "fair", "cup"
    ads = np.zeros((n_days, 2))
    ads[10:20, 0], ads[50:60, 1] = 1, 20
    sales = np.exp(rng.normal([7, 6], [0.2, 0.3], (n_days, 2)))
    return TwoSeries(
        pd.date_range("2023-01-02", periods=n_days), ("Ulm", "Bonn"), sales, ads, event
    )


@pytest.fixture(scope="module")
def points():
    """Data of 80 days, and six random points: values by name, log density without Jacobian."""
    planted = np.zeros((80, 2))
    planted[70:75] = 1
    data = prepare(small_series(), planted=planted)
    model = shared_shock_model(data)
    named = [*model.free_RVs, *model.deterministics]
    quick = {"mode": "FAST_COMPILE"}  # evaluated a few times only
    values = model.compile_fn(model.replace_rvs_by_values(named), inputs=model.value_vars, **quick)
    density = model.compile_logp(jacobian=False, **quick)
    rng, start = np.random.default_rng(3), model.initial_point()
    shaken = [
        {name: value + 0.4 * rng.normal(size=value.shape) for name, value in start.items()}
        for _ in range(6)
    ]
    names = [variable.name for variable in named]
    dims = {name: model.named_vars_to_dims.get(name) or () for name in names}
    by_name = [dict(zip(names, values(point), strict=True)) for point in shaken]
    return SimpleNamespace(
        data=data, by_name=by_name, log_density=[density(point) for point in shaken], dims=dims
    )


def covariances(v):
    """Covariance of a day's residual for each type of day, from the text's definition."""
    slope = np.array([1, v["loading"]])
    quiet = v["day_sd"] ** 2 * np.outer(slope, slope) + np.diag(v["noise_sd"] ** 2)
    shared = v["spike_sd"] ** 2 * np.outer(slope, slope)
    own = v["own_spike_sd"] ** 2
    return [quiet, quiet + shared, quiet + np.diag([own[0], 0]), quiet + np.diag([0, own[1]])]


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
    data = prepare(as_two_series(market.data))
    fit = sample(shared_shock_model(data), draws=200, tune=300, chains=2, seed=1)
    lift = lift_draws(fit["posterior"].to_dataset(), data)
    error = lift.mean(axis=0) - truth.lift
    assert (np.abs(error) < 3 * lift.std(axis=0)).all()
    assert (np.abs(error) < 25).all() and (lift.std(axis=0) < 20).all()
