"""The store model fitted in five ways, each in a process of its own, and how ours grow.

Without an argument it runs all of them and writes what the performance page shows. The source's
schedule takes a quarter of an hour or more as written: `--epochs` runs a part of it and
extrapolates. Kaggle's data are used if MARKET_BOOK_DATA names them, else the simulated twin.
All ways have the source's columns.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from measuring import add_repeats, conditions, in_process, interleaved, peak_mb, write

OUTPUT = Path(__file__).parents[2] / "book" / "performance_stores.json"
EPOCHS = 6000
FAST_STEPS = 300
GROWTH = (100, 1000, 10_000)
KAGGLE = 1115  # stores
PACKAGES = ("numpyro", "jax", "numpy", "scipy")
SEED = 1
SEEDS = range(4)  # of the source's schedule


def load(n_stores):
    """Sales of the first stores; more than Kaggle has are simulated, a thousand at a time."""
    from helpers.stores.load import sources_columns

    return sources_columns(_load(n_stores))


def _load(n_stores):
    from dataclasses import replace

    import numpy as np
    import pandas as pd

    from helpers.stores.load import as_store_panel, load_stores
    from helpers.stores.simulate import simulate_stores

    if n_stores <= KAGGLE:
        return load_stores(n_stores=n_stores, seed=SEED)
    sales, pattern, attributes = [], [], []
    for seed in range(n_stores // 1000):
        panel = as_store_panel(simulate_stores(1000, seed=seed).data, source="simulated")
        sales.append(panel.sales)
        pattern.append(panel.pattern)
        attributes.append(panel.attributes)
    return replace(
        panel,
        stores=tuple(map(str, range(n_stores))),
        sales=np.concatenate(sales),
        pattern=np.concatenate(pattern),
        attributes=pd.concat(attributes, ignore_index=True),
    )


def two_phases(step):
    """The source's learning rate."""
    import jax.numpy as jnp

    return jnp.where(step < EPOCHS * 5 // 6, 0.1, 0.001)


def as_in_the_source(panel, epochs):
    """Every day in the likelihood, the source's guide, start and rates, in double precision."""
    import jax
    import jax.numpy as jnp

    from helpers.stores.model import mean_field, numpyro, plain_model
    from helpers.stores.svi import run_svi

    clock = []
    with jax.enable_x64(True):
        run_svi(
            plain_model,
            mean_field,
            *(jnp.asarray(values, float) for values in (panel.cube(), panel.sales)),
            steps=epochs,
            chunk=10,
            seed=SEED,
            rate=two_phases,
            loss=numpyro.infer.Trace_ELBO(),
            progress=lambda step, loss: clock.append((time.time(), time.process_time())),
        )
    # what is left of the schedule costs as much an epoch as what ran
    (wall, cpu), (wall_0, cpu_0) = clock[-1], clock[0]
    share = (EPOCHS - epochs) / max(epochs - 10, 1)
    return None, ((wall - wall_0) * share, (cpu - cpu_0) * share), {"epochs_run": epochs}


def equal_days_together(panel, seed):
    """The same as a careful user writes it: equal days of a store share their mean."""
    import jax
    import jax.numpy as jnp

    from helpers.stores.cells import count_cells
    from helpers.stores.model import collapsed_model, mean_field, numpyro
    from helpers.stores.svi import run_svi

    model = partial(collapsed_model, exact=True)
    with tempfile.TemporaryDirectory() as folder, jax.enable_x64(True):
        arrays = count_cells(panel).arrays(float)
        arrays = {name: jnp.asarray(value) for name, value in arrays.items()}
        phases = (
            run_svi(
                *(model, mean_field, arrays),
                steps=steps,
                seed=seed,
                rate=two_phases,
                chunk=500,
                loss=numpyro.infer.Trace_ELBO(),
                checkpoint=Path(folder) / "state",  # the second goes on where the first ends
            )
            for steps in (EPOCHS * 5 // 6, EPOCHS)
        )
        try:
            first, whole = phases
        except FloatingPointError as error:
            return None, (0, 0), {"epochs_run": EPOCHS, "seed": seed, "ran_off": str(error)}
    phase = {"epochs_run": EPOCHS, "seed": seed}
    phase["first_phase_loss"] = round(-mean_field_loss(panel, first.params).mean(), 2)
    return lambda: mean_field_loss(panel, whole.params), (0, 0), phase


def mean_field_loss(panel, params):
    """Losses a store of the source's guide, from 100 draws, by the days and in double precision."""
    import jax
    import jax.numpy as jnp

    from helpers.stores.cells import count_cells
    from helpers.stores.model import collapsed_model, mean_field
    from helpers.stores.svi import evaluate_elbo

    model = partial(collapsed_model, exact=True)
    with jax.enable_x64(True):
        arrays = {k: jnp.asarray(v) for k, v in count_cells(panel).arrays(float).items()}
        params = {name: jnp.asarray(value, float) for name, value in params.items()}
        values = evaluate_elbo(model, mean_field, params, arrays, n_draws=100, seed=SEED)
    return values / len(panel.stores)


def variational_em(panel, _):
    """Cells, and the source's mean field near its optimum by Newton's steps, without JAX."""
    from helpers.stores.cells import count_cells
    from helpers.stores.posterior import fit_mean_field

    cells = count_cells(panel)
    fit_mean_field(cells)

    def loss():
        from helpers.stores.svi import mean_field_start  # the same fit as the guide's parameters

        return mean_field_loss(panel, mean_field_start(cells))

    return loss, (0, 0), {}


def collapsed(panel, steps):
    """Cells, variational EM, and a few steps of Adam on the source's mean field."""
    from helpers.stores.cells import count_cells

    cells = count_cells(panel)

    import jax.numpy as jnp  # after the peak of counting

    from helpers.stores.model import collapsed_model, mean_field
    from helpers.stores.svi import cosine, mean_field_start, run_svi

    arrays = {name: jnp.asarray(value) for name, value in cells.arrays().items()}
    fit = run_svi(
        *(collapsed_model, mean_field, arrays),
        steps=steps,
        seed=SEED,
        rate=cosine(3e-3, steps),
        start=mean_field_start(cells),
    )
    return lambda: mean_field_loss(panel, fit.params), (0, 0), {}


def structured(panel, _):
    """Cells and the structured posterior, without JAX."""
    from helpers.stores.cells import count_cells
    from helpers.stores.posterior import fit_structured

    fit = fit_structured(count_cells(panel))
    return lambda: fit.elbo(100, seed=SEED) / len(panel.stores), (0, 0), {}


_ALL = as_in_the_source, equal_days_together, variational_em, collapsed, structured
WAYS = {way.__name__: way for way in _ALL}


def record(name: str, n_stores: int, argument: int, started: float) -> dict:
    """Time from the start of the process, memory, and the loss, which is evaluated afterwards."""
    panel = load(n_stores)
    loaded = time.time()
    loss, (more_wall, more_cpu), more = WAYS[name](panel, argument)
    now = time.time() + more_wall
    cpu_seconds = time.process_time() + more_cpu
    peak = peak_mb()
    row = {
        "way": name,
        "stores": n_stores,
        "data": panel.source,
        "seconds": round(now - started, 2),
        "fit_seconds": round(now - loaded, 2),
        "cpu_seconds": round(cpu_seconds, 1),
        "peak_mb": peak,
    }
    if loss is not None:
        values = -loss()
        row["loss"] = round(float(values.mean()), 2)
        row["loss_error"] = round(float(values.std() / len(values) ** 0.5), 3)
    return row | more | ({"epochs": EPOCHS} if more else {})


def bench(epochs: int, n_repeats: int) -> dict:
    """Run every way, in turn; compiled code is kept from a first run, as in a book."""
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as cache:
        cached = {
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }

        def run(name, n_stores, argument):
            arguments = name, str(n_stores), str(argument), str(time.time())
            return in_process(__file__, *arguments, variables=cached)

        ways = [("as_in_the_source", 1000, epochs)]
        ways += [("equal_days_together", 1000, seed) for seed in SEEDS]
        run("as_in_the_source", 1000, 10)  # fills the cache
        for n_stores in (*GROWTH, KAGGLE):
            run("collapsed", n_stores, FAST_STEPS)
            ways += [
                ("variational_em", n_stores, 0),
                ("structured", n_stores, 0),
                ("collapsed", n_stores, FAST_STEPS),
            ]
        rows = interleaved([partial(run, *way) for way in ways], n_repeats)
    return conditions(load_before, PACKAGES) | {"ways": rows}


if __name__ == "__main__":
    if len(sys.argv) == 5 and sys.argv[1] in WAYS:
        name, n_stores, argument, started = sys.argv[1:]
        print(json.dumps(record(name, int(n_stores), int(argument), float(started))))
    else:
        options = argparse.ArgumentParser(description=__doc__)
        options.add_argument("--epochs", type=int, default=EPOCHS)
        add_repeats(options)
        given = options.parse_args()
        write(OUTPUT, bench(given.epochs, given.repeats))
