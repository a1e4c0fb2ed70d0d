"""Stores laid over devices and processes.

On a cluster each process fits its own part of the stores, as under Slurm::

    srun --ntasks 4 python -m helpers.stores.devices parts --processes 4 --checkpoint kept
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
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


def write_parts(
    cells: Mapping[str, np.ndarray], start: Params, folder: str | Path, processes: int
) -> None:
    """Write ``part-0.npz`` and so on: what each process of a fit holds.

    Parameters
    ----------
    cells, start, folder, processes : mappings of array, str or Path, and int
        Of all stores, padded to a multiple of all devices; where to write; how many processes.
    """
    own = cells["n"].shape[0] // processes
    for k in range(processes):
        part = {}
        for name, value in [*cells.items(), *((f"start/{name}", v) for name, v in start.items())]:
            axis = _STORE_AXIS.get(name.removeprefix("start/"), 0)
            stores = np.arange(k * own, (k + 1) * own)
            part[name] = value if axis is None else np.take(value, stores, axis)
        np.savez(Path(folder) / f"part-{k}.npz", **part)


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
    folder: str | Path,
    *,
    processes: int = 1,
    coordinator: str | None = None,
    process: int = 0,
    **options: Any,
) -> Fit:
    """Fit all stores together, from a process that holds a part of them.

    Parameters
    ----------
    folder, processes : str or pathlib.Path, and int
        Of :func:`write_parts`; if more than one, Slurm, MPI or Kubernetes tell which this is.
    coordinator, process : str and int
        Where none of them is: host and port of process 0, and this one's number.
    **options : object
        As :func:`helpers.stores.svi.run_svi`; a ``checkpoint`` on a disk that all processes see.

    Returns
    -------
    Fit
        The whole fit, in each process.
    """
    if processes > 1:
        jax.distributed.initialize(*[coordinator, processes, process] if coordinator else [])
    with np.load(Path(folder) / f"part-{jax.process_index()}.npz") as file:
        values = dict(file)
    start = {name[6:]: values.pop(name) for name in list(values) if name.startswith("start/")}
    cells, start = shard_stores(values), shard_stores(start)
    return run_svi(collapsed_model, mean_field, cells, start=start, **options)


def main() -> None:
    """Run one process of a fit; process 0 writes ``fit.npz``, parameters and losses."""
    parser = argparse.ArgumentParser(description=fit_part.__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the parts")
    parser.add_argument("--coordinator", help="host:port of process 0, where no cluster says it")
    parser.add_argument("--checkpoint", type=Path, help="folder that all processes see")
    numbers = {"processes": 1, "process": 0, "steps": 1000, "chunk": 100, "seed": 0, "rate": 0.01}
    for name, value in numbers.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    options = vars(parser.parse_args())
    fit = fit_part(**options)
    if jax.process_index() == 0:
        np.savez(options["folder"] / "fit.npz", losses=fit.losses, **fit.params)


if __name__ == "__main__":
    main()
