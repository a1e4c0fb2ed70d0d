"""Stochastic variational inference, step by step or resumed."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from helpers.stores.cells import Cells
from helpers.stores.model import (
    _VAGUE,
    POPULATION,
    STORE,
    Params,
    check_guide,
    log_likelihood,
    transform,
)
from helpers.stores.posterior import Structured, fit_mean_field, priors

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # tqdm warns where notebooks lack widgets
    import numpyro
    from numpyro import handlers
    from numpyro.infer import MCMC, NUTS, SVI, TraceMeanField_ELBO
    from numpyro.infer.util import log_density

if TYPE_CHECKING:
    import xarray as xr


def cosine(rate: float, steps: int) -> Callable[[jax.Array], jax.Array]:
    """Learning rate that falls from ``rate`` to zero like half a cosine.

    Parameters
    ----------
    rate : float
        At the start.
    steps : int
        When it arrives at zero.

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
    """What :func:`run_svi` returns.

    Attributes
    ----------
    params : dict of array
        Parameters of the guide.
    losses : array, shape (steps,)
        Loss of each step from one particle, in nats for all data.
    """

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
    stable: bool = False,
    chunk: int = 100,
    plateau: float | None = None,
    patience: int = 3,
    checkpoint: str | Path | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> Fit:
    """Fit a guide by stochastic variational inference, with NumPyro's parts.

    Steps run in compiled chunks. After each one the state can be kept, so that a run that was
    killed goes on where it was and ends with the same numbers.

    Parameters
    ----------
    model, guide : callable
        NumPyro programs; they must agree, see :func:`check_guide`.
    *data : arrays
        What both take, as arrays or containers of arrays.
    steps : int
        Steps at most.
    seed : int
        Seed.
    rate : float or callable
        Learning rate of Adam, or a schedule such as :func:`cosine`.
    start : dict of array, optional
        Parameters of the guide to start from.
    loss : numpyro.infer.ELBO, optional
        The objective; by default the ELBO from one particle, divergences in closed form where
        they are known.
    stable : bool
        Skip steps whose loss or gradient is not finite, instead of an error.
    chunk : int
        Steps between two looks at the loss.
    plateau : float, optional
        Stop when the mean loss of a chunk has not fallen by this much, in nats, for
        ``patience`` chunks. By default all steps run.
    patience : int
        See ``plateau``.
    checkpoint : str or pathlib.Path, optional
        File that holds the state after each chunk. A run that finds it goes on from it. Of
        several processes the first writes it, and all must see it.
    progress : callable, optional
        Called after each chunk with the step and its mean loss.

    Returns
    -------
    Fit
        Parameters and losses.

    Raises
    ------
    ValueError
        If model and guide disagree, ``steps`` or ``chunk`` is no positive number, or the
        checkpoint is of another fit.
    FloatingPointError
        If the loss is not finite and the run not ``stable``.
    """
    if min(steps, chunk) < 1:
        raise ValueError(f"steps={steps}, chunk={chunk}: at least 1 each")
    check_guide(model, guide, *data)
    svi = SVI(model, guide, numpyro.optim.Adam(rate), loss or TraceMeanField_ELBO())
    update = svi.stable_update if stable else svi.update
    # an argument, not a constant of the program: it may be laid over devices as the data are
    init = jax.jit(lambda key, start, *data: svi.init(key, *data, init_params=start))
    state = init(jax.random.PRNGKey(seed), start, *data)

    @partial(jax.jit, static_argnums=1)
    def advance(state, length, *data):
        def step(old, _):
            new, loss = update(old, *data)
            # a schedule in double precision must not widen what it moves
            return jax.tree.map(lambda n, o: n.astype(o.dtype), new, old), loss

        return jax.lax.scan(step, state, length=length)

    losses: list[np.ndarray] = []
    done, path = 0, None if checkpoint is None else Path(checkpoint)
    identity = {"seed": seed, "chunk": chunk, "shapes": _shapes(state)}
    if path is not None and path.is_file():
        state, losses, done = _resume(path, state, identity)
    while done < steps and not _flat([part.mean() for part in losses], plateau, patience):
        length = min(chunk, steps - done)
        state, part = advance(state, length, *data)
        losses.append(np.asarray(part))
        done += length
        if not stable and not np.isfinite(losses[-1]).all():
            raise FloatingPointError(f"loss not finite before step {done}; lower the rate")
        if path is not None:
            _keep(path, state, losses, done, identity)
        if progress is not None:
            progress(done, float(losses[-1].mean()))
    params = {name: _fetch(value) for name, value in svi.get_params(state).items()}
    return Fit(params, np.concatenate(losses))


def _fetch(value) -> np.ndarray:
    """The whole array, also where other processes hold parts of it."""
    if getattr(value, "is_fully_addressable", True) or value.is_fully_replicated:
        return np.asarray(value)
    from jax.experimental.multihost_utils import process_allgather

    return np.asarray(process_allgather(value, tiled=True))


def _shapes(state) -> list:
    return [tuple(jnp.shape(leaf)) for leaf in jax.tree.leaves(state)]


def _flat(means, plateau, patience) -> bool:
    if plateau is None or len(means) <= patience:
        return False
    return min(means[-patience:]) > min(means[:-patience]) - plateau


def _keep(path, state, losses, done, identity):
    """Write so that the file is the old state or the whole new one."""
    leaves = [_fetch(leaf) for leaf in jax.tree.leaves(state)]
    if jax.process_index():  # all take part in the fetching, one writes
        return
    part = path.with_name(path.name + ".part")
    part.write_bytes(pickle.dumps(identity | {"leaves": leaves, "losses": losses, "done": done}))
    part.replace(path)


def _resume(path, state, identity):
    kept = pickle.loads(path.read_bytes())
    if any(kept[name] != value for name, value in identity.items()):
        raise ValueError(f"{path}: checkpoint of another fit; name another file or delete it")
    tree = jax.tree.structure(state)
    leaves = [
        jax.device_put(leaf, getattr(like, "sharding", None))
        for leaf, like in zip(kept["leaves"], jax.tree.leaves(state), strict=True)
    ]
    return jax.tree.unflatten(tree, leaves), kept["losses"], kept["done"]


def mean_field_start(cells: Cells, *, steps: int = 10) -> Params:
    """Parameters of :func:`mean_field` near its optimum, by variational EM.

    Parameters
    ----------
    cells : Cells
        What the stores sold.
    steps : int
        Rounds of :func:`helpers.stores.posterior.fit_mean_field`.

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
    parts = {
        "mean_loc": mean,
        "mean_scale": mean_scale,
        "sd_loc": log_sd,
        "sd_scale": sd_scale,
    }
    start = {f"coef_{name}": value[:-1] for name, value in parts.items()}
    start |= {f"dispersion_{name}": value[-1] for name, value in parts.items()}
    for name, value in {"z_loc": z, "z_scale": z_scale}.items():
        start |= {f"coef_{name}": value[:, :-1], f"dispersion_{name}": 0.1 * value[:, -1:]}
    return {name: jnp.asarray(value, jnp.float32) for name, value in start.items()}


def guide_draws(
    guide: Callable, params: Params, *data: Any, n_draws: int, seed: int
) -> dict[str, np.ndarray]:
    """Draw coefficients and dispersions from a fitted guide.

    Parameters
    ----------
    guide : callable
        Such as :func:`mean_field`.
    params : dict of array
        Its parameters.
    *data : arrays
        What it takes.
    n_draws : int
        Draws.
    seed : int
        Seed.

    Returns
    -------
    dict of array
        ``coef`` (D, S, F) and ``dispersion`` (D, S), and the sites of the population.
    """
    program = handlers.substitute(guide, data=params)

    def one(key):
        trace = handlers.trace(handlers.seed(program, key)).get_trace(*data)
        values = {name: trace[name]["value"] for name in (*POPULATION, *STORE)}
        coef, dispersion = transform(values)
        shared = {name: values[name] for name in POPULATION}
        return shared | {"coef": coef, "dispersion": dispersion}

    keys = jax.random.split(jax.random.PRNGKey(seed), n_draws)
    draws = jax.jit(lambda keys: jax.lax.map(one, keys))(keys)
    return {name: np.asarray(value) for name, value in draws.items()}


def evaluate_elbo(
    model: Callable, guide: Callable, params: Params, *data: Any, n_draws: int, seed: int
) -> np.ndarray:
    """Log joint density less log density of the guide, draw by draw; the ELBO is their mean.

    Parameters
    ----------
    model, guide : callable
        NumPyro programs.
    params : dict of array
        Parameters of the guide.
    *data : arrays
        What both take.
    n_draws : int
        Draws, one after the other, so that memory does not grow with them.
    seed : int
        Seed.

    Returns
    -------
    array, shape (D,)
        In nats, for all data.
    """
    program = handlers.substitute(guide, data=params)

    def one(key, *data):
        seeded = handlers.seed(program, key)
        trace = handlers.trace(seeded).get_trace(*data)
        values = {k: site["value"] for k, site in trace.items() if site["type"] == "sample"}
        log_guide = sum(
            site["fn"].log_prob(site["value"]).sum()
            for site in trace.values()
            if site["type"] == "sample"
        )
        return log_density(model, data, {}, values)[0] - log_guide

    keys = jax.random.split(jax.random.PRNGKey(seed), n_draws)
    run = jax.jit(lambda keys, *data: jax.lax.map(lambda key: one(key, *data), keys))
    return np.asarray(run(keys, *data), dtype=float)


def whitened_log_density(fit: Structured) -> Callable[[jax.Array, jax.Array], tuple]:
    r"""Posterior in coordinates in which the structured posterior is close to standard normal.

    Clear scales enter as logarithms, with its covariance. A vague scale may vanish, so that its
    logarithm has a long tail; it enters as :math:`|x|`, with a normal prior of :math:`x`, which is
    what half-normal means, and a hyperbolic sine that reaches from its peak to its prior. Means
    given the scales, and stores given both, are normal without a further approximation, so that
    what is funnel-shaped becomes round.

    Parameters
    ----------
    fit : Structured
        What :func:`helpers.stores.posterior.fit_structured` returns.

    Returns
    -------
    callable
        From population coordinates (2F + 2,) and store coordinates (S, F + 1) to the log
        density, less that of the standard normal's constant, and the parameters they stand for.
    """
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
    names = ("n", "total", "h", "centre", "calendar", "attributes")
    cells = {name: jnp.asarray(getattr(fit.cells, name)) for name in names}
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
        value = log_likelihood(cells, beta[:, :-1], beta[:, -1], fit.cells.family).sum()
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

    The sampler works in :func:`whitened_log_density`'s coordinates and in double precision:
    where the structured posterior is right, it sees a standard normal.

    Parameters
    ----------
    fit : Structured
        What :func:`helpers.stores.posterior.fit_structured` returns.
    draws, tune, chains : int
        Kept draws a chain, tuning draws a chain, number of chains, one after the other.
    seed : int
        Seed.
    target_accept : float
        Target acceptance rate.

    Returns
    -------
    xarray.DataTree
        ``posterior`` with ``mean`` and ``log_sd`` of the population, ``coef`` and
        ``dispersion`` of the stores; ``sample_stats`` with ``diverging`` and ``n_steps``.
    """
    import arviz as az  # large, and only needed here

    size, n_stores = fit.mean.size, len(fit.beta)
    with jax.enable_x64(True):
        density = whitened_log_density(fit)
        kernel = NUTS(
            potential_fn=lambda q: -density(q["w"], q["e"])[0],
            target_accept_prob=target_accept,
            max_tree_depth=5,  # once around a standard normal
        )
        mcmc = MCMC(
            kernel,
            num_warmup=tune,
            num_samples=draws,
            num_chains=chains,
            chain_method="sequential",
            progress_bar=False,
        )
        rng = np.random.default_rng(seed)
        start = {
            "w": rng.standard_normal((chains, 2 * size)),
            "e": rng.standard_normal((chains, n_stores, size)),
        }
        if chains == 1:
            start = {name: value[0] for name, value in start.items()}
        mcmc.run(
            jax.random.PRNGKey(seed),
            init_params=jax.tree.map(jnp.asarray, start),
            extra_fields=("diverging", "num_steps"),
        )
        coordinates = mcmc.get_samples(group_by_chain=True)
        back = jax.jit(lambda q: jax.lax.map(lambda one: density(one["w"], one["e"])[1], q))
        parts = [back({k: v[c] for k, v in coordinates.items()}) for c in range(chains)]
        values = {name: np.stack([part[name] for part in parts]) for name in parts[0]}
        stats = {k: np.asarray(v) for k, v in mcmc.get_extra_fields(group_by_chain=True).items()}
    posterior = {
        "mean": values["mean"],
        "log_sd": values["log_sd"],
        "coef": values["beta"][..., :-1],
        "dispersion": values["beta"][..., -1],
    }
    statistics = {"diverging": stats["diverging"], "n_steps": stats["num_steps"]}
    return az.from_dict({"posterior": posterior, "sample_stats": statistics})
