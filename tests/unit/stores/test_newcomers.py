"""A population is learnt, new stores are met with few days, and nothing looks ahead."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from chapter_code import from_chapter
from scipy.optimize import minimize
from scipy.stats import nbinom

from helpers.data.columns import DataError
from helpers.notebook.claims import NotConverged
from helpers.stores import newcomers
from helpers.stores.load import as_store_panel
from helpers.stores.newcomers import (
    calendar_contrasts,
    learn_population,
    learn_weeks,
    meet_stores,
    predict_sales,
    store_contrasts,
    week_of,
)
from helpers.stores.simulate import StoresTruth, simulate_stores

DAYS = np.arange(400)
pooled, split_chain = from_chapter("new-stores", "pooled", "split_chain")


@pytest.fixture(scope="module")
def market():
    return simulate_stores(120, seed=5, n_days=400, truth=StoresTruth(week_sd=0.08))


@pytest.fixture(scope="module")
def panel(market):
    return as_store_panel(market.data)


@pytest.fixture(scope="module")
def old(panel):
    return panel.take(slice(90))


@pytest.fixture(scope="module")
def new(panel):
    return panel.take(slice(90, None))


@pytest.fixture(scope="module")
def chain(old):
    return learn_population(old)


@pytest.fixture(scope="module")
def weekly(chain, old):
    return learn_weeks(chain, old)


def test_weeks_begin_on_monday():
    days = pd.date_range("2013-01-01", periods=60)
    starts = days[1:][np.diff(week_of(days)) == 1]
    assert set(starts.day_of_week) == {0}


def test_contrasts_have_full_rank(panel):
    for x in (calendar_contrasts(panel).to_numpy(), store_contrasts(panel)):
        assert np.linalg.matrix_rank(x) == x.shape[1]


def test_population_is_recovered(chain, weekly, market):
    truth, promo = market.truth["population"], chain.features.index("promo")
    assert chain.stores[:, promo].mean() == pytest.approx(truth.promo, abs=0.04)
    assert np.sqrt(chain.covariance[promo, promo]) == pytest.approx(truth.promo_sd, abs=0.03)
    # the simulator's weeks begin on Tuesday
    assert weekly.week_sd == pytest.approx(truth.week_sd, abs=0.02)
    assert weekly.regression[0, -1] == pytest.approx(market.truth["dispersion"].mean(), abs=0.25)


def test_chain_week_is_found(old):
    week = np.flatnonzero(week_of(old.dates) == week_of(old.dates)[0] + 20)
    sales = old.sales.copy()
    sales[:, week] = np.round(sales[:, week] * 1.3)
    raised = replace(old, sales=sales)
    weekly = learn_weeks(learn_population(raised, steps=8), raised)
    assert weekly.weeks.iloc[20] == pytest.approx(np.log(1.3), abs=0.05)
    assert weekly.weeks.idxmax() == weekly.weeks.index[20]


@pytest.mark.parametrize("n_days", [1, 7])
def test_few_days_give_the_peak_of_the_exact_posterior(chain, new, n_days):
    """The table of the likelihood must be centred where the store is, not where few days say."""
    known = (DAYS >= 203) & (203 + n_days > DAYS)
    met = meet_stores(chain, new, known)
    x, precision = calendar_contrasts(new).to_numpy(), np.linalg.inv(chain.covariance)
    mean = store_contrasts(new) @ chain.regression
    for i in range(3):
        days = np.flatnonzero(known & np.isfinite(new.sales[i]))

        def negative(beta, i=i, days=days):
            mu, scale = np.exp(x[new.pattern[i, days]] @ beta[:-1]), np.exp(beta[-1])
            fit = nbinom.logpmf(new.sales[i, days], mu / scale, 1 / (1 + scale)).sum()
            off = beta - mean[i]
            return 0.5 * off @ precision @ off - fit

        peak = minimize(negative, mean[i], method="BFGS").x
        sd = np.sqrt(np.diagonal(met.covariance[i]))
        assert np.abs((met.centre[i] - peak) / sd).max() < 0.05


def test_no_days_give_the_population(weekly, new):
    met = meet_stores(weekly, new, DAYS < 0)
    np.testing.assert_array_equal(met.covariance[0], weekly.covariance)
    assert met.weeks.size == 0


def test_days_narrow_and_weeks_widen(chain, weekly, new):
    def sd(population, n_days):
        met = meet_stores(population, new, (DAYS >= 203) & (203 + n_days > DAYS))
        return np.sqrt(met.covariance[:, 0, 0]).mean()

    assert sd(weekly, 1) > sd(weekly, 7) > sd(weekly, 28)
    assert sd(weekly, 28) > sd(chain, 28)


def test_forecast_holds_and_does_not_look_ahead(weekly, new):
    known, ahead = (DAYS >= 203) & (DAYS < 231), (DAYS >= 231) & (DAYS < 259)
    draws = predict_sales(meet_stores(weekly, new, known), new, ahead, n_draws=200, seed=1)
    blind = new.observed(known)
    again = predict_sales(meet_stores(weekly, blind, known), blind, ahead, n_draws=200, seed=1)
    np.testing.assert_array_equal(draws, again)
    y = new.sales[:, ahead]
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    assert ((low <= y) & (y <= high))[np.isfinite(y)].mean() == pytest.approx(0.9, abs=0.06)


def test_shared_effects_leave_the_level_or_nothing(chain, old, new):
    known = (DAYS >= 203) & (DAYS < 231)
    level = meet_stores(pooled(chain, old, level=True), new, known)
    nothing = meet_stores(pooled(chain, old, level=False), new, known)
    effects = slice(1, len(chain.features))
    assert np.ptp(level.centre[:, 0]) > 0.3
    assert np.ptp(level.centre[:, effects], axis=0).max() < 0.01
    np.testing.assert_allclose(nothing.covariance[:, 0, 0], 0, atol=1e-6)


def test_bad_splits_are_refused(panel):
    with pytest.raises(DataError, match="at least 20 are needed"):
        split_chain(panel, n_new=110, n_ahead=28)
    with pytest.raises(DataError, match="90 are needed"):
        split_chain(panel, n_new=30, n_ahead=350)
    unsold = panel.sales.copy()
    unsold[90:, :300] = np.nan
    with pytest.raises(DataError, match="none before"):
        split_chain(replace(panel, sales=unsold), n_new=30, n_ahead=100)


def test_a_search_that_does_not_end_is_refused(monkeypatch, chain, old, new):
    monkeypatch.setattr(newcomers, "_AT_REST", 0.0)
    with pytest.raises(NotConverged, match="what the stores share"):
        learn_population(old, steps=1)
    with pytest.raises(NotConverged, match="single stores"):
        meet_stores(chain, new, DAYS < 7)


def test_other_features_are_refused(chain, new):
    fewer = replace(new, calendar=new.calendar.drop(columns="promo"))
    with pytest.raises(ValueError, match="features of the population"):
        meet_stores(chain, fewer, DAYS < 7)
