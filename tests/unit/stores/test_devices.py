"""Devices and processes end where one device does; stores without a day change nothing."""

from __future__ import annotations

import time

import jax
import numpy as np
import pytest

from helpers.stores.cells import count_cells
from helpers.stores.devices import (
    _take_stores,
    pad_stores,
    shard_stores,
    start_processes,
)
from helpers.stores.load import as_store_panel
from helpers.stores.model import collapsed_model, mean_field
from helpers.stores.simulate import simulate_stores
from helpers.stores.svi import mean_field_start, run_svi

STEPS = 60

pytestmark = pytest.mark.usefixtures("single_precision")


@pytest.fixture(scope="module")
def stores():
    """Cells and start of an odd number of stores, padded for two devices."""
    panel = as_store_panel(simulate_stores(9, seed=1, n_days=400).data)
    cells = count_cells(panel)
    values = pad_stores(cells.arrays(), 2)
    return values, pad_stores(mean_field_start(cells), 2)


@pytest.fixture(scope="module")
def alone(stores):
    """Fit on the one device of this process."""
    cells, start = stores
    return run_svi(collapsed_model, mean_field, cells, start=start, steps=STEPS, rate=0.01, seed=3)


def assert_same(one, other, *, since=0):
    np.testing.assert_allclose(one.losses[since:], other.losses[since:], rtol=1e-5)
    for name, value in one.params.items():
        np.testing.assert_allclose(value, other.params[name], rtol=1e-4, atol=1e-4)


def test_two_devices_end_where_one_does(stores, alone, tmp_path):
    fit = start_processes(*stores, tmp_path, devices=2, steps=STEPS, seed=3).finish()
    assert_same(fit, alone)


def test_two_processes_killed_and_resumed_end_where_one_does(stores, alone, tmp_path):
    kept = tmp_path / "kept"
    options = {"processes": 2, "steps": STEPS, "seed": 3, "chunk": 1, "checkpoint": kept}
    run = start_processes(*stores, tmp_path, **options)
    end = time.monotonic() + 240
    while not kept.exists() and time.monotonic() < end and run.running[0].poll() is None:
        time.sleep(0.02)
    run.kill()
    assert not (tmp_path / "fit.npz").exists()  # it was killed before its end
    with np.load(kept) as file:
        state = dict(file)
    state["losses"][0] = -1  # seen again only if the next run goes on from here
    with kept.open("wb") as file:
        np.savez(file, **state)
    fit = start_processes(*stores, tmp_path, **options).finish()
    assert_same(fit, alone, since=1)
    assert fit.losses[0] == -1


def test_a_process_that_fails_says_why_and_takes_the_others_along(stores, tmp_path):
    run = start_processes(*stores, tmp_path, processes=2, steps=10**9)
    run.running[1].kill()
    with pytest.raises(RuntimeError, match="process 1 of the fit failed"):
        run.finish(seconds=120)
    assert run.running[0].returncode


def test_a_process_that_does_not_end_is_ended(stores, tmp_path):
    run = start_processes(*stores, tmp_path, steps=10**9)
    with pytest.raises(RuntimeError, match="process 0 not at its end"):
        run.finish(seconds=0.1)


def test_a_store_without_days_keeps_its_prior(stores, alone):
    _, start = stores
    for name, prior in {"coef_z": (0, 1), "dispersion_z": (0, 0.1)}.items():
        for part, value in zip(("loc", "scale"), prior, strict=True):
            np.testing.assert_allclose(start[f"{name}_{part}"][-1], value, rtol=1e-6)
            np.testing.assert_allclose(alone.params[f"{name}_{part}"][-1], value, rtol=1e-3)


def test_parts_put_together_are_the_whole(stores):
    cells, _ = stores
    parts = [_take_stores(cells, half) for half in (slice(0, 4), slice(4, None))]
    for name, value in cells.items():
        axis = {"h": 1, "calendar": None}.get(name, 0)
        whole = parts[0][name]
        if axis is not None:
            whole = np.concatenate([part[name] for part in parts], axis=axis)
        np.testing.assert_array_equal(whole, value)


def test_devices_need_equal_numbers_of_stores(stores):
    with pytest.raises(ValueError, match="n: 9 stores on 2 devices; see pad_stores"):
        shard_stores(_take_stores(stores[0], slice(9)), 2 * jax.local_devices()[:1])


def test_stores_lie_on_all_devices(stores):
    laid = shard_stores(pad_stores(stores[0], jax.device_count()))
    assert laid["n"].sharding.mesh.shape == {"stores": jax.device_count()}
