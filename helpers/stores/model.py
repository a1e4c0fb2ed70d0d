"""The hierarchical model of many stores in NumPyro: plain, collapsed, and its guide."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from helpers.stores.cells import HALF_WIDTH

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # tqdm warns where notebooks lack widgets
    import numpyro
    import numpyro.distributions as dist
    from numpyro import handlers

#: Sites of the population, which all stores share.
POPULATION = ("dispersion_mean", "dispersion_sd", "coef_mean", "coef_sd")

Params = dict[str, Any]

#: Log of a shape from which on two log gammas are so large that their difference is lost.
_FAR = 18.0


def _store_parameters(n_stores: int, n_features: int) -> tuple[jax.Array, jax.Array]:
    """Coefficients (S, F) and log dispersions (S,) of stores with the priors of the source."""
    dispersion_mean = numpyro.sample("dispersion_mean", dist.Normal(4.0, 1.0))
    dispersion_sd = numpyro.sample("dispersion_sd", dist.HalfNormal(1.0))
    with numpyro.plate("stores", n_stores, dim=-2):
        dispersion_z = numpyro.sample("dispersion_z", dist.Normal(0.0, 0.1))
    with numpyro.plate("features", n_features, dim=-1):
        coef_mean = numpyro.sample("coef_mean", dist.Normal(0.0, 1.0))
        coef_sd = numpyro.sample("coef_sd", dist.HalfNormal(2.0))
        with numpyro.plate("stores", n_stores, dim=-2):
            coef_z = numpyro.sample("coef_z", dist.Normal(0.0, 1.0))
    coef = coef_mean + coef_sd * coef_z
    dispersion = dispersion_mean + dispersion_sd * dispersion_z[:, 0]
    return numpyro.deterministic("coef", coef), numpyro.deterministic("dispersion", dispersion)


def transform(values: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Coefficients and log dispersions of stores from draws of the sites, such as a guide's.

    Parameters
    ----------
    values : mapping of str to array
        By site, draws in front.

    Returns
    -------
    tuple of array
        Coefficients (..., S, F) and log dispersions (..., S).
    """
    mean, sd = (values[f"coef_{part}"][..., None, :] for part in ("mean", "sd"))
    d_mean, d_sd = (jnp.asarray(values[f"dispersion_{part}"])[..., None] for part in ("mean", "sd"))
    coef = mean + sd * values["coef_z"]
    return coef, d_mean + d_sd * values["dispersion_z"][..., 0]


def _likelihood(mean, dispersion, family):
    if family == "nb1":  # as in the source's code: variance mean * (1 + exp(d))
        rate = jnp.exp(-dispersion)
        return dist.GammaPoisson(mean * rate, rate)
    # as in the source's text: variance mean + mean^2 exp(-d)
    return dist.NegativeBinomial2(mean, jnp.exp(dispersion))


def plain_model(features: jax.Array, sales: jax.Array, *, family: str = "nb1") -> None:
    """The model with each day of each store in the likelihood.

    Parameters
    ----------
    features, sales, family : array (S, T, F), array (S, T) and {"nb1", "nb2"}
        ``StorePanel.cube()``; sales, NaN where not observed; after :cite:`wilhelm_bhm`.
    """
    n_stores, n_days, n_features = features.shape
    coef, dispersion = _store_parameters(n_stores, n_features)
    observed = jnp.isfinite(sales)
    log_mean = jnp.einsum("stf,sf->st", features, coef)
    mean = jnp.exp(jnp.where(observed, log_mean, 0.0))
    with (
        numpyro.plate("stores", n_stores, dim=-2),
        numpyro.plate("days", n_days, dim=-1),
        handlers.mask(mask=observed),
    ):
        numpyro.sample(
            "sales",
            _likelihood(mean, dispersion[:, None], family),
            obs=jnp.where(observed, sales, 0.0),
        )


def _predictor(cells, coef):
    """Log mean of each store and pattern."""
    n_calendar = cells["calendar"].shape[1]
    constant = (coef[..., n_calendar:] * cells["attributes"]).sum(-1, keepdims=True)
    return coef[..., :n_calendar] @ cells["calendar"].T + constant


def _series(h, t):
    """Value and slope of Chebyshev series at t, by Clenshaw's recurrence; degree first."""
    b1 = b2 = s1 = s2 = jnp.zeros_like(t)
    for k in range(h.shape[0] - 1, 0, -1):
        s1, s2 = 2 * (t * s1 - s2 / 2 + b1), s1
        b1, b2 = 2 * t * b1 - b2 + h[k], b1
    return t * b1 - b2 + h[0], t * s1 - s2 + b1


@jax.custom_jvp
def _tabulated(h, t):
    inside = jnp.clip(t, -1.0, 1.0)
    value, slope = _series(h, inside)
    return value + slope * (t - inside)


@_tabulated.defjvp
def _tabulated_jvp(primals, tangents):
    h, t = primals
    inside = jnp.clip(t, -1.0, 1.0)
    value, slope = _series(h, inside)
    return value + slope * (t - inside), slope * tangents[1]


def _log_gamma(x):
    """Log gamma of x > 0 by Stirling's series, on a CPU many times faster than XLA's."""
    low = jnp.minimum(x, 8.0)
    z = jnp.where(x < 8, low + 8, x)
    over = math.prod(low + k for k in range(8))
    r = 1 / z**2
    tail = (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r / 1188)))) / z
    value = (z - 0.5) * jnp.log(z) - z + 0.5 * math.log(2 * math.pi) + tail
    return value - jnp.where(x < 8, jnp.log(over), 0.0)


def _by_day(cells, u):
    """Sums over the days of log gamma(a + y) - log gamma(a) - log gamma(y + 1), a = exp(u)."""
    observed = jnp.isfinite(cells["sales"])
    y = jnp.where(observed, cells["sales"], 0.0)
    less = _log_gamma(jnp.exp(jnp.minimum(u, _FAR)))
    if u.shape[1] > 1:
        u, less = (jnp.take_along_axis(part, cells["pattern"], axis=1) for part in (u, less))
    near = jnp.exp(jnp.minimum(u, _FAR))
    far = y * u + y * (y - 1) / 2 * jnp.exp(-jnp.maximum(u, _FAR))
    rising = jnp.where(u < _FAR, _log_gamma(near + y) - less, far)
    # all within the day, for single precision
    return jnp.where(observed, rising - _log_gamma(y + 1), 0.0).sum(-1)


def _sums(cells, u, rest, exact):
    """The same less ``rest``, from the table where it holds for every cell, else by day."""

    def by_day(u):
        return _by_day(cells, u) - rest.sum(-1)

    def table(u):
        h = _tabulated(cells["h"], (u - cells["centre"]) / HALF_WIDTH)
        # within a cell, for single precision
        return (h - rest).sum(-1) if h.shape == rest.shape else h[:, 0] - rest.sum(-1)

    if exact:
        return by_day(u)
    if "sales" not in cells:
        return table(u)
    n = cells["n"] if u.shape == rest.shape else cells["n"].sum(-1, keepdims=True)
    holds = (jnp.abs(u - cells["centre"]) <= HALF_WIDTH) | (n == 0)
    return jax.lax.cond(holds.all(), table, by_day, u)


def _log_likelihood(
    cells: Mapping[str, jax.Array],
    coef: jax.Array,
    dispersion: jax.Array,
    family: str,
    exact: bool = False,
) -> jax.Array:
    """Log likelihood of each store from its cells."""
    eta, d = _predictor(cells, coef), dispersion[:, None]
    n, total = cells["n"], cells["total"]
    if family == "nb1":
        u = eta - d
        rest = n * jnp.exp(u) * jax.nn.softplus(d) + total * jax.nn.softplus(-d)
    else:
        u = d
        # r d - r log(r + mu) = -r log(1 + mu / r), and Y (eta - log(r + mu)) likewise
        rest = n * jnp.exp(d) * jax.nn.softplus(eta - d) + total * jax.nn.softplus(d - eta)
    return _sums(cells, u, rest, exact)


def collapsed_model(
    cells: Mapping[str, jax.Array], *, family: str = "nb1", exact: bool = False
) -> None:
    """The same model with the days summed over calendar patterns.

    Parameters
    ----------
    cells, family, exact : mapping of str to array, {"nb1", "nb2"} and bool
        ``Cells.arrays()``, and the family they were counted for; whether each day's log gamma is
        computed anew, as it is anyway where a cell lies outside of its table and days are there.
    """
    n_stores, n_features = _shape(cells)
    coef, dispersion = _store_parameters(n_stores, n_features)
    with numpyro.plate("stores", n_stores, dim=-2):
        of_store = _log_likelihood(cells, coef, dispersion, family, exact)
        numpyro.factor("sales", of_store[:, None])


def _shape(cells) -> tuple[int, int]:
    """Stores and features."""
    n_features = cells["calendar"].shape[1] + cells["attributes"].shape[1]
    return cells["n"].shape[0], n_features


def mean_field(*data: Any, **_: Any) -> None:
    """The source's guide: an independent normal or log-normal for each parameter.

    Parameters
    ----------
    *data, **_ : arrays and object
        What the model takes; its options do not matter here.
    """
    first = data[0]
    n_stores, n_features = _shape(first) if isinstance(first, Mapping) else first.shape[::2]

    def normal(name, loc, scale, log=False):
        loc = numpyro.param(f"{name}_loc", loc)
        scale = numpyro.param(f"{name}_scale", scale, constraint=dist.constraints.positive)
        return numpyro.sample(name, (dist.LogNormal if log else dist.Normal)(loc, scale))

    # in the source's order, for the random numbers follow it
    normal("dispersion_mean", jnp.array(4.0), jnp.array(1.0))
    normal("dispersion_sd", jnp.array(1.0), jnp.array(0.1), log=True)
    with numpyro.plate("stores", n_stores, dim=-2):
        normal("dispersion_z", jnp.zeros((n_stores, 1)), jnp.full((n_stores, 1), 0.1))
    with numpyro.plate("features", n_features, dim=-1):
        normal("coef_mean", jnp.ones(n_features), jnp.full(n_features, 0.5))
        normal("coef_sd", jnp.zeros(n_features), jnp.full(n_features, 0.5), log=True)
        with numpyro.plate("stores", n_stores, dim=-2):
            shape = n_stores, n_features
            normal("coef_z", jnp.zeros(shape), jnp.full(shape, 0.5))
