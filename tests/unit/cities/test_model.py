"""Tests of `helpers.cities.model`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp
from small_markets import covariances, small_series

from helpers.cities.model import day_log_density, drift_basis, prepare
from helpers.data.columns import DataError


def test_modes_are_orthonormal_without_level_and_line():
    vectors, sd = drift_basis(60, 20)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(20), atol=1e-12)
    line = np.column_stack([np.ones(60), np.arange(60)])
    np.testing.assert_allclose(line.T @ vectors, 0, atol=1e-9)
    assert (np.diff(sd) < 0).all() and (vectors[0] > 0).all()
    np.testing.assert_allclose(drift_basis(60, 57)[0][:, :20], vectors, atol=1e-12)


def test_all_modes_have_the_covariance_of_a_projected_random_walk():
    n = 40
    walk = np.minimum.outer(np.arange(n), np.arange(n))  # covariance of a walk from zero
    line = np.column_stack([np.ones(n), np.arange(n)])
    project = np.eye(n) - line @ np.linalg.pinv(line)
    exact = project @ walk @ project
    vectors, sd = drift_basis(n, n - 3)
    np.testing.assert_allclose(vectors.T @ exact @ vectors, np.diag(sd**2), atol=1e-9)
    largest = np.linalg.eigvalsh(exact)[::-1]
    np.testing.assert_allclose(sd**2, largest[: n - 3])
    left_out = exact - vectors * sd**2 @ vectors.T
    np.testing.assert_allclose(np.linalg.eigvalsh(left_out)[-1], largest[n - 3])


@pytest.mark.parametrize("n_modes", [0, 38])
def test_modes_are_refused(n_modes):
    with pytest.raises(ValueError, match=rf"n_modes={n_modes} must lie between 1 and .* = 37"):
        drift_basis(40, n_modes)


@pytest.mark.parametrize("scale", ["level", "log"])
def test_series_are_standardised(scale):
    series = small_series()
    data = prepare(series, scale=scale)
    z = data.arrays["sales"]
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(z.std(axis=0), 1)
    back = z * data.spread + data.centre
    np.testing.assert_allclose(np.exp(back) if scale == "log" else back, series.sales)
    np.testing.assert_array_equal(data.arrays["spread"], data.spread)


def test_days_closed_in_either_city_are_left_out():
    whole, series = small_series(), small_series()
    series.sales[7, 0] = series.sales[30, 1] = np.nan
    data, all_days = prepare(series), prepare(whole)
    kept = np.delete(np.arange(80), [7, 30])
    np.testing.assert_array_equal(data.dates, whole.dates[kept])
    for name in ("ads", "weekday", "event", "years", "modes"):
        np.testing.assert_array_equal(data.arrays[name], all_days.arrays[name][kept])
    np.testing.assert_array_equal(data.centre, series.sales[kept].mean(axis=0))


def test_weekdays_events_and_years():
    data = prepare(small_series())
    names = np.array(data.weekdays)[data.arrays["weekday"].argmax(axis=1)]
    assert names.tolist() == data.dates.day_name().tolist()
    assert data.events == ("cup", "fair")
    assert np.argwhere(data.arrays["event"]).tolist() == [[5, 1], [20, 0], [40, 1]]
    assert np.ptp(data.arrays["years"]) == pytest.approx(79 / 365.25)
    without = prepare(small_series(), use_events=False)
    assert without.events == () and without.arrays["event"].shape == (80, 0)


def test_campaigns_are_in_units_of_their_mean_and_planted_ones_come_second():
    series = small_series()
    planted = np.zeros((80, 2))
    planted[70:75] = 1
    data = prepare(series, planted=planted)
    assert data.campaigns == ("ads", "planted")
    np.testing.assert_allclose(data.ad_unit, [(10 * 1 + 10 * 20) / 20, 1])
    np.testing.assert_allclose(data.arrays["ads"][..., 0] * data.ad_unit[0], series.ads)
    np.testing.assert_array_equal(data.arrays["ads"][..., 1], planted)
    none = prepare(replace(series, ads=np.zeros((80, 2))))
    assert none.campaigns == () and none.arrays["ads"].shape == (80, 2, 0)


def test_number_of_modes():
    assert prepare(small_series()).arrays["mode_sd"].shape == (20,)
    assert prepare(small_series(), n_modes=9).arrays["modes"].shape == (80, 9)


def test_prepare_refuses():
    series = small_series()
    series.sales[[12, 30], 1] = 0
    with pytest.raises(DataError, match=r"sales: 2 zero values \(first on 2023-01-14 in Bonn\)"):
        prepare(series, scale="log")
    with pytest.raises(ValueError, match="scale='ratio' is unknown; use 'level' or 'log'"):
        prepare(series, scale="ratio")


def test_a_days_log_density_is_that_of_two_dimensions():
    rng = np.random.default_rng(1)
    residual = rng.normal(size=(6, 2))
    for shared, own_a, own_b, loading in rng.gamma(2, size=(5, 4)):
        slope = np.array([1, loading])
        covariance = shared * np.outer(slope, slope) + np.diag([own_a, own_b])
        np.testing.assert_allclose(
            day_log_density(residual, shared, own_a, own_b, loading, xp=np),
            stats.multivariate_normal.logpdf(residual, cov=covariance),
        )


def test_log_density_is_that_of_the_equations(points):
    data, arrays = points.data, points.data.arrays
    normal, half = stats.norm.logpdf, stats.halfnorm.logpdf
    for v, found in zip(points.by_name, points.log_density, strict=True):
        walk = arrays["modes"] @ v["walk"]
        walk_sd, own_sd = v["walk_sd"], v["own_sd"]
        monthly = 1 / (2 * np.sin(np.pi / 30))
        own_drift = own_sd * (
            arrays["modes"] * (arrays["mode_sd"] / monthly) ** v["own_exponent"] @ v["z_own"]
        )
        shock = walk + arrays["event"] @ v["event_effect"]
        mean = (
            v["intercept"]
            + np.outer(arrays["years"], v["trend"])
            + arrays["weekday"] @ v["week"].T
            + np.outer(shock, [1, v["loading"]])
            + own_drift
            + np.einsum("tcj,cj->tc", arrays["ads"], v["lift"])
        )
        np.testing.assert_allclose(v["residual"], arrays["sales"] - mean, atol=1e-9)
        days = [
            stats.multivariate_normal.logpdf(v["residual"], cov=covariance) + np.log(rate)
            for covariance, rate in zip(covariances(v), v["rate"], strict=True)
        ]
        week = v["week"]
        np.testing.assert_allclose(week.sum(axis=1), 0, atol=1e-12)
        expected = [
            logsumexp(days, axis=0).sum(),
            # An amplitude of the walk has sd walk_sd times that of its mode; the model samples
            # it in another unit.
            normal(v["walk"], 0, walk_sd * arrays["mode_sd"]).sum(),
            np.log(np.abs(v["walk"] / v["z"])).sum(),
            normal(v["intercept"]).sum() + normal(v["trend"]).sum() + normal(v["lift"]).sum(),
            -(week**2).sum() / 2 - week.shape[0] * (week.shape[1] - 1) * np.log(2 * np.pi) / 2,
            normal(v["event_effect"], 0, 2).sum(),
            normal(v["z_own"]).sum(),
            stats.lognorm.logpdf(walk_sd, 1, scale=0.1)
            + stats.lognorm.logpdf(own_sd, 1, scale=0.1),
            stats.lognorm.logpdf(v["loading"], 0.5),
            stats.beta.logpdf(v["own_exponent"], 2, 2),
            half(v["noise"], scale=0.5) + half(v["day_sd"], scale=0.5),
            # Two numbers that sum to zero have one free dimension.
            -(v["noise_contrast"] ** 2).sum() / 2 / 0.25**2 - np.log(0.25 * np.sqrt(2 * np.pi)),
            half(v["spike_sd"], scale=2) + half(v["own_spike_sd"], scale=2).sum(),
            stats.dirichlet.logpdf(v["rate"], [40, 1, 1, 1]),
        ]
        np.testing.assert_allclose(v["noise_sd"], v["noise"] * np.exp(v["noise_contrast"]))
        assert v["loading_b"] == pytest.approx(v["loading"] * data.spread[1] / data.spread[0])
        assert found == pytest.approx(sum(expected), rel=1e-9)
