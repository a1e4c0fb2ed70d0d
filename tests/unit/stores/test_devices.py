"""Devices and processes end where one device does; stores without a day change nothing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from helpers.stores.cells import count_cells
from helpers.stores.devices import pad_stores, shard_stores, write_parts
from helpers.stores.load import as_store_panel
from helpers.stores.model import collapsed_model, mean_field
from helpers.stores.simulate import simulate_stores
from helpers.stores.svi import Fit, mean_field_start, run_svi

STEPS = 60
CUT = 2**16 - 2**12  # the first port that JAX derives from the number of a Slurm job

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


def assert_same(one, other):
    np.testing.assert_allclose(one.losses, other.losses, rtol=1e-5)
    for name, value in one.params.items():
        np.testing.assert_allclose(value, other.params[name], rtol=1e-4, atol=1e-4)


def begin(folder, *, processes=1, devices=1, **options):
    """Start processes as Slurm would, each with so many devices."""
    with socket.socket() as free:
        while True:
            try:
                free.bind(("localhost", int(np.random.default_rng().integers(CUT, 2**16))))
                break
            except OSError:
                continue
        job = free.getsockname()[1] - CUT
    words = {"steps": STEPS, "seed": 3, "processes": processes} | options
    command = [sys.executable, "-P", "-m", "helpers.stores.devices", str(folder)]
    command += [f"--{key}={value}" for key, value in words.items()]
    environment = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
        "SLURM_JOB_ID": str(job),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": str(processes),
    }
    numbers = ({"SLURM_PROCID": str(k), "SLURM_LOCALID": str(k)} for k in range(processes))
    return [subprocess.Popen(command, env=environment | number) for number in numbers]


def finish(running, folder):
    assert [process.wait(timeout=300) for process in running] == [0] * len(running)
    with np.load(folder / "fit.npz") as file:
        params = dict(file)
    return Fit(losses=params.pop("losses"), params=params)


def test_two_devices_end_where_one_does(stores, alone, tmp_path):
    write_parts(*stores, tmp_path, 1)
    assert_same(finish(begin(tmp_path, devices=2), tmp_path), alone)


def test_two_processes_killed_and_resumed_end_where_one_does(stores, alone, tmp_path):
    kept = tmp_path / "kept"
    options = {"processes": 2, "chunk": 1, "checkpoint": kept}
    write_parts(*stores, tmp_path, 2)
    running = begin(tmp_path, **options)
    end = time.monotonic() + 240
    while not any(path.name.isdigit() for path in kept.glob("*")) and time.monotonic() < end:
        assert running[0].poll() is None
        time.sleep(0.02)
    for process in running:
        process.kill()
        process.wait()
    assert not (tmp_path / "fit.npz").exists()  # it was killed before its end
    # only a run that goes on from the checkpoint does not see this start
    elsewhere = {name: value + 0.5 for name, value in stores[1].items()}
    write_parts(stores[0], elsewhere, tmp_path, 2)
    assert_same(finish(begin(tmp_path, **options), tmp_path), alone)


def test_a_store_without_days_keeps_its_prior(stores, alone):
    _, start = stores
    for name, prior in {"coef_z": (0, 1), "dispersion_z": (0, 0.1)}.items():
        for part, value in zip(("loc", "scale"), prior, strict=True):
            np.testing.assert_allclose(start[f"{name}_{part}"][-1], value, rtol=1e-6)
            np.testing.assert_allclose(alone.params[f"{name}_{part}"][-1], value, rtol=1e-3)


def test_parts_put_together_are_the_whole(stores, tmp_path):
    write_parts(*stores, tmp_path, 2)
    parts = [np.load(tmp_path / f"part-{k}.npz") for k in range(2)]
    named = stores[0] | {f"start/{name}": value for name, value in stores[1].items()}
    assert named.keys() == set(parts[0].files) == set(parts[1].files)
    shared = {"calendar"} | {name for name in named if "_mean_" in name or "_sd_" in name}
    for name, value in named.items():
        whole = parts[0][name]
        if name not in shared:
            axis = 1 if name == "h" else 0
            whole = np.concatenate([part[name] for part in parts], axis=axis)
        np.testing.assert_array_equal(whole, value)


def test_devices_need_equal_numbers_of_stores(stores):
    nine = {name: value[:9] for name, value in stores[0].items() if name == "n"}
    with pytest.raises(ValueError, match="n: 9 stores on 2 devices; see pad_stores"):
        shard_stores(nine, 2 * jax.local_devices()[:1])


def test_stores_lie_on_all_devices(stores):
    laid = shard_stores(pad_stores(stores[0], jax.device_count()))
    assert laid["n"].sharding.mesh.shape == {"stores": jax.device_count()}
