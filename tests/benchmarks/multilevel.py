"""The source's multilevel model sampled in three ways, and the fastest on longer histories.

Without `--way` it runs all of them, each in a process of its own, those under a minute
`--repeats` times, and writes what the performance page shows.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
from measuring import checked, clocked, conditions, in_cold_process, interleaved, main, quiet

from helpers.prices.draws import effect_draws
from helpers.prices.load import load_price_panel
from helpers.prices.model import collapsed_log_density, prepare_prices
from helpers.prices.simulate import simulate_source_market

PAIR = ("alpha", "beta")
REPORTED = [
    *(f"{name}_{part}" for name in PAIR for part in ("intercept", "slope", "sd")),
    *PAIR,
    "sigma",
]
GROWTH = (10, 100)  # times as many rows
SEED = 1
OUTPUT = Path(__file__).parents[2] / "book" / "performance.json"
PACKAGES = ("pymc", "nutpie", "numba", "numpyro", "jax", "numpy")


def history(growth):
    """The source's panel; its rows come again at later times, `growth` times in all."""
    data = simulate_source_market().data
    length = data["time_step"].max() + 1
    later = [data.assign(time_step=data["time_step"] + i * length) for i in range(growth)]
    return load_price_panel(pd.concat(later, ignore_index=True))


def population(income):
    """Hyperparameters by name, and the mean of each effect; priors as in the source."""
    p = {}
    for name in PAIR:
        p[f"{name}_intercept"] = pm.Normal(f"{name}_intercept", 0, 0.5)
        p[f"{name}_slope"] = pm.Normal(f"{name}_slope", 0, 0.3)
        p[f"{name}_sd"] = pm.Exponential(f"{name}_sd", 1 / 0.05)
    return p, [p[f"{name}_intercept"] + p[f"{name}_slope"] * income for name in PAIR]


def sampled_effects(income):
    """Effects of regions, not centred."""
    p, means = population(income)
    return [
        pm.Deterministic(
            name,
            mean + p[f"{name}_sd"] * pm.Normal(f"z_{name}", 0, 1, shape=income.size),
        )
        for name, mean in zip(PAIR, means, strict=True)
    ]


def sample(draws, *, chains, **more):
    """Draw as the source does; NumPyro keeps no compiled code for a next time."""
    return pm.sample(
        draws,
        chains=chains,
        target_accept=0.9,
        nuts_sampler="numpyro",
        random_seed=SEED,
        compute_convergence_checks=False,
        progressbar=False,
        **more,
    )


def as_in_the_source(panel, income):
    """Every row in the likelihood, its mean kept with every draw; 5 chains of 6000 draws."""
    with pm.Model():
        alpha, beta = sampled_effects(income)
        sigma = pm.Exponential("sigma", 1 / 0.5)
        alpha_row = pm.Deterministic("alpha_row", alpha[panel.region])
        beta_row = pm.Deterministic("beta_row", beta[panel.region])
        mean = pm.Deterministic("mean", alpha_row + beta_row * panel.log_price)
        pm.Normal("y", mean, sigma, observed=panel.log_quantity)
        return sample(6000, chains=5, idata_kwargs={"log_likelihood": True})


def by_sums(panel, income):
    """Sums by region in the likelihood, effects sampled."""
    data = prepare_prices(panel, reference=(0.0, 0.0)).arrays
    region = data["store_region"]
    d = {k: np.bincount(region, data[k]) for k in ("n", "x", "y", "xx", "xy", "yy")}
    with pm.Model():
        alpha, beta = sampled_effects(income)
        sigma = pm.Exponential("sigma", 1 / 0.5)
        square = d["yy"] - 2 * (alpha * d["y"] + beta * d["xy"])
        square = square + d["n"] * alpha**2 + 2 * d["x"] * alpha * beta + d["xx"] * beta**2
        pm.Potential("rows", -(0.5 * square / sigma**2 + d["n"] * pt.log(sigma)).sum())
        return sample(4000, chains=4)


def collapsed(panel, income):
    """Effects integrated out, and drawn from their exact distribution afterwards."""
    data = prepare_prices(panel, reference=(0.0, 0.0))
    n_regions = income.size
    with pm.Model():
        p, means = population(income)
        sigma = pm.Exponential("sigma", 1 / 0.5)
        rows = collapsed_log_density(
            {name: pt.constant(values) for name, values in data.arrays.items()},
            means,
            (p["alpha_sd"], p["beta_sd"]),
            0.0,
            store_sd=0.0,
            sigma=sigma,
            n_regions=n_regions,
        )
        pm.Potential("rows", rows)
        idata = sample(4000, chains=4)
    posterior = idata["posterior"].to_dataset()
    q = {name: values.to_numpy().reshape(-1, 1) for name, values in posterior.items()}
    pairs = effect_draws(
        data.arrays,
        [q[f"{name}_intercept"] + q[f"{name}_slope"] * income for name in PAIR],
        (q["alpha_sd"], q["beta_sd"]),
        0.0,
        store_sd=0.0,
        sigma=q["sigma"],
        seed=SEED,
    )
    shape = *posterior["sigma"].shape, n_regions
    names = ("chain", "draw", "region")
    effects = {k: (names, v.reshape(shape)) for k, v in zip(PAIR, pairs, strict=True)}
    idata["posterior"] = posterior.assign(effects)
    return idata


WAYS = {way.__name__: way for way in (as_in_the_source, by_sums, collapsed)}


def record(name: str, growth: int) -> dict:
    """Time with compilation, effective sample size, memory, and the elasticities themselves."""
    quiet()
    panel = history(growth)
    with clocked() as row:
        idata = WAYS[name](panel, np.sort(panel.income))  # permuted, as in the source
    posterior = idata["posterior"].to_dataset()[REPORTED]
    beta = posterior["beta"]
    return {
        "way": name,
        "rows": panel.log_price.size,
        **({"growth": growth} if growth > 1 else {}),
        **row,
        "draws": posterior.sizes["chain"] * posterior.sizes["draw"],
        **checked(idata, REPORTED),
        "draws_mb": round(sum(node.to_dataset().nbytes for node in idata.subtree) / 1e6, 1),
        "elasticity": beta.mean(("chain", "draw")).to_numpy().round(4).tolist(),
        "elasticity_mcse": az.mcse(beta).to_numpy().round(4).tolist(),
    }


def bench(n_repeats: int) -> dict:
    """Run every way on the source's panel, and the fastest on longer ones."""
    load = os.getloadavg()[0]
    sizes = [(name, 1) for name in WAYS] + [("collapsed", growth) for growth in GROWTH]
    runs = [
        partial(in_cold_process, __file__, "--way", name, "--growth", str(growth))
        for name, growth in sizes
    ]
    return conditions(load, PACKAGES) | {"ways": interleaved(runs, n_repeats)}


if __name__ == "__main__":
    main(OUTPUT, bench, record, WAYS, __doc__, growth=1)
