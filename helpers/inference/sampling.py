"""Sampling as every chapter does it, and what must hold before a posterior is read."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import nutpie
import pymc as pm
import xarray as xr
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key
from pytensor.link.numba.dispatch.elemwise import numba_funcify_Dot
from pytensor.tensor.math import Dot

_kept: dict[tuple, tuple] = {}

#: Models of calls of `fit_many` under way, of which one may be within another.
_running: list[Callable] = []


def _backend(iterations: int) -> str:
    """Compiler that is done first: numba's code runs faster, JAX compiles faster and smaller."""
    return "numba" if iterations > 10_000 else "jax"


@register_funcify_default_op_cache_key(Dot)
def _product(op, node, **kwargs):
    """PyTensor's own product takes numba half a minute to compile, in every model, and NumPy's two
    seconds; they are equally fast.
    """
    if any(x.type.dtype != "float64" for x in node.inputs):
        return numba_funcify_Dot(op, node, **kwargs)

    @numba_njit
    def product(x, y):
        return np.dot(x, y)

    return product, 1000  # unlike PyTensor's versions: caches may hold both


def compile_for_nutpie(
    model: pm.Model, *, backend: str = "numba", names: Sequence[str] | None = None
) -> nutpie.compile_pymc.CompiledPyMCModel:
    """Compile a model for nutpie, which then draws the variables named, or all."""
    names = None if names is None else list(names)
    return nutpie.compile_pymc_model(model, backend=backend, var_names=names)


def cores_for(chains: int) -> int:
    """Chains to run at once, a core each: PyMC would leave every second core idle."""
    return max(1, min(chains, os.cpu_count() or 1))


def sample(
    model: pm.Model,
    *,
    draws: int,
    tune: int,
    chains: int,
    seed: int,
    target_accept: float = 0.9,
    var_names: Sequence[str] | None = None,
    backend: Literal["numba", "jax"] | None = None,
) -> xr.DataTree:
    """Draw from a model's posterior with nutpie's NUTS, in silence.

    Parameters
    ----------
    draws, tune, chains, target_accept : int and float
        Kept and tuning draws a chain, number of chains, target acceptance rate in (0, 1).
    var_names, backend : sequence of str and {"numba", "jax"}, optional
        Variables to keep, all by default; compiler, by default numba for long runs, else JAX.

    Returns
    -------
    xarray.DataTree
        Groups ``posterior`` and ``sample_stats``.
    """
    logging.getLogger("pymc").setLevel(logging.WARNING)
    idata = pm.sample(
        draws,
        tune=tune,
        chains=chains,
        cores=cores_for(chains),
        random_seed=seed,
        target_accept=target_accept,
        model=model,
        nuts_sampler="nutpie",
        backend=backend or _backend(chains * (draws + tune)),
        var_names=var_names,
        progressbar=False,
        quiet=True,
        compute_convergence_checks=False,
    )
    _release()
    return idata


def fit_many[Data](
    datasets: Sequence[Data],
    build: Callable[[Data], pm.Model],
    *,
    draws: int,
    tune: int,
    chains: int,
    seed: int,
    target_accept: float = 0.9,
    prefix: str = "data_",
    low_rank: bool = False,
    max_depth: int = 10,
    names: Sequence[str] | None = None,
    backend: str | None = None,
    start: int = 0,
) -> Iterator[tuple[Data, xr.DataTree]]:
    """Fit one model to many data sets, compiled once, a fit in seconds.

    Parameters
    ----------
    datasets, build : sequence and callable
        Objects with ``arrays``, a dict of the model's data by name; the model of one of them. All
        that differs between data sets of equal shape must be in it as ``pm.Data``.
    draws, tune, chains, seed, target_accept, prefix : object
        As for :func:`sample`; what precedes the names of the arrays in the model.
    low_rank, max_depth : bool and int
        Whether to learn the strongest correlations; paths have at most two to this power steps.
    names, backend, start : sequence of str, str and int
        Variables to keep (all by default); compiler; first data set to be fitted.

    Yields
    ------
    tuple
        The data set and its posterior.
    """
    backend = backend or _backend(len(datasets) * chains * (draws + tune))
    if datasets and _key(build, datasets[0], names) in _kept:
        backend = "numba"  # as an earlier call compiled it
    streams = np.random.SeedSequence(seed).generate_state(len(datasets))
    if datasets and backend == "numba" and not _running:
        _compiled(build, datasets[0], backend, prefix, names)
        gc.freeze()  # a compiled model is too large to be looked through after every fit
    _running.append(build)
    try:
        for data, stream in zip(datasets[start:], streams[start:], strict=True):
            idata = nutpie.sample(
                _compiled(build, data, backend, prefix, names),
                draws=draws,
                tune=tune,
                chains=chains,
                seed=int(stream),
                target_accept=target_accept,
                save_warmup=False,
                progress_bar=False,
                adaptation="low_rank" if low_rank else "diag",
                maxdepth=max_depth,
            )
            yield data, idata
            del idata
            _release()
    finally:
        _running.remove(build)
        if not _running:
            gc.unfreeze()


def _key(build, data, names=None):
    shapes = tuple((name, np.shape(value)) for name, value in data.arrays.items())
    return build, shapes, None if names is None else tuple(names)


def _compiled(build, data, backend, prefix="data_", names=None):
    """Compiled model with this data: numba's is kept, as each would take hundreds of megabytes."""
    key = _key(build, data, names)
    if key not in _kept:
        compiled = compile_for_nutpie(build(data), backend=backend, names=names)
        if backend == "jax":  # compiles the data in
            return compiled
        used = {variable.name for variable in compiled.shared_var_keys}
        _kept[key] = compiled, [name for name in data.arrays if prefix + name in used]
        _release()
    compiled, used = _kept[key]
    return compiled.with_data(**{prefix + name: data.arrays[name] for name in used})


def _release():
    """Give memory back: arrays wait for the collector, JAX keeps code, glibc what was freed."""
    gc.collect()
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
    with contextlib.suppress(AttributeError, OSError, TypeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)
