"""Tests of `helpers.prices.simulate`."""

from __future__ import annotations

import re
import typing
from dataclasses import replace

import numpy as np
import pandas as pd
import pydantic
import pymc as pm
import pytest
from pydantic import ValidationError

from helpers.bookmaking.book import read_notebook
from helpers.bookmaking.cli import CHECKOUT
from helpers.prices.simulate import (
    SOURCE_SEED,
    PricesTruth,
    ShelfTruth,
    simulate_prices,
    simulate_shelf,
    simulate_source_market,
)

TRUTH = PricesTruth()


def entities():
    """The classes that the chapter on markets defines, by name."""
    chapter = CHECKOUT / "notebooks" / "prices" / "a-market-with-known-elasticities.ipynb"
    names = {"np": np, "pd": pd} | {n: getattr(pydantic, n) for n in pydantic.__all__}
    names |= {"Annotated": typing.Annotated, "__name__": "chapter"}
    for cell in read_notebook(chapter).cells:
        if "(Entity):" in cell.source:
            exec(compile(cell.source, "chapter", "exec", dont_inherit=True), names)
    return [names[name] for name in ("Sku", "Store", "Region", "Market")]


Sku, Store, Region, Market = entities()

SKU = {"id": 0, "prices": [1.5, 1.2], "quantities": [3.0, 4.5]}

STORE = {"id": 0, "items": [SKU]}

REGION = {"id": 0, "stores": [STORE], "median_income": 5.0}


def test_entities_make_one_table():
    two = Region(id=1, stores=[STORE, {**STORE, "id": 3}], median_income=7)
    frame = Market(regions=[REGION, two]).to_frame()
    assert frame.columns.tolist() == [
        *("region_id", "store_id", "item_id", "time_step", "price", "quantity", "median_income")
    ]
    assert frame["region_id"].tolist() == [0, 0, 1, 1, 1, 1]
    assert frame["store_id"].tolist() == [0, 0, 0, 0, 3, 3]
    assert frame["time_step"].tolist() == [1, 0] * 3
    assert frame["median_income"].tolist() == [5, 5, 7, 7, 7, 7]


@pytest.mark.parametrize(
    ("build", "values", "message"),
    [
        (Sku, SKU | {"prices": [1.5, 0.0]}, "prices.1\n  Input should be greater than 0"),
        (Sku, SKU | {"quantities": [np.nan, 1.0]}, "quantities.0\n  Input should be a finite"),
        (Sku, SKU | {"prices": []}, "at least 1 item"),
        (Sku, SKU | {"prices": [[1.0, 2.0]]}, "prices.0\n  Input should be a valid number"),
        (Sku, SKU | {"prices": [1.5]}, "1 prices and 2 quantities: must be as many of one"),
        (Sku, SKU | {"id": -1}, "greater than or equal to 0"),
        (Sku, SKU | {"colour": "red"}, "Extra inputs are not permitted"),
        (Store, STORE | {"items": []}, "at least 1 item"),
        (Store, STORE | {"items": [SKU, SKU]}, "must have unique ids (0 is repeated)"),
        (Region, REGION | {"stores": []}, "at least 1 item"),
        (Region, REGION | {"stores": [STORE] * 2}, "must have unique ids (0 is repeated)"),
        (Region, REGION | {"median_income": 0}, "greater than 0"),
        (Market, {"regions": []}, "at least 1 item"),
        (Market, {"regions": [REGION, REGION]}, "must have unique ids (0 is repeated)"),
    ],
)
def test_entities_refuse(build, values, message):
    with pytest.raises(ValidationError, match=re.escape(message)):
        build(**values)


def test_the_sources_market_is_the_one_it_prints():
    market = simulate_source_market()
    assert len(market.data) == 2379
    printed = [  # price, quantity and time step of the source's first rows
        *((1.335446, 6.170862, 16), (1.702792, 3.715124, 15), (1.699778, 3.290962, 14)),
        *((1.335844, 5.702928, 13), (1.517213, 4.264949, 12)),
    ]
    rows = market.data[["price", "quantity", "time_step"]].head()
    np.testing.assert_allclose(rows, printed, rtol=0, atol=5e-7)
    assert market.truth["n_stores"].tolist() == [7, 10, 22, 2, 12, 6, 10, 26, 14]
    assert market.data["median_income"].iloc[0] == pytest.approx(5.873343, abs=5e-7)


def test_the_sources_market_is_what_pymc_draws():
    """The slow path, for three regions: a graph for every call."""
    rng = np.random.default_rng(SOURCE_SEED)

    def draw(variable, draws=1):
        return pm.draw(variable, draws=draws, random_seed=rng, mode="FAST_COMPILE")

    n_stores = draw(pm.NegativeBinomial.dist(mu=10, alpha=3), 9) + 2
    income = draw(pm.Gamma.dist(mu=5, sigma=2), 9) + 1
    rows = []
    for r in range(3):
        for _ in range(n_stores[r]):
            n_steps = int(draw(pm.NegativeBinomial.dist(mu=20, alpha=5))) + 2
            alpha = draw(pm.Normal.dist(1 + 0.3 * income[r], 0.02), n_steps)
            beta = draw(pm.Normal.dist(-0.1 - 0.6 * income[r], 0.02), n_steps)
            price = draw(pm.Gamma.dist(mu=1.5, sigma=0.25), n_steps)
            quantity = np.exp(draw(pm.Normal.dist(alpha + beta * np.log(price), 0.3)))
            rows.append(np.column_stack([np.full(n_steps, income[r]), price, quantity]))
    drawn = np.concatenate(rows)
    fast = simulate_source_market().data[["median_income", "price", "quantity"]]
    np.testing.assert_allclose(fast.iloc[: len(drawn)], drawn, rtol=1e-6)


def test_the_sources_truth_fits_its_data():
    market = simulate_source_market()
    data, truth, expected = market.data, market.truth, market.expected
    region = data["region_id"].to_numpy()
    for name in ("alpha", "beta"):
        assert np.std(expected[name] - truth[name][region]) == pytest.approx(0.02, rel=0.05)
    line = expected["alpha"] + expected["beta"] * np.log(data["price"])
    np.testing.assert_allclose(line, expected["log_quantity"])
    noise = np.log(data["quantity"]) - expected["log_quantity"]
    assert noise.std() == pytest.approx(truth["noise_sd"], rel=0.05)


def regress(y, *columns):
    """Least squares: coefficients and their standard errors."""
    x = np.column_stack(columns)
    inverse = np.linalg.inv(x.T @ x)
    coefficients = inverse @ (x.T @ y)
    sd = np.sqrt(np.sum((y - x @ coefficients) ** 2) / (y.size - x.shape[1]))
    return coefficients, sd * np.sqrt(np.diag(inverse))


def by_store(market, values):
    """Values less their store's mean."""
    data = market.data
    return values - pd.Series(values).groupby([data["region_id"], data["store_id"]]).transform(
        "mean"
    ).to_numpy(float)


def test_within_stores_the_slope_is_the_regions_elasticity():
    market = simulate_prices(6, seed=4, n_weeks=300)
    x, y = (by_store(market, np.log(market.data[name])) for name in ("price", "quantity"))
    region = market.data["region_id"].to_numpy()
    for r, beta in enumerate(market.truth["beta"]):
        (slope,), (error,) = regress(y[region == r], x[region == r])
        assert abs(slope - beta) < 4 * error < 0.4


def test_region_effects_have_their_line_spread_and_correlation():
    market = simulate_prices(4000, seed=1, n_weeks=1, stores=(1, 1))
    income = market.truth["income"]
    one, residuals = np.ones_like(income), []
    for name in ("alpha", "beta"):
        line = [market.truth[f"{name}_{part}"] for part in ("intercept", "slope")]
        coefficients, errors = regress(market.truth[name], one, income)
        assert (np.abs(coefficients - line) < 4 * errors).all()
        residuals.append(market.truth[name] - line[0] - line[1] * income)
    np.testing.assert_allclose(
        np.std(residuals, axis=1), [TRUTH.alpha_sd, TRUTH.beta_sd], rtol=0.05
    )
    assert np.corrcoef(residuals)[0, 1] == pytest.approx(TRUTH.effect_correlation, abs=0.05)
    assert income.min() > 1 and income.mean() == pytest.approx(6, rel=0.05)
    assert income.std() == pytest.approx(2, rel=0.1)


def test_the_parts_add_up_and_have_their_spread():
    market = simulate_prices(30, seed=2, price_response=0.5)
    truth, expected, data = market.truth, market.expected, market.data
    noise = np.log(data["quantity"]) - expected["log_quantity"] - expected["shock"]
    assert noise.std() == pytest.approx(truth["noise_sd"], rel=0.03)
    assert expected["shock"].std() == pytest.approx(truth["shock_sd"], rel=0.03)
    assert truth["residual_sd"] == pytest.approx(np.hypot(0.2, 0.25))
    assert truth["store_effect"].std() == pytest.approx(truth["store_sd"], rel=0.2)
    assert expected["log_cost"].std() == pytest.approx(truth["cost_sd"], rel=0.15)
    np.testing.assert_allclose(np.log(data["cost"]), expected["log_cost"], atol=1e-12)
    log_price = np.log(data["price"] / truth["reference_price"])
    rest = log_price - expected["log_cost"] - 0.5 * expected["shock"]
    assert rest.std() == pytest.approx(truth["price_sd"], rel=0.03)
    store = np.repeat(np.arange(truth["store_region"].size), 52)
    region = truth["store_region"][store]
    np.testing.assert_array_equal(region, data["region_id"])
    np.testing.assert_allclose(
        truth["alpha"][region] + truth["store_effect"][store] + truth["beta"][region] * log_price,
        expected["log_quantity"],
    )


def test_only_a_response_ties_price_to_demand():
    exogenous, chasing = (
        simulate_prices(10, seed=3, price_response=response) for response in (0.0, 0.5)
    )
    for name in ("income", "alpha", "beta", "store_effect"):
        np.testing.assert_array_equal(exogenous.truth[name], chasing.truth[name])
    for name in ("shock", "log_cost"):
        np.testing.assert_array_equal(exogenous.expected[name], chasing.expected[name])
    shift = np.log(chasing.data["price"] / exogenous.data["price"])
    np.testing.assert_allclose(shift, 0.5 * exogenous.expected["shock"], atol=1e-12)
    n = len(exogenous.data)
    for market, low, high in [(exogenous, -4 / n**0.5, 4 / n**0.5), (chasing, 0.4, 0.7)]:
        log_price = np.log(market.data["price"])
        assert low < np.corrcoef(log_price, market.expected["shock"])[0, 1] < high
    cost = np.corrcoef(chasing.data["cost"], chasing.expected["shock"])[0, 1]
    assert (
        abs(cost) < 4 / n**0.5
        and np.corrcoef(chasing.data["cost"], chasing.data["price"])[0, 1] > 0.4
    )


def test_limits():
    still = replace(
        TRUTH,
        **dict.fromkeys(("alpha_sd", "beta_sd", "store_sd", "noise_sd", "shock_sd"), 0.0),
        price_sd=0.0,
        cost_sd=0.0,
    )
    market = simulate_prices(4, seed=1, truth=still, n_weeks=3, stores=(1, 1))
    np.testing.assert_allclose(market.data["price"], 1.5)
    np.testing.assert_allclose(market.data["cost"], 1.0)
    income = market.truth["income"]
    np.testing.assert_allclose(np.log(market.data["quantity"][::3]), 1 + 0.3 * income)
    np.testing.assert_allclose(market.truth["beta"], -0.1 - 0.6 * income)
    tied = simulate_prices(50, seed=1, truth=replace(TRUTH, effect_correlation=-1.0), n_weeks=1)
    beyond = [
        tied.truth[name] - tied.truth[f"{name}_intercept"] - tied.truth[f"{name}_slope"] * z
        for name, z in zip(["alpha", "beta"], [tied.truth["income"]] * 2, strict=True)
    ]
    np.testing.assert_allclose(beyond[1], -beyond[0] * TRUTH.beta_sd / TRUTH.alpha_sd)


def test_cost_persists():
    cost = simulate_prices(200, seed=1, stores=(1, 1)).expected["log_cost"].reshape(200, 52)
    assert np.corrcoef(cost[:, 1:].ravel(), cost[:, :-1].ravel())[0, 1] == pytest.approx(
        TRUTH.cost_persistence, abs=0.03
    )
    np.testing.assert_allclose(cost.std(axis=0), TRUTH.cost_sd, rtol=0.25)


def test_the_seed_decides():
    one, again, other = (simulate_prices(seed=seed).data for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, again)
    assert one["price"].iloc[0] != other["price"].iloc[0]
    counts = simulate_prices(500, seed=1, n_weeks=1, stores=(2, 4)).truth["n_stores"]
    assert np.unique(counts).tolist() == [2, 3, 4]


@pytest.mark.parametrize(
    "arguments", [{"n_regions": 0}, {"n_weeks": 0}, {"stores": (0, 3)}, {"stores": (3, 2)}]
)
def test_sizes_are_at_least_one_and_the_least_comes_first(arguments):
    ((name, value),) = arguments.items()
    message = rf"{name}={re.escape(str(value))}.*: at least 1 each, the least number of stores"
    with pytest.raises(ValueError, match=message):
        simulate_prices(seed=1, **arguments)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("effect_correlation", 1.2, "less than or equal to 1"),
        ("effect_correlation", -1.2, "greater than or equal to -1"),
        ("cost_persistence", 1.0, "less than 1"),
        ("cost_persistence", -0.1, "greater than or equal to 0"),
        ("noise_sd", -0.1, "greater than or equal to 0"),
    ],
)
def test_a_truth_that_cannot_be_is_refused(name, value, message):
    with pytest.raises(ValidationError, match=rf"{name}\n  Input should be {message}"):
        replace(TRUTH, **{name: value})


def test_sales_of_a_shelf_follow_both_prices():
    sold = ShelfTruth(elasticity=((-2.0, 0.5), (0.25, -1.0)), elasticity_sd=((0, 0), (0, 0)))
    data = simulate_shelf(30, seed=4, truth=sold).data
    logs = np.log(data[["price", "sold"]].to_numpy()).reshape(169, 30, 2, 2)
    logs -= logs.mean(axis=1, keepdims=True)  # within a week
    logs -= logs.mean(axis=0)
    price, amount = logs[..., 0].reshape(-1, 2), logs[..., 1].reshape(-1, 2)
    found = np.linalg.lstsq(price, amount, rcond=None)[0].T
    assert found == pytest.approx(np.array(sold.elasticity), abs=0.08)


def test_prices_of_a_shelf_answer_to_demand():
    def within_a_week(answers):
        data = simulate_shelf(30, seed=4, truth=ShelfTruth(answers=answers)).data
        logs = np.log(data[["price", "sold"]].to_numpy()).reshape(169, 30, 2, 2)
        logs -= logs.mean(axis=1, keepdims=True)
        logs -= logs.mean(axis=0)
        return np.linalg.lstsq(logs[..., 0].reshape(-1, 2), logs[..., 0, 1].ravel())[0][0]

    plain = within_a_week((0.0, 0.0))
    assert within_a_week((0.3, 0.0)) > plain + 0.15
    assert within_a_week((0.0, 0.7)) == pytest.approx(plain, abs=0.02)
