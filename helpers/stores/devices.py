"""Stores laid over devices and processes.

On a cluster each process calls this module on its own part of the stores::

    python -m helpers.stores.devices part-0.npz --coordinator host:port --processes 2 --process 0
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from helpers.stores.model import POPULATION, Params, collapsed_model, mean_field
from helpers.stores.svi import Fit, run_svi

#: Axis of the stores, where it is not the first, of cells and of the guide's parameters.
_STORE_AXIS = {"h": 1, "calendar": None} | {
    f"{site}_{part}": None for site in POPULATION for part in ("loc", "scale")
}

# A store that sold nothing keeps its prior: it adds zero to the loss and to each gradient.
_EMPTY = {"coef_z_scale": 1.0, "dispersion_z_scale": 0.1, "sales": np.nan}


def pad_stores(values: Mapping[str, np.ndarray], multiple: int) -> dict[str, np.ndarray]:
    """Append stores without a day, so that devices get equal numbers of stores.

    Parameters
    ----------
    values, multiple : mapping of str to array, and int
        Cells, or parameters of :func:`helpers.stores.model.mean_field`; number of devices.

    Returns
    -------
    dict of array
        Copies with a number of stores that ``multiple`` divides.
    """
    padded = {}
    for name, value in values.items():
        axis = _STORE_AXIS.get(name, 0)
        value = np.asarray(value)
        if axis is not None:
            width = [(0, 0)] * value.ndim
            width[axis] = (0, -value.shape[axis] % multiple)
            value = np.pad(value, width, constant_values=_EMPTY.get(name, 0.0))
        padded[name] = value
    return padded


def _take_stores(values: Mapping[str, np.ndarray], stores: slice) -> dict[str, np.ndarray]:
    """Some stores of cells or parameters, and whole what all stores share."""
    part = {}
    for name, value in values.items():
        axis = _STORE_AXIS.get(name, 0)
        index = () if axis is None else (slice(None),) * axis + (stores,)
        part[name] = np.asarray(value)[index]
    return part


def shard_stores(
    values: Mapping[str, np.ndarray], devices: Sequence[jax.Device] | None = None
) -> dict[str, jax.Array]:
    """Lay this process's stores on its devices; what all stores share goes to each.

    Parameters
    ----------
    values, devices : mapping of str to array, and sequence of jax.Device, optional
        This process's stores, padded; by default all devices, those of other processes too.

    Returns
    -------
    dict of jax.Array
        Arrays of all stores of all processes.
    """
    devices = devices or jax.devices()
    own = sum(device.process_index == jax.process_index() for device in devices)
    # the compiler places the operations, as NumPyro needs
    mesh = Mesh(np.array(devices), ("stores",), axis_types=(AxisType.Auto,))
    laid = {}
    for name, value in values.items():
        axis = _STORE_AXIS.get(name, 0)
        if axis is not None and value.shape[axis] % own:
            raise ValueError(f"{name}: {value.shape[axis]} stores on {own} devices; see pad_stores")
        spec = PartitionSpec() if axis is None else PartitionSpec(*([None] * axis), "stores")
        sharding = NamedSharding(mesh, spec)
        laid[name] = jax.make_array_from_process_local_data(sharding, np.asarray(value))
    return laid


def fit_part(
    part: str | Path,
    *,
    coordinator: str | None = None,
    processes: int = 1,
    process: int = 0,
    **options: Any,
) -> Fit:
    """Fit all stores together, from a process that holds a part of them.

    Parameters
    ----------
    part : str or pathlib.Path
        ``.npz`` file: cells of this process's stores and, under ``start/``, starting parameters.
    coordinator, processes, process : str, int and int
        Host and port of process 0; how many there are, and which of them this is, from 0.
    **options : object
        As :func:`helpers.stores.svi.run_svi`; a ``checkpoint`` on a disk that all processes see.

    Returns
    -------
    Fit
        The whole fit, in each process.
    """
    if processes > 1:
        jax.distributed.initialize(coordinator, processes, process)
    with np.load(part) as file:
        values = {name: file[name] for name in file.files}
    start = {name[6:]: values.pop(name) for name in list(values) if name.startswith("start/")}
    cells, start = shard_stores(values), shard_stores(start)
    return run_svi(collapsed_model, mean_field, cells, start=start, **options)


@dataclass(frozen=True)
class Processes:
    """Processes of one fit on this machine; they write to ``log-0.txt`` and so on."""

    running: list[subprocess.Popen]
    directory: Path

    def kill(self) -> None:
        """Kill them all at once, as a power cut does."""
        for process in self.running:
            process.kill()
            process.wait()

    def finish(self, *, seconds: float = 600) -> Fit:
        """Wait for their end and read the fit; kill all if one fails or does not end in time."""
        end = time.monotonic() + seconds
        while True:
            codes = [process.poll() for process in self.running]
            if None not in codes or any(codes) or time.monotonic() > end:
                break
            time.sleep(0.02)
        self.kill()
        for k, code in enumerate(codes):
            if code:
                said = (self.directory / f"log-{k}.txt").read_text()[-2000:]
                raise RuntimeError(f"process {k} of the fit failed:\n{said}")
        if None in codes:
            raise RuntimeError(f"process {codes.index(None)} not at its end in {seconds} s")
        with np.load(self.directory / "fit.npz") as file:
            params = {name: file[name] for name in file.files}
        return Fit(losses=params.pop("losses"), params=params)


def start_processes(
    cells: Mapping[str, np.ndarray],
    start: Params,
    directory: str | Path,
    *,
    processes: int = 1,
    devices: int = 1,
    **options: Any,
) -> Processes:
    """Start the processes of one fit on this machine, as a cluster does on several.

    Parameters
    ----------
    cells, start, directory, processes, devices : mappings of array, str or Path, int and int
        Of all stores, padded to a multiple of all devices; how many virtual devices a process has.
    **options : object
        Of the command line: ``steps``, ``chunk``, ``seed``, ``rate``, ``checkpoint``.

    Returns
    -------
    Processes
        To be killed, or waited for.
    """
    directory = Path(directory)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        options |= {"coordinator": f"localhost:{free.getsockname()[1]}", "processes": processes}
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    precision = {"JAX_ENABLE_X64": str(jax.config.jax_enable_x64)}  # as here
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"} | precision
    own = cells["n"].shape[0] // processes
    running = []
    for k in range(processes):
        part = directory / f"part-{k}.npz"
        stores = slice(k * own, (k + 1) * own)
        of_start = {f"start/{name}": value for name, value in _take_stores(start, stores).items()}
        np.savez(part, **_take_stores(cells, stores), **of_start)
        words = [f"--{key}={value}" for key, value in options.items()]
        command = [sys.executable, "-P", "-m", "helpers.stores.devices", str(part), *words]
        command += [f"--process={k}", f"--out={directory / 'fit.npz'}"]
        with (directory / f"log-{k}.txt").open("w") as log:
            running.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
    return Processes(running, directory)


def main() -> None:
    """Run one process of a fit; process 0 writes the parameters and losses."""
    parser = argparse.ArgumentParser(description=fit_part.__doc__.splitlines()[0])
    parser.add_argument("part", type=Path, help="its cells and start, as .npz")
    parser.add_argument("--out", type=Path, default=Path("fit.npz"))
    parser.add_argument("--coordinator", help="host:port of process 0")
    parser.add_argument("--checkpoint", type=Path, help="file on a disk that all processes see")
    numbers = {"processes": 1, "process": 0, "steps": 1000, "chunk": 100, "seed": 0, "rate": 0.01}
    for name, value in numbers.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    options = vars(parser.parse_args())
    out = options.pop("out")
    fit = fit_part(**options)
    if options["process"] == 0:
        np.savez(out, losses=fit.losses, **fit.params)


if __name__ == "__main__":
    main()
