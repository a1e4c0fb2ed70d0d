"""Tests of `helpers.prices.model`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytensor.tensor as pt
import pytest
from pytensor.graph.replace import clone_replace
from scipy import stats
from small_markets import POPULATION, rows_of, small_panel

from helpers.prices.model import elasticity_model, prepare_prices


def rows_term(model, values):
    """The likelihood's part of the model's log density."""
    values = values | {"correlation_share": (values["effect_correlation"] + 1) / 2}
    fixed = {v: pt.constant(np.float64(values[v.name])) for v in model.free_RVs}
    return float(clone_replace(model.potentials[0], fixed).eval())


@pytest.mark.parametrize("income", [True, False], ids=["income", "no income"])
@pytest.mark.parametrize("store_sd", [0.3, 1e-9])
def test_log_density_is_that_of_the_rows(income, store_sd):
    panel = small_panel(income=income)
    data = prepare_prices(panel)
    values = POPULATION | {"store_sd": store_sd}
    if not income:
        values = {name: v for name, v in values.items() if not name.endswith("_slope")}
    *_, mean, covariance = rows_of(panel, data, values)
    expected = stats.multivariate_normal.logpdf(
        panel.log_quantity - data.reference[1], mean, covariance
    )
    assert rows_term(elasticity_model(data), values) == pytest.approx(expected)


def test_a_region_left_out_counts_for_nothing_and_keeps_its_place():
    panel = small_panel()
    kept = panel.region != 2
    data = prepare_prices(panel, leave_out=panel.regions[2])
    assert data.reference == pytest.approx(
        (panel.log_price[kept].mean(), panel.log_quantity[kept].mean())
    )
    *_, mean, covariance = rows_of(panel, data, POPULATION)
    expected = stats.multivariate_normal.logpdf(
        (panel.log_quantity - data.reference[1])[kept], mean[kept], covariance[np.ix_(kept, kept)]
    )
    assert rows_term(elasticity_model(data), POPULATION) == pytest.approx(expected)
    whole = prepare_prices(panel)
    assert {k: v.shape for k, v in data.arrays.items()} == {
        k: v.shape for k, v in whole.arrays.items()
    }


def test_prepared_sums():
    panel = small_panel()
    data = prepare_prices(panel, reference=(0.1, 0.2))
    rows = pd.DataFrame(
        {"n": 1.0, "x": panel.log_price - 0.1, "y": panel.log_quantity - 0.2}
    ).assign(xx=lambda d: d.x**2, xy=lambda d: d.x * d.y, yy=lambda d: d.y**2)
    for name, sums in rows.groupby(panel.store).sum().items():
        np.testing.assert_allclose(data.arrays[name], sums, atol=1e-12)
    z = data.arrays["income"]
    assert (z.mean(), z.std()) == pytest.approx((0, 1))
    assert data.coords == {"region": list(panel.regions), "store": list(panel.stores)}


def test_prepare_refuses():
    panel = small_panel()
    with pytest.raises(ValueError, match="leave_out='nowhere' is none of 0, 1, 2, 3"):
        prepare_prices(panel, leave_out="nowhere")
    with pytest.raises(ValueError, match="median_income: all regions have the same"):
        prepare_prices(replace(panel, income=np.full(4, 5.0)))


def test_adjusted_sums_take_the_place_of_the_data():
    data = prepare_prices(small_panel())
    arrays = data.arrays | {"xy": 2 * data.arrays["xy"], "yy": 3 * data.arrays["yy"]}
    adjusted = elasticity_model(
        data, adjust=lambda sums: sums | {"xy": 2 * sums["xy"], "yy": 3 * sums["yy"]}
    )
    expected = elasticity_model(replace(data, arrays=arrays))
    assert adjusted.point_logps() == expected.point_logps()
    assert adjusted.point_logps() != elasticity_model(data).point_logps()
