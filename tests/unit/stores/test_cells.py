"""Tests of `helpers.stores.cells`."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gammaln

from helpers.stores.cells import (
    HALF_WIDTH,
    calendar_contrasts,
    contrasts,
    count_cells,
    drop_untold,
    told_apart,
)
from helpers.stores.load import as_store_panel
from helpers.stores.posterior import _series, _values
from helpers.stores.simulate import simulate_stores


@pytest.fixture(scope="module")
def market():
    return simulate_stores(12, seed=3, n_days=760)


@pytest.fixture(scope="module")
def panel(market):
    return as_store_panel(market.data)


@pytest.mark.parametrize("family", ["nb1", "nb2"])
def test_the_table_equals_the_sum_over_days(panel, family):
    cells = count_cells(panel, family=family)
    rng = np.random.default_rng(1)
    for shift in rng.uniform(-HALF_WIDTH, HALF_WIDTH, 5):
        u = cells.centre + shift
        value, *_ = _series(cells.h, (u - cells.centre) / HALF_WIDTH)
        exact = np.zeros_like(u)
        store, day = np.nonzero(np.isfinite(panel.sales))
        column = panel.pattern[store, day] if family == "nb1" else np.zeros_like(store)
        y, alpha = panel.sales[store, day].astype(float), np.exp(u[store, column])
        np.add.at(exact, (store, column), gammaln(alpha + y) - gammaln(alpha) - gammaln(y + 1))
        np.testing.assert_allclose(value, exact, atol=1e-5 * np.abs(exact).max(), rtol=1e-7)


@pytest.mark.parametrize("family", ["nb1", "nb2"])
def test_derivatives_of_the_likelihood(panel, family):
    cells = count_cells(panel, family=family)
    beta = np.concatenate([np.zeros((12, 23)), np.full((12, 1), 3.0)], axis=1)
    beta[:, :7] = 8.5
    step = np.zeros(24)
    step[-1] = 1e-5
    up, down = _values(cells, beta + step), _values(cells, beta - step)
    middle = _values(cells, beta)
    np.testing.assert_allclose((up[0] - down[0]) / 2e-5, middle[2], rtol=1e-5)
    np.testing.assert_allclose((up[2] - down[2]) / 2e-5, middle[5], rtol=1e-4)


def test_contrasts_do_not_depend_on_the_redundant_levels(panel):
    coef = np.random.default_rng(1).normal(size=(3, 12, 23))
    moved = coef.copy()
    moved[..., :7] += 0.7
    moved[..., 8:12] -= 0.7
    before = contrasts(coef, panel.attributes, panel.features)
    after = contrasts(moved, panel.attributes, panel.features)
    assert set(before) >= {"level", "weekday_Mon", "promo", "state_holiday_b", "school_holiday"}
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value, atol=1e-12)


def test_what_no_sales_tell_is_dropped(market):
    frame = market.data.query("store != 1 or promo == 0").assign(open=1)
    frame["open"] = (frame["sales"] > 0) & (frame["date"].dt.day_of_week < 5)
    frame["sales"] *= frame["open"]
    frame["open"] = frame["open"].astype(int)
    panel = as_store_panel(frame)
    left = drop_untold(panel)
    gone = set(panel.calendar) - set(left.calendar)
    assert {"weekday_Sat", "weekday_Sun"} <= gone
    assert "promo" in left.calendar
    held = contrasts(np.ones((12, len(left.features))), left.attributes, left.features)
    assert "weekday_Sat" not in held

    never = drop_untold(as_store_panel(frame.assign(promo=0), source="simulated"))
    assert not {"promo", "weekday_Sun"} & set(never.calendar)
    assert calendar_contrasts(never).columns[0] == "level"


def test_a_promotion_is_told_apart_by_stores_that_ran_it(market):
    frame = market.data
    told = told_apart(as_store_panel(frame))["promo"]
    assert told.all()
    alone = frame.assign(promo=frame["promo"].where(frame["store"] != 1, 0))
    told = told_apart(drop_untold(as_store_panel(alone)))["promo"]
    assert not told.iloc[0]
    assert told.iloc[1:].all()
    mondays = frame.assign(promo=(frame["date"].dt.day_of_week == 0).astype(int))
    assert not told_apart(as_store_panel(mondays))["promo"].any()
    assert "promo" not in drop_untold(as_store_panel(mondays)).calendar
