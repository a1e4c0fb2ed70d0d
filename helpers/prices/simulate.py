"""Markets with known elasticities."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field
from pydantic.dataclasses import dataclass

from helpers.data.simulation import Simulation, persistent

_Spread = Annotated[float, Field(ge=0)]

#: The source's seed: the sum of the code points of its title.
SOURCE_SEED = sum(map(ord, "multilevel_elasticities_single_sku"))


class _SourceStreams:
    """Random streams as ``pm.draw(..., random_seed=rng)`` makes them, without its graphs."""

    def __init__(self, seed: int):
        self._common = np.random.default_rng(seed)

    def __call__(self) -> np.random.Generator:
        seed = int(self._common.integers(2**30, dtype=np.int64, size=1)[0])
        (child,) = np.random.SeedSequence(seed).spawn(1)
        return np.random.Generator(np.random.PCG64(child))

    def counts(self, mean: float, shape: float, size: int | None = None):
        return self().negative_binomial(shape, shape / (mean + shape), size)

    def gamma(self, mean: float, sd: float, size: int) -> np.ndarray:
        return self().gamma((mean / sd) ** 2, sd**2 / mean, size)


def simulate_source_market() -> Simulation:
    """Draw the market of :cite:`orduz_elasticities` with its seed, to six digits.

    Returns
    -------
    Simulation
        As in the source, intercept and elasticity are new at every time step.
    """
    line = {"alpha_intercept": 1.0, "alpha_slope": 0.3, "beta_intercept": -0.1, "beta_slope": -0.6}
    line |= {"effect_sd": 0.02, "noise_sd": 0.3, "reference_price": 1.0}
    n_regions = 9
    draw = _SourceStreams(SOURCE_SEED)
    n_stores = draw.counts(10, 3, n_regions) + 2
    income = draw.gamma(5, 2, n_regions) + 1
    alpha = line["alpha_intercept"] + line["alpha_slope"] * income
    beta = line["beta_intercept"] + line["beta_slope"] * income
    parts, effects = [], []
    for r, n in enumerate(n_stores):
        for s in range(n):
            n_steps = draw.counts(20, 5) + 2
            a = draw().normal(alpha[r], line["effect_sd"], n_steps)
            b = draw().normal(beta[r], line["effect_sd"], n_steps)
            price = draw.gamma(1.5, 0.25, n_steps)
            mean = a + b * np.log(price)
            rows = {
                "region_id": r,
                "store_id": s,
                "time_step": np.arange(n_steps)[::-1],  # 0 is the latest
                "price": price,
                "quantity": np.exp(draw().normal(mean, line["noise_sd"])),
                "median_income": income[r],
            }
            parts.append(pd.DataFrame(rows))
            effects.append(np.column_stack([a, b, mean]))
    drawn = np.concatenate(effects)
    return Simulation(
        data=pd.concat(parts, ignore_index=True),
        truth=line | {"income": income, "n_stores": n_stores, "alpha": alpha, "beta": beta},
        expected={"alpha": drawn[:, 0], "beta": drawn[:, 1], "log_quantity": drawn[:, 2]},
    )


@dataclass(frozen=True)
class PricesTruth:
    """Parameters of the repaired market; prices in EUR, quantities in units a week.

    Attributes
    ----------
    alpha_intercept, alpha_slope, beta_intercept, beta_slope : float
        Lines in income of the log quantity at the reference price and of the elasticity.
    """

    alpha_intercept: float = 1.0
    alpha_slope: float = 0.3
    beta_intercept: float = -0.1
    beta_slope: float = -0.6
    alpha_sd: _Spread = 0.3
    beta_sd: _Spread = 0.5
    effect_correlation: Annotated[float, Field(ge=-1, le=1)] = 0.6
    store_sd: _Spread = 0.25
    noise_sd: _Spread = 0.25
    shock_sd: _Spread = 0.2
    income_least: float = 1.0
    income_excess: float = 5.0
    income_sd: _Spread = 2.0
    reference_price: float = 1.5
    cost_mean: float = 1.0
    cost_sd: _Spread = 0.12
    cost_persistence: Annotated[float, Field(ge=0, lt=1)] = 0.8
    price_sd: _Spread = 0.1


def simulate_prices(
    n_regions: int = 12,
    *,
    seed: int,
    truth: PricesTruth | None = None,
    n_weeks: int = 52,
    stores: tuple[int, int] = (2, 12),
    price_response: float = 0.0,
) -> Simulation:
    r"""Weekly prices and quantities of one product, stores inside regions.

    .. math::
        \log q_{st} = \alpha_r + a_s + \beta_r \log(p_{st} / p^\ast) + \xi_{st} + \varepsilon_{st},
        \quad \log(p_{st} / p^\ast) = \log(c_{rt} / \bar c) + \phi\, \xi_{st} + u_{st}

    Parameters
    ----------
    n_regions, seed, truth, n_weeks : int, int, PricesTruth and int
        Sizes, at least 1; the same seed gives the same shocks and costs at every :math:`\phi`.
    stores, price_response : (int, int) and float
        Least and most stores a region; :math:`\phi`, above 0 where prices chase demand.

    Returns
    -------
    Simulation
        Long frame as :func:`helpers.prices.load.load_price_panel` takes it, and the truth.
    """
    truth = truth or PricesTruth()
    if min(n_regions, n_weeks, stores[0]) < 1 or stores[1] < stores[0]:
        sizes = f"n_regions={n_regions}, n_weeks={n_weeks}, stores={stores}"
        raise ValueError(f"{sizes}: at least 1 each, the least number of stores first")
    rng = np.random.default_rng(seed)
    income = truth.income_least + rng.gamma(
        (truth.income_excess / truth.income_sd) ** 2,
        truth.income_sd**2 / truth.income_excess,
        n_regions,
    )
    n_stores = rng.integers(stores[0], stores[1] + 1, n_regions)
    first, second = rng.normal(size=(2, n_regions))
    rho = truth.effect_correlation
    alpha = truth.alpha_intercept + truth.alpha_slope * income + truth.alpha_sd * first
    beta = truth.beta_intercept + truth.beta_slope * income
    beta += truth.beta_sd * (rho * first + np.sqrt(1 - rho**2) * second)

    store_region = np.repeat(np.arange(n_regions), n_stores)
    store_effect = truth.store_sd * rng.normal(size=store_region.size)
    rest = rng.normal(size=(n_regions, n_weeks))
    log_cost = truth.cost_sd * persistent(rest.T, truth.cost_persistence).T
    shape = store_region.size, n_weeks
    shock = truth.shock_sd * rng.normal(size=shape)
    noise = truth.noise_sd * rng.normal(size=shape)
    log_price = (  # relative to the reference price
        log_cost[store_region] + price_response * shock + truth.price_sd * rng.normal(size=shape)
    )
    mean = (alpha[store_region] + store_effect)[:, None] + beta[store_region][:, None] * log_price

    residual_sd = math.hypot(truth.shock_sd, truth.noise_sd)
    row_region, row_cost = np.repeat(store_region, n_weeks), log_cost[store_region].ravel()
    within = np.concatenate([np.arange(n) for n in n_stores])
    data = pd.DataFrame(
        {
            "region_id": row_region,
            "store_id": np.repeat(within, n_weeks),
            "time_step": np.tile(np.arange(n_weeks), store_region.size),
            "price": truth.reference_price * np.exp(log_price.ravel()),
            "quantity": np.exp((mean + shock + noise).ravel()),
            "median_income": income[row_region],
            "cost": truth.cost_mean * np.exp(row_cost),
        }
    )
    return Simulation(
        data=data,
        truth=asdict(truth)
        | {"income": income, "n_stores": n_stores, "alpha": alpha, "beta": beta}
        | {"store_effect": store_effect, "store_region": store_region}
        | {"price_response": price_response, "residual_sd": residual_sd},
        expected={"log_quantity": mean.ravel(), "shock": shock.ravel(), "log_cost": row_cost},
    )


#: Products of a grocer's shelf, in the order of every array about both.
PRODUCTS = ("conventional", "organic")


@dataclass(frozen=True)
class ShelfTruth:
    """Truth of :func:`simulate_shelf`, arrays by product sold and product whose price.

    Attributes
    ----------
    elasticity, elasticity_sd : tuple of pairs of float
        Means over areas, and how areas differ.
    answers : pair of float
        By how much a log price rises with an area's own log demand, and with the country's.
    """

    elasticity: tuple[tuple[float, float], ...] = ((-1.25, 0.1), (0.3, -1.45))
    elasticity_sd: tuple[tuple[float, float], ...] = ((0.2, 0.06), (0.2, 0.4))
    answers: tuple[float, float] = (0.0, 0.0)


def simulate_shelf(
    n_areas: int = 45, *, seed: int, n_weeks: int = 169, truth: ShelfTruth | None = None
) -> Simulation:
    """Prices and sales of two products by area and week: a twin of the market of avocados.

    Parameters
    ----------
    n_areas, seed, n_weeks, truth : int, int, int and ShelfTruth
        Areas; what all randomness derives from; weeks from 2015-01-04 on; what to assume.

    Returns
    -------
    Simulation
        ``data`` with ``date``, ``area``, ``product``, ``price`` and ``sold``; ``truth`` with
        ``elasticity`` (areas, product sold, product whose price).
    """
    truth, rng = truth or ShelfTruth(), np.random.default_rng(seed)
    elasticity = rng.normal(truth.elasticity, truth.elasticity_sd, (n_areas, 2, 2))

    def shocks(n, memory, sd):
        return persistent(rng.standard_normal((n_weeks, n, 2)), memory) * sd

    country, local = shocks(1, 0.5, 0.07), shocks(n_areas, 0.5, (0.09, 0.25))
    supply, promotions = shocks(1, 0.9, 0.12), shocks(n_areas, 0.5, (0.1, 0.16))
    years = np.arange(n_weeks)[:, None, None] / 52.18
    season = 0.15 * np.cos(2 * np.pi * years)
    price = np.log([1.15, 1.65]) + supply + promotions - 0.4 * season
    price = price + truth.answers[0] * local + truth.answers[1] * country
    sold = np.log([1.5e5, 5e3]) + rng.normal(0, 0.8, (n_areas, 1)) + country + local
    sold = sold + years * rng.normal([0.15, 0.35], [0.05, 0.2], (n_areas, 2))
    sold = sold + season * rng.normal(1, 0.3, (n_areas, 1))
    sold = sold + np.einsum("rkj,trj->trk", elasticity, price)
    names = [f"area {r:02d}" for r in range(1, n_areas + 1)]
    dates = pd.date_range("2015-01-04", periods=n_weeks, freq="7D")
    rows = pd.MultiIndex.from_product([dates, names, PRODUCTS], names=["date", "area", "product"])
    values = {"price": np.exp(price).ravel(), "sold": np.exp(sold).ravel()}
    data = pd.DataFrame(values, rows).reset_index()
    return Simulation(data, asdict(truth) | {"elasticity": elasticity}, {})
