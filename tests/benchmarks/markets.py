"""The hierarchical media mix model fitted to more and more markets, each in its own process.

Without an argument it runs all sizes and writes what the performance page shows.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import arviz as az
from measuring import conditions, in_process, peak_mb

from helpers.hierarchical_mmm import HierarchicalMMM
from helpers.markets import MarketsTruth, simulate_markets

#: Markets, weeks, channels.
SIZES = {"small": (6, 104, 3), "middle": (20, 104, 3), "large": (40, 156, 5)}
DRAWS = 1000  # a chain
SEED = 1
OUTPUT = Path(__file__).parents[2] / "book" / "performance_markets.json"
PACKAGES = ("pymc", "pymc-marketing", "nutpie", "numba", "numpy")
NAMES = ["saturation_beta", "saturation_lam", "adstock_alpha", "intercept_contribution", "y_sigma"]


def truth(n_channels: int) -> MarketsTruth:
    """As the simulator assumes, with channels repeated; the last has one effect everywhere."""
    base = MarketsTruth()

    def repeated(values):
        return (*(values[i % 2] for i in range(n_channels - 1)), values[2])

    names = ("effect", "effect_sd", "carry_over", "steepness", "spend")
    return MarketsTruth(
        channels=tuple(f"channel {i}" for i in range(1, n_channels + 1)),
        **{name: repeated(getattr(base, name)) for name in names},
    )


def record(name: str) -> dict:
    """Time with compilation, effective sample size, memory, and what the sampler says."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    n_markets, n_weeks, n_channels = SIZES[name]
    panel = simulate_markets(n_markets, seed=SEED, truth=truth(n_channels), n_weeks=n_weeks)
    channels = panel.truth["channels"]
    model = HierarchicalMMM(
        "date", channels, "market", 6, global_channels=channels[-1:], target_column="sales"
    )
    X, y = panel.data.drop(columns="sales"), panel.data["sales"]
    started, cpu_started = time.perf_counter(), time.process_time()
    model.fit(X, y, draws=DRAWS, tune=DRAWS, chains=4, random_seed=SEED, quiet=True)
    seconds = time.perf_counter() - started
    cpu_seconds = time.process_time() - cpu_started
    peak = peak_mb()
    posterior = model.idata["posterior"].to_dataset()[NAMES]
    table = az.summary(posterior, kind="diagnostics", round_to="none")
    return {
        "size": name,
        "markets": n_markets,
        "weeks": n_weeks,
        "channels": n_channels,
        "draws": DRAWS * 4,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "rhat": round(float(table["r_hat"].max()), 4),
        "ess": round(float(table[["ess_bulk", "ess_tail"]].min().min())),
        "divergences": int(model.idata["sample_stats"]["diverging"].sum()),
        "peak_mb": peak,
    }


def bench() -> dict:
    """Run every size, one after the other."""
    load = os.getloadavg()[0]
    sizes = []
    for name in SIZES:
        with tempfile.TemporaryDirectory() as empty:  # no compiled code from earlier runs
            sizes.append(
                in_process(__file__, name, variables={"PYTENSOR_FLAGS": f"base_compiledir={empty}"})
            )
        print(sizes[-1])
    return conditions(load, PACKAGES) | {"sizes": sizes}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(record(sys.argv[1])))
    else:
        OUTPUT.write_text(json.dumps(bench(), indent=1) + "\n")
