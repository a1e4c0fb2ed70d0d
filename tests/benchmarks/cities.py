"""Two cities: the post's model, its own idea for the shock, and ours, each in its own process.

Without `--way` it runs all of them and writes what the performance page shows. The post's models
are sampled as PyMC did when it was written: its own NUTS, its default settings, all cores.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np
import pymc as pm
from measuring import (
    checked,
    clocked,
    conditions,
    in_cold_process,
    in_process,
    interleaved,
    main,
    quiet,
)

from helpers.cities.load import load_two_cities
from helpers.cities.model import prepare, shared_shock_model
from helpers.cities.simulate import simulate_two_cities
from helpers.inference.sampling import cores_for, fit_many, sample

CHAINS = 4
DRAWS = 1000  # a chain, as many to tune: PyMC's default and the book's
DAYS = 730  # two years, as in the book
GROWTH = 10
OUTPUT = Path(__file__).parents[2] / "book" / "performance_cities.json"
PACKAGES = ("pymc", "nutpie", "numba", "jax", "numpy")
SEED = 1


def market(n_days, seed=SEED):
    return load_two_cities(simulate_two_cities(n_days, seed=seed, timing="avoid").data)


def forum_model(series, *, walk):
    """The post's model; with its third idea, a random walk that both cities share, or without."""
    sales = series.sales
    weekday = series.dates.day_of_week.to_numpy()
    trend = np.linspace(0, 1, len(sales))
    with pm.Model(coords={"day_of_week": range(7)}) as model:
        intercept_a = pm.Normal("intercept_city_a", 0, 200)
        intercept_b = pm.Normal("intercept_city_b", 0, 200)
        general_trend = pm.Normal("general_trend", 150, 200)
        b = pm.ZeroSumNormal("b_day_of_week", sigma=100, dims="day_of_week")[weekday] * weekday
        squeeze = pm.Normal("beta_week_squeeze", 0, 2)
        shared = trend * general_trend
        if walk:
            walk_sd = pm.HalfNormal("walk_sd", 50)
            shared = shared + pm.GaussianRandomWalk(
                "walk", sigma=walk_sd, init_dist=pm.Normal.dist(0, 100), shape=len(sales)
            )
        mu_a = pm.Deterministic("mu_city_a", intercept_a + shared + b * squeeze)
        mu_b = pm.Deterministic("mu_city_b", intercept_b + shared + b)
        sigma = pm.HalfNormal("sigma", 200)
        pm.Normal("l_city_a", mu_a, sigma, observed=sales[:, 0])
        pm.Normal("l_city_b", mu_b, sigma, observed=sales[:, 1])
    return model


def by_pymc(series, draws, *, walk):
    """Fit the post's model with PyMC's own sampler."""
    with forum_model(series, walk=walk):
        return pm.sample(
            draws,
            tune=draws,
            chains=CHAINS,
            cores=cores_for(CHAINS),
            nuts_sampler="pymc",
            random_seed=SEED,
            progressbar=False,
            compute_convergence_checks=False,
        )


def kept(model):
    """Names of all variables but the residuals: of ten times the days they take gigabytes."""
    variables = model.free_RVs + model.deterministics
    return [variable.name for variable in variables if variable.name != "residual"]


def ours(series, draws, *, backend):
    """Fit the recommended model with the draws of the book."""
    model = shared_shock_model(prepare(series, use_events=False))
    return sample(
        model,
        draws=draws,
        tune=draws,
        chains=CHAINS,
        seed=SEED,
        var_names=kept(model),
        backend=backend,
    )


WAYS = {
    "as_in_the_post": partial(by_pymc, walk=False),
    "post_with_random_walk": partial(by_pymc, walk=True),
    "shared_shocks_numba": partial(ours, backend="numba"),
    "shared_shocks_jax": partial(ours, backend="jax"),
    "shared_shocks_again": None,  # the second of two data sets, compiled for the first
}


def record(way: str, days: int, draws: int) -> dict:
    """Clocks, memory and diagnostics of all that is not a value for each day or mode."""
    quiet()
    if WAYS[way] is None:
        markets = [prepare(market(days, seed), use_events=False) for seed in (SEED, SEED + 1)]
        fits = fit_many(
            *(markets, shared_shock_model),
            draws=draws,
            tune=draws,
            chains=CHAINS,
            seed=SEED,
            names=kept(shared_shock_model(markets[0])),
            backend="numba",
        )
        next(fits)
        with clocked() as row:
            _, idata = next(fits)
    else:
        series = market(days)
        with clocked() as row:
            idata = WAYS[way](series, draws)
    posterior = idata["posterior"].to_dataset()
    names = [name for name, values in posterior.items() if values[0, 0].size < 50]
    return {
        "way": way,
        "days": days,
        **({"refit": True} if WAYS[way] is None else {}),
        **row,
        "draws": CHAINS * draws,
        **checked(idata, names),
    }


def bench(n_repeats: int) -> dict:
    """Run every way on the published size, and ours on more days."""
    load = os.getloadavg()[0]
    sizes = [(way, DAYS) for way in WAYS] + [("shared_shocks_numba", DAYS * GROWTH)]
    runs = [
        partial(
            in_cold_process if WAYS[way] else in_process,  # a refit does not clock compilation
            *(__file__, "--way", way, "--days", str(days)),
        )
        for way, days in sizes
    ]
    rows = interleaved(runs, n_repeats)
    return conditions(load, PACKAGES) | {"ways": rows}


if __name__ == "__main__":
    main(OUTPUT, bench, record, WAYS, __doc__, days=DAYS, draws=DRAWS)
