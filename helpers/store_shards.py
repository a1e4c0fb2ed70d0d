"""The collapsed model of many stores on several devices or processes.

Stores are dealt out evenly; what all stores share is on each device. JAX adds up what the
shards contribute. Run as a program, since a process fixes its devices when it starts::

    python -m helpers.store_shards cells.npz fit.npz --devices 2 --steps 300
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from helpers.store_model import Fit
    from helpers.stores import Cells

#: Axis of the stores in each array of the cells; the calendar belongs to all.
_STORE_AXIS = {"n": 0, "total": 0, "h": 1, "centre": 0, "attributes": 0}


def save_cells(path: str | Path, cells: Cells) -> None:
    """Write cells to a file that the program reads.

    Parameters
    ----------
    path : str or pathlib.Path
        File, ``.npz``.
    cells : Cells
        What the stores sold.
    """
    np.savez(path, family=cells.family, **cells.arrays())


def fit_shards(
    cells: dict[str, np.ndarray], *, family: str, steps: int, seed: int, **options: Any
) -> Fit:
    """Fit the mean-field guide with the stores dealt out over all devices of all processes.

    Parameters
    ----------
    cells : dict of array
        ``Cells.arrays()``, the same in each process.
    family : {"nb1", "nb2"}
        As the cells were counted.
    steps : int
        Steps of Adam.
    seed : int
        Seed.
    **options : object
        Of :func:`helpers.store_model.run_svi`.

    Returns
    -------
    Fit
        The same in each process.

    Raises
    ------
    ValueError
        If the stores cannot be dealt out evenly.
    """
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    from helpers.store_model import collapsed_model, mean_field, run_svi

    devices = jax.devices()
    n_stores = len(cells["n"])
    if n_stores % len(devices):
        raise ValueError(f"{n_stores} stores cannot be dealt out evenly over {len(devices)}")
    mesh = Mesh(np.array(devices), ("stores",))

    def spread(name, values):
        axis = _STORE_AXIS.get(name)
        spec = PartitionSpec() if axis is None else PartitionSpec(*[None] * axis, "stores")
        sharding = NamedSharding(mesh, spec)
        return jax.make_array_from_callback(values.shape, sharding, lambda part: values[part])

    data = {name: spread(name, values) for name, values in cells.items()}
    if family != "nb1":
        raise ValueError("only NB1 is dealt out")
    return run_svi(collapsed_model, mean_field, data, steps=steps, seed=seed, **options)


def run_shards(
    cells: str | Path,
    out: str | Path,
    *,
    devices: int = 1,
    processes: int = 1,
    steps: int = 300,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    kill_after: int | None = None,
    timeout: float = 300.0,
) -> dict[str, Any] | None:
    """Run the program in processes of its own and collect what it found.

    Parameters
    ----------
    cells : str or pathlib.Path
        What :func:`save_cells` wrote.
    out : str or pathlib.Path
        File for the fit, ``.npz``.
    devices : int
        Virtual CPU devices of each process.
    processes : int
        Processes, joined by ``jax.distributed``.
    steps, seed : int
        Steps and seed of the fit.
    checkpoint : str or pathlib.Path, optional
        As :func:`helpers.store_model.run_svi`.
    kill_after : int, optional
        The program ends itself, without a word, after so many steps.
    timeout : float
        Seconds that it may take.

    Returns
    -------
    dict or None
        ``losses``, parameters by name, and ``report`` with seconds a step and memory; None if
        it was killed.

    Raises
    ------
    RuntimeError
        If a process failed; the message has the end of what it wrote.
    """
    command = [sys.executable, "-m", "helpers.store_shards", str(cells), str(out)]
    command += ["--devices", str(devices), "--steps", str(steps), "--seed", str(seed)]
    if checkpoint is not None:
        command += ["--checkpoint", str(checkpoint)]
    if kill_after is not None:
        command += ["--kill-after", str(kill_after)]
    if processes > 1:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command += ["--processes", str(processes), "--port", str(port)]
    flags = f"--xla_force_host_platform_device_count={devices}"
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": path}
    started = [
        subprocess.Popen(
            [*command, "--rank", str(rank)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(processes)
    ]
    try:
        wrote = [process.communicate(timeout=timeout)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    codes = {process.returncode for process in started}
    if kill_after is not None and codes == {_KILLED}:
        return None
    if codes != {0}:
        raise RuntimeError("\n".join(text[-2000:] for text in wrote))
    with np.load(out) as file:
        found = {name: file[name] for name in file.files}
    return found | {"report": json.loads(str(found["report"]))}


_KILLED = 9


def main(arguments: list[str] | None = None) -> None:
    """Fit as the command line says and write the result from the first process.

    Parameters
    ----------
    arguments : list of str, optional
        The command line by default.
    """
    parser = argparse.ArgumentParser(prog="python -m helpers.store_shards")
    parser.add_argument("cells")
    parser.add_argument("out")
    for name, default in (("devices", 1), ("processes", 1), ("rank", 0), ("port", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint")
    parser.add_argument("--kill-after", type=int)
    given = parser.parse_args(arguments)
    import jax

    if given.processes > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(
            f"127.0.0.1:{given.port}", num_processes=given.processes, process_id=given.rank
        )
    if jax.local_device_count() != given.devices:
        raise RuntimeError(f"{jax.local_device_count()} devices; set XLA_FLAGS before the start")
    with np.load(given.cells) as file:
        arrays = {name: file[name] for name in file.files}
    family = str(arrays.pop("family"))
    clock: list[tuple[int, float]] = []

    def progress(step, loss):
        clock.append((step, time.perf_counter()))
        if given.kill_after is not None and step >= given.kill_after:
            os._exit(_KILLED)  # as a killed process: nothing is tidied up

    fit = fit_shards(
        arrays,
        family=family,
        steps=given.steps,
        seed=given.seed,
        rate=0.01,
        chunk=50,
        checkpoint=given.checkpoint,
        progress=progress,
    )
    if given.rank == 0:
        (first, start), (last, end) = clock[0], clock[-1]
        report = {"devices": jax.device_count(), "processes": given.processes}
        report["seconds_a_step"] = (end - start) / max(last - first, 1)
        np.savez(given.out, losses=fit.losses, report=json.dumps(report), **fit.params)


if __name__ == "__main__":
    main()
