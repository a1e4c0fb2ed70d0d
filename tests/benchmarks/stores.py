"""The store model fitted in three ways, each in a process of its own, and how ours grows.

Without an argument it runs all of them and writes what the performance page shows. The source's
schedule takes a quarter of an hour or more: `--epochs` runs a part of it and extrapolates.
Kaggle's data are used if MARKET_BOOK_DATA names them, else the simulated twin.
"""

from __future__ import annotations

import time

STARTED = time.perf_counter(), time.process_time()

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import platform  # noqa: E402
import resource  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from datetime import UTC, datetime  # noqa: E402
from importlib.metadata import version  # noqa: E402
from pathlib import Path  # noqa: E402

OUTPUT = Path(__file__).parents[2] / "book" / "performance_stores.json"
EPOCHS = 6000
FAST_STEPS = 300
GROWTH = (100, 1000, 10_000)
PACKAGES = ("numpyro", "jax", "numpy", "scipy")
SEED = 1


def load(n_stores):
    """Sales of the first stores; more than Kaggle has are simulated."""
    from helpers.stores import as_store_panel, load_stores, simulate_stores

    if n_stores <= 1115:
        return load_stores(n_stores=n_stores, seed=SEED)
    return as_store_panel(simulate_stores(n_stores, seed=SEED).data, source="simulated")


def as_in_the_source(n_stores, epochs):
    """Every day in the likelihood, Adam at 0.1 from the source's starting values."""
    import jax.numpy as jnp

    from helpers.store_model import mean_field, numpyro, plain_model, run_svi

    panel = load(n_stores)
    data = jnp.asarray(panel.cube()), jnp.asarray(panel.sales)
    clock = []
    run_svi(
        plain_model,
        mean_field,
        *data,
        steps=epochs,
        chunk=10,
        seed=SEED,
        rate=0.1,
        loss=numpyro.infer.Trace_ELBO(),
        stable=True,
        progress=lambda step, loss: clock.append((time.perf_counter(), time.process_time())),
    )
    # what is left of the schedule costs as much an epoch as what ran
    (wall, cpu), (wall_0, cpu_0) = clock[-1], clock[0]
    share = (EPOCHS - epochs) / max(epochs - 10, 1)
    return panel.source, None, ((wall - wall_0) * share, (cpu - cpu_0) * share)


def collapsed(n_stores, steps=FAST_STEPS):
    """Cells, variational EM, and a few steps of Adam on the source's mean field."""
    from helpers.stores import count_cells

    panel = load(n_stores)
    cells, source = count_cells(panel), panel.source
    del panel

    import jax.numpy as jnp  # after the peak of loading

    from helpers.store_model import (
        collapsed_model,
        cosine,
        evaluate_elbo,
        mean_field,
        mean_field_start,
        run_svi,
    )

    arrays = {name: jnp.asarray(value) for name, value in cells.arrays().items()}
    fit = run_svi(
        *(collapsed_model, mean_field, arrays),
        steps=steps,
        seed=SEED,
        rate=cosine(3e-3, steps),
        start=mean_field_start(cells),
    )

    def loss():
        return -evaluate_elbo(
            collapsed_model, mean_field, fit.params, arrays, n_draws=100, seed=SEED
        )

    return source, loss, (0, 0)


def structured(n_stores, _=None):
    """Cells and the structured posterior, without JAX."""
    from helpers.store_posterior import fit_structured
    from helpers.stores import count_cells

    panel = load(n_stores)
    fit = fit_structured(count_cells(panel))
    return panel.source, lambda: -fit.elbo(100, seed=SEED), (0, 0)


WAYS = {way.__name__: way for way in (as_in_the_source, collapsed, structured)}


def record(name: str, n_stores: int, steps: int) -> dict:
    """Time from the start of Python, memory, and the loss, which is evaluated afterwards."""
    source, loss, (more_wall, more_cpu) = WAYS[name](n_stores, steps)
    seconds = time.perf_counter() - STARTED[0] + more_wall
    cpu_seconds = time.process_time() + more_cpu
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_kb /= 1024 if sys.platform == "darwin" else 1
    row = {
        "way": name,
        "stores": n_stores,
        "data": source,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "peak_mb": round(peak_kb / 1024),
    }
    if loss is not None:
        values = loss() / n_stores
        row["loss"] = round(float(values.mean()), 2)
        row["loss_error"] = round(float(values.std() / len(values) ** 0.5), 3)
    return row | ({"epochs_run": steps} if name == "as_in_the_source" else {})


def bench(epochs: int) -> dict:
    """Run every way, one after the other; compiled code is kept from a first run, as in a book."""
    load_before = os.getloadavg()[0]
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }

        def run(name, n_stores, steps):
            done = subprocess.run(
                [sys.executable, __file__, name, str(n_stores), str(steps)],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
                env=environment,
            )
            return json.loads(done.stdout.splitlines()[-1])

        rows.append(run("as_in_the_source", 1000, epochs))
        print(rows[-1], flush=True)
        for n_stores in GROWTH:
            run("collapsed", n_stores, FAST_STEPS)  # fills the cache
            for name in ("collapsed", "structured"):
                rows.append(run(name, n_stores, FAST_STEPS))
                print(rows[-1], flush=True)
        rows.append(run("collapsed", 1115, FAST_STEPS))
        print(rows[-1], flush=True)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "load": [round(load_before, 1), round(os.getloadavg()[0], 1)],
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in PACKAGES},
        "ways": rows,
    }


if __name__ == "__main__":
    if len(sys.argv) == 4:
        print(json.dumps(record(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
    else:
        options = argparse.ArgumentParser(description=__doc__)
        options.add_argument("--epochs", type=int, default=EPOCHS)
        OUTPUT.write_text(json.dumps(bench(options.parse_args().epochs), indent=1) + "\n")
