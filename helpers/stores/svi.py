"""Stochastic variational inference and NUTS, with NumPyro's parts."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from helpers.stores.cells import Cells
from helpers.stores.model import Params, _log_likelihood, numpyro
from helpers.stores.posterior import Structured, fit_mean_field, priors

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # tqdm warns where notebooks lack widgets
    from numpyro.infer import MCMC, NUTS, SVI, Trace_ELBO, TraceMeanField_ELBO

if TYPE_CHECKING:
    import xarray as xr

_VAGUE = 0.2  # standard deviation of a log scale from which on it counts as vague


def cosine(rate: float, steps: int) -> Callable[[jax.Array], jax.Array]:
    """Learning rate that falls to zero like half a cosine.

    Parameters
    ----------
    rate, steps : float and int
        Rate at the start; step when it arrives at zero.

    Returns
    -------
    callable
        Rate by step.

    Examples
    --------
    >>> [round(float(cosine(0.1, 10)(step)), 3) for step in (0, 5, 10, 20)]
    [0.1, 0.05, 0.0, 0.0]
    """
    return lambda step: 0.5 * rate * (1 + jnp.cos(jnp.pi * jnp.clip(step / steps, 0, 1)))


@dataclass(frozen=True)
class Fit:
    """Parameters of a guide, and the loss of each step in nats for all data."""

    params: Params
    losses: np.ndarray


def run_svi(
    model: Callable,
    guide: Callable,
    *data: Any,
    steps: int,
    seed: int,
    rate: float | Callable = 0.1,
    start: Params | None = None,
    loss: Any = None,
    chunk: int = 100,
    checkpoint: str | Path | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> Fit:
    """Fit a guide by stochastic variational inference, with NumPyro's SVI and Adam.

    Parameters
    ----------
    model, guide, *data : callables and arrays
        NumPyro programs, and what both take, as arrays or containers of arrays.
    steps, seed : int
        Number of steps, seed of the guide's draws.
    rate, start, loss : float or callable, dict of array, and numpyro.infer.ELBO
        Adam's rate, or a schedule such as :func:`cosine`; parameters to start from; by default the
        ELBO of one particle, in closed form where known.
    chunk : int
        Steps compiled together; one whose loss is not finite is an error.
    checkpoint, progress : str or pathlib.Path, and callable
        Folder of the state after each chunk, from which a run goes on to the same numbers; called
        after each chunk with the step and its mean loss.

    Returns
    -------
    Fit
        Parameters and losses.
    """
    if min(steps, chunk) < 1:
        raise ValueError(f"steps={steps}, chunk={chunk}: at least 1 each")
    svi = SVI(model, guide, numpyro.optim.Adam(rate), loss or TraceMeanField_ELBO())
    # an argument, not a constant of the program: it may be laid over devices as the data are
    init = jax.jit(lambda key, start, *data: svi.init(key, *data, init_params=start))
    state = init(jax.random.PRNGKey(seed), start, *data)

    @partial(jax.jit, static_argnums=1)
    def advance(state, length, *data):
        def step(old, _):
            new, loss = svi.update(old, *data)
            # a schedule in double precision must not widen what it moves
            return jax.tree.map(lambda n, o: n.astype(o.dtype), new, old), loss

        return jax.lax.scan(step, state, length=length)

    losses, done = np.asarray(jnp.empty(0)), 0
    shapes = [list(jnp.shape(leaf)) for leaf in jax.tree.leaves(state)]
    identity = {"seed": seed, "chunk": chunk, "shapes": shapes}
    keep = partial(ocp.CheckpointManager, options=ocp.CheckpointManagerOptions(max_to_keep=1))
    with nullcontext() if checkpoint is None else keep(Path(checkpoint).absolute()) as kept:
        if kept is not None and (done := kept.latest_step() or 0):
            state, losses = _resumed(kept, done, state, np.resize(losses, done), identity)
        while done < steps:
            length = min(chunk, steps - done)
            with warnings.catch_warnings():  # a site that only model or guide has is an error
                warnings.filterwarnings("error", "Found (non-auxiliary )?vars")
                state, part = advance(state, length, *data)
            losses, done = np.append(losses, part), done + length
            if not np.isfinite(losses[-length:]).all():
                raise FloatingPointError(f"loss not finite before step {done}; lower the rate")
            if kept is not None:
                args = ocp.args.StandardSave({"state": state, "losses": losses})
                args = ocp.args.Composite(fit=args, identity=ocp.args.JsonSave(identity))
                kept.save(done, args=args)
            if progress is not None:
                progress(done, float(losses[-length:].mean()))
    params = {name: _fetch(value) for name, value in svi.get_params(state).items()}
    return Fit(params, losses)


def _fetch(value) -> np.ndarray:
    """The whole array, also where other processes hold parts of it."""
    if getattr(value, "is_fully_addressable", True) or value.is_fully_replicated:
        return np.asarray(value)
    from jax.experimental.multihost_utils import process_allgather

    return np.asarray(process_allgather(value, tiled=True))


def _resumed(kept, done, state, losses, identity):
    like = ocp.args.StandardRestore({"state": state, "losses": losses})
    known = kept.restore(done, args=ocp.args.Composite(identity=ocp.args.JsonRestore()))
    if known.identity != identity:
        raise ValueError(
            f"{kept.directory}: checkpoint of another fit; name another folder or delete it"
        )
    found = kept.restore(done, args=ocp.args.Composite(fit=like)).fit
    return found["state"], found["losses"]


def mean_field_start(cells: Cells, *, steps: int = 10) -> Params:
    """Parameters of the mean field near its optimum, by variational EM.

    Parameters
    ----------
    cells, steps : Cells and int
        What the stores sold; rounds of :func:`helpers.stores.posterior.fit_mean_field`.

    Returns
    -------
    dict of array
        As ``start`` of :func:`run_svi`.
    """
    fit = fit_mean_field(cells, steps=steps)
    mean, log_sd, curvature = fit["mean"], fit["log_sd"], fit["curvature"]
    sd = np.exp(log_sd)
    z = (fit["beta"] - mean) / sd
    curvature = np.maximum(curvature, 0)
    z_scale = 1 / np.sqrt(curvature * sd**2 + 1)
    mean_scale = 1 / np.sqrt(curvature.sum(0) + 1)
    sd_scale = 1 / np.sqrt((curvature * (z**2 + z_scale**2)).sum(0) * sd**2 + 2)
    log_sd = log_sd + np.r_[np.zeros(sd.size - 1), np.log(10)]
    parts = {"mean_loc": mean, "mean_scale": mean_scale, "sd_loc": log_sd, "sd_scale": sd_scale}
    start = {f"coef_{name}": value[:-1] for name, value in parts.items()}
    start |= {f"dispersion_{name}": value[-1] for name, value in parts.items()}
    for name, value in {"z_loc": z, "z_scale": z_scale}.items():
        start |= {f"coef_{name}": value[:, :-1], f"dispersion_{name}": 0.1 * value[:, -1:]}
    return {name: jnp.asarray(value, jnp.float32) for name, value in start.items()}


def evaluate_elbo(
    model: Callable, guide: Callable, params: Params, *data: Any, n_draws: int, seed: int
) -> np.ndarray:
    """ELBO of a guide from each of some draws; their mean estimates it.

    Parameters
    ----------
    model, guide, params, *data, n_draws, seed : callables, dict of array, arrays and ints
        NumPyro programs, the guide's parameters, what both programs take; draws and their seed.

    Returns
    -------
    array, shape (D,)
        In nats, for all data.
    """
    keys = jax.random.split(jax.random.PRNGKey(seed), n_draws)

    @jax.jit  # one after the other, so that memory does not grow with the draws
    def run(keys, params, *data):
        return jax.lax.map(lambda key: -Trace_ELBO().loss(key, params, model, guide, *data), keys)

    return np.asarray(run(keys, params, *data), dtype=float)


def whitened_log_density(fit: Structured) -> Callable[[jax.Array, jax.Array], tuple]:
    """Posterior in coordinates in which the structured one is close to standard normal."""
    size = fit.mean.size
    prior_mean, scale = priors(size)
    covariance = fit.covariance[size:, size:]
    vague = np.diag(covariance) > _VAGUE**2
    root = np.linalg.cholesky(np.where(vague | vague[:, None], np.eye(size), covariance))
    unit = np.exp(fit.log_sd)
    bend = np.arcsinh(scale / unit) / 3.5
    # expanded where a wide population leaves the stores, which suits narrow ones as well
    wide = fit.expanded(fit.mean, np.where(vague, np.log(scale), fit.log_sd))
    # a store's days say nothing of types that it is not, nor of days that it never opened
    spoken = np.diagonal(wide.precision, axis1=1, axis2=2) > 0
    some = np.argsort(~spoken, axis=1, kind="stable")[:, : spoken.sum(1).max()]
    rows, pick = np.arange(len(some))[:, None], np.eye(size)[some]
    precision = wide.precision[rows[..., None], some[..., None], some[:, None]]
    pull = (precision @ wide.beta[rows, some, None])[..., 0] + wide.gradient[rows, some]
    total_precision = np.eye(size) + (pick.transpose(0, 2, 1) @ precision @ pick).sum(0)
    total_pull = prior_mean + (pull[:, None] @ pick)[:, 0].sum(0)
    cells = {name: jnp.asarray(value) for name, value in fit.cells.arrays(float).items()}
    solve = partial(jax.scipy.linalg.solve_triangular, lower=True)

    def density(w, e):
        log_clear = fit.log_sd + root @ w[size:]
        sd = jnp.where(vague, unit * jnp.sinh(bend * w[size:]) / bend, jnp.exp(log_clear))
        # stores as beta = mean + sd z, which holds for a vanishing sd, too
        own_sd = sd[some]
        tie = own_sd[..., None] * precision
        lower = jnp.linalg.cholesky(tie * own_sd[:, None] + np.eye(some.shape[1]))
        both = solve(lower, jnp.concatenate([tie, (own_sd * pull)[..., None]], axis=-1))
        tie, own = both[..., :-1] @ pick, both[..., -1]
        # the means given the scales, stores integrated out: they, too, are normal
        flat = tie.reshape(-1, size)
        outer = jnp.linalg.cholesky(total_precision - flat.T @ flat)
        mean = solve(outer, total_pull - own.ravel() @ flat) + w[:size]
        mean = solve(outer, mean, trans=1)
        z = solve(lower, (own - tie @ mean + e[rows, some])[..., None], trans=1)[..., 0]
        z = jnp.asarray(e).at[rows, some].set(z)
        beta = mean + sd * z
        value = _log_likelihood(cells, beta[:, :-1], beta[:, -1], fit.cells.family).sum()
        value -= 0.5 * ((z**2).sum() + ((mean - prior_mean) ** 2).sum() + ((sd / scale) ** 2).sum())
        value += jnp.where(vague, jnp.log(jnp.cosh(bend * w[size:])), log_clear).sum()
        value -= jnp.log(jnp.diagonal(lower, axis1=1, axis2=2)).sum()
        value -= jnp.log(jnp.diagonal(outer)).sum()
        return value, {"mean": mean, "log_sd": jnp.log(jnp.abs(sd)), "beta": beta}

    return density


def sample_nuts(
    fit: Structured, *, draws: int, tune: int, chains: int, seed: int, target_accept: float = 0.95
) -> xr.DataTree:
    """Draw from the exact posterior with NumPyro's NUTS, started from a structured one.

    Parameters
    ----------
    fit, draws, tune, chains, seed, target_accept : Structured, int, int, int, int and float
        Where to start; draws and tuning draws of a chain; chains, one after the other.

    Returns
    -------
    xarray.DataTree
        ``mean`` and ``log_sd`` of the population, ``coef`` and ``dispersion`` of the stores.
    """
    import arviz as az  # large, and only needed here

    size, n_stores = fit.mean.size, len(fit.beta)
    with jax.enable_x64(True):
        density = whitened_log_density(fit)

        def parameters(w, e):
            found = density(w, e)[1]
            beta = found.pop("beta")
            return found | {"coef": beta[:, :-1], "dispersion": beta[:, -1]}

        kernel = NUTS(
            potential_fn=lambda q: -density(q["w"], q["e"])[0],
            target_accept_prob=target_accept,
            max_tree_depth=5,  # once around a standard normal
        )
        sizes = {"num_warmup": tune, "num_samples": draws, "num_chains": chains}
        options = {"chain_method": "sequential", "progress_bar": False}
        mcmc = MCMC(kernel, postprocess_fn=lambda q: parameters(**q), **sizes, **options)
        rng = np.random.default_rng(seed)
        shapes = {"w": (2 * size,), "e": (n_stores, size)}
        many = () if chains == 1 else (chains,)
        start = {k: jnp.asarray(rng.standard_normal((*many, *s))) for k, s in shapes.items()}
        extra = ("diverging", "num_steps")
        mcmc.run(jax.random.PRNGKey(seed), init_params=start, extra_fields=extra)
        return az.from_numpyro(mcmc)
