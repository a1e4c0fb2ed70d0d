"""Compile by numba what the chapters share: `python -m helpers.bookmaking.warm`.

A process keeps several hundred megabytes of what a cold compilation took, so each model has one of
its own; the chapters find the code in the caches.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pymc as pm

from helpers.cities.load import load_two_cities
from helpers.cities.model import prepare, shared_shock_model
from helpers.cities.simulate import simulate_two_cities
from helpers.inference.sampling import compile_for_nutpie
from helpers.media.hierarchy import HierarchicalMMM
from helpers.media.load import load_two_markets
from helpers.media.simulate import simulate_markets
from helpers.prices.load import load_price_panel
from helpers.prices.model import elasticity_model, prepare_prices
from helpers.prices.simulate import simulate_source_market


def _shocks(*, planted: bool) -> pm.Model:
    series = load_two_cities(simulate_two_cities(730, seed=1).data)
    second = np.roll(series.ads, 40, axis=0) if planted else None
    return shared_shock_model(prepare(series, use_events=False, planted=second))


def _markets(data, channels, *, shared=(), **season) -> pm.Model:
    model = HierarchicalMMM(
        *("date", channels, "market", 6), global_channels=shared, target_column="sales", **season
    )
    model.build_model(data.drop(columns="sales"), data["sales"], unequal="mask")
    return model.mmm.model


MODELS = {
    "shared shocks": lambda: _shocks(planted=False),
    "shared shocks, planted lift": lambda: _shocks(planted=True),
    "elasticities": lambda: elasticity_model(
        prepare_prices(load_price_panel(simulate_source_market().data))
    ),
    "hierarchical markets": lambda: _markets(
        simulate_markets(6, seed=1, n_weeks=104, weeks=[104] * 5 + [26]).data,
        ["tv", "radio", "online"],
        shared=["online"],
    ),
    "two markets": lambda: _markets(
        load_two_markets()[0],
        ["x1", "x2"],
        control_columns=["event_1", "event_2"],
        yearly_seasonality=2,
    ),
}


def _compile_apart(name):
    print(f"  {name}", flush=True)
    subprocess.run([sys.executable, "-P", "-m", "helpers.bookmaking.warm", name], check=True)


def main() -> None:
    """Compile the model named on the command line, or each in a process of its own."""
    for name in sys.argv[1:]:
        compile_for_nutpie(MODELS[name]())
    if not sys.argv[1:]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(_compile_apart, MODELS))


if __name__ == "__main__":
    main()
