"""The hierarchical model of many stores in NumPyro: plain, collapsed, and how it is fitted."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from helpers.stores.cells import HALF_WIDTH

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # tqdm warns where notebooks lack widgets
    import numpyro
    import numpyro.distributions as dist
    from numpyro import handlers

if TYPE_CHECKING:
    pass

#: Sites of the population (all stores share them) and of the stores.
POPULATION = ("dispersion_mean", "dispersion_sd", "coef_mean", "coef_sd")

STORE = ("dispersion_z", "coef_z")

#: Standard deviation of a log scale from which on it counts as vague.
_VAGUE = 0.2

Params = dict[str, Any]


def population(n_features: int) -> dict[str, jax.Array]:
    r"""Sample what all stores share, with the priors of the source.

    .. math:: m_j \sim \text{Normal}(0, 1), \quad s_j \sim \text{HalfNormal}(2), \quad
        m_d \sim \text{Normal}(4, 1), \quad s_d \sim \text{HalfNormal}(1).

    Parameters
    ----------
    n_features : int
        Number of coefficients of a store.

    Returns
    -------
    dict of array
        By site, ``POPULATION``.

    References
    ----------
    :cite:`wilhelm_bhm`
    """
    with numpyro.plate("features", n_features, dim=-1):
        coef_mean = numpyro.sample("coef_mean", dist.Normal(0.0, 1.0))
        coef_sd = numpyro.sample("coef_sd", dist.HalfNormal(2.0))
    return {
        "dispersion_mean": numpyro.sample("dispersion_mean", dist.Normal(4.0, 1.0)),
        "dispersion_sd": numpyro.sample("dispersion_sd", dist.HalfNormal(1.0)),
        "coef_mean": coef_mean,
        "coef_sd": coef_sd,
    }


def store_parameters(n_stores: int, n_features: int) -> tuple[jax.Array, jax.Array]:
    r"""Sample coefficients and log dispersions of stores, not centred.

    .. math:: \theta_{ij} = m_j + s_j z_{ij}, \qquad d_i = m_d + s_d z_i,

    with :math:`z_{ij} \sim \text{Normal}(0, 1)` and :math:`z_i \sim \text{Normal}(0, 0.1)`.

    Parameters
    ----------
    n_stores, n_features : int
        How many.

    Returns
    -------
    coef : array, shape (S, F)
        Coefficients.
    dispersion : array, shape (S,)
        Log dispersions.
    """
    shared = population(n_features)
    with numpyro.plate("stores", n_stores, dim=-2):
        dispersion_z = numpyro.sample("dispersion_z", dist.Normal(jnp.zeros((n_stores, 1)), 0.1))
        with numpyro.plate("features", n_features, dim=-1):
            coef_z = numpyro.sample("coef_z", dist.Normal(0.0, 1.0))
    return transform(shared | {"dispersion_z": dispersion_z, "coef_z": coef_z})


def transform(values: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Coefficients and log dispersions from values of the sites.

    Parameters
    ----------
    values : mapping of str to array
        ``POPULATION`` and ``STORE``, draws in front.

    Returns
    -------
    coef : array, shape (..., S, F)
        Coefficients.
    dispersion : array, shape (..., S)
        Log dispersions.

    Examples
    --------
    >>> import numpy as np
    >>> zero, one = np.zeros((2, 1)), np.ones((2, 3))
    >>> coef, dispersion = transform({"coef_mean": one[0], "coef_sd": one[0], "coef_z": one,
    ...     "dispersion_mean": 4.0, "dispersion_sd": 1.0, "dispersion_z": zero})
    >>> coef.tolist(), dispersion.tolist()
    ([[2.0, 2.0, 2.0], [2.0, 2.0, 2.0]], [4.0, 4.0])
    """
    mean, sd = (values[f"coef_{part}"][..., None, :] for part in ("mean", "sd"))
    d_mean, d_sd = (jnp.asarray(values[f"dispersion_{part}"])[..., None] for part in ("mean", "sd"))
    coef = mean + sd * values["coef_z"]
    return coef, d_mean + d_sd * values["dispersion_z"][..., 0]


def likelihood(mean: jax.Array, dispersion: jax.Array, family: str) -> dist.Distribution:
    r"""Distribution of a day's sales.

    As the source's code has it, NB1: :math:`\text{Var}(y) = \mu (1 + e^d)`; as its text has it,
    NB2: :math:`\text{Var}(y) = \mu + \mu^2 e^{-d}`.

    Parameters
    ----------
    mean : array
        Mean :math:`\mu`.
    dispersion : array
        Log dispersion :math:`d`, of a shape that goes with the mean's.
    family : {"nb1", "nb2"}
        Which of the two.

    Returns
    -------
    numpyro.distributions.Distribution
        Gamma-Poisson.

    Examples
    --------
    >>> round(float(likelihood(jnp.array(100.0), jnp.array(0.0), "nb1").variance))
    200
    """
    if family == "nb1":
        rate = jnp.exp(-dispersion)
        return dist.GammaPoisson(mean * rate, rate)
    return dist.NegativeBinomial2(mean, jnp.exp(dispersion))


def plain_model(features: jax.Array, sales: jax.Array, *, family: str = "nb1") -> None:
    """The model with each day of each store in the likelihood.

    Parameters
    ----------
    features : array, shape (S, T, F)
        ``StorePanel.cube()``.
    sales : array, shape (S, T)
        Sales, NaN where not observed.
    family : {"nb1", "nb2"}
        As :func:`likelihood`.
    """
    n_stores, n_days, n_features = features.shape
    coef, dispersion = store_parameters(n_stores, n_features)
    observed = jnp.isfinite(sales)
    predictor = jnp.einsum("stf,sf->st", features, coef)
    mean = jnp.exp(jnp.where(observed, predictor, 0.0))
    with (
        numpyro.plate("all_stores", n_stores, dim=-2),
        numpyro.plate("days", n_days, dim=-1),
        handlers.mask(mask=observed),
    ):
        numpyro.sample(
            "sales",
            likelihood(mean, dispersion[:, None], family),
            obs=jnp.where(observed, sales, 0.0),
        )


def predictor_of(cells: Mapping[str, jax.Array], coef: jax.Array) -> jax.Array:
    """Log mean of each store and pattern.

    Parameters
    ----------
    cells : mapping of str to array
        ``Cells.arrays()``.
    coef : array, shape (..., S, F)
        Coefficients.

    Returns
    -------
    array, shape (..., S, P)
        The linear predictor.
    """
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


def log_likelihood(
    cells: Mapping[str, jax.Array], coef: jax.Array, dispersion: jax.Array, family: str
) -> jax.Array:
    r"""Log likelihood of each store from its cells.

    NB1, with :math:`u = \log\mu - d`:
    :math:`\sum_c h_c(u) - n_c e^u \log(1 + e^d) - Y_c \log(1 + e^{-d})`. NB2, with
    :math:`r = e^d`: :math:`h(d) + \sum_c Y_c \log \mu_c + n_c r d - (n_c r + Y_c) \log(r + \mu_c)`.

    Parameters
    ----------
    cells : mapping of str to array
        ``Cells.arrays()``.
    coef : array, shape (S, F)
        Coefficients.
    dispersion : array, shape (S,)
        Log dispersions.
    family : {"nb1", "nb2"}
        As the cells were counted.

    Returns
    -------
    array, shape (S,)
        Equal to the sum of the days' log probabilities.
    """
    eta, d = predictor_of(cells, coef), dispersion[:, None]
    n, total = cells["n"], cells["total"]
    if family == "nb1":
        u = eta - d
        h = _tabulated(cells["h"], (u - cells["centre"]) / HALF_WIDTH)
        rest = n * jnp.exp(u) * jax.nn.softplus(d) + total * jax.nn.softplus(-d)
        return (h - rest).sum(-1)
    h = _tabulated(cells["h"], (d - cells["centre"]) / HALF_WIDTH)
    # r d - r log(r + mu) = -r log(1 + mu / r), and Y (eta - log(r + mu)) likewise
    rest = n * jnp.exp(d) * jax.nn.softplus(eta - d) + total * jax.nn.softplus(d - eta)
    return h[:, 0] - rest.sum(-1)


def collapsed_model(cells: Mapping[str, jax.Array], *, family: str = "nb1") -> None:
    """The same model with the days summed over calendar patterns.

    Parameters
    ----------
    cells : mapping of str to array
        ``Cells.arrays()``.
    family : {"nb1", "nb2"}
        As the cells were counted.
    """
    n_stores, n_features = cells["n"].shape[0], _n_features(cells)
    coef, dispersion = store_parameters(n_stores, n_features)
    with numpyro.plate("all_stores", n_stores, dim=-1):
        numpyro.factor("sales", log_likelihood(cells, coef, dispersion, family))


def _n_features(cells) -> int:
    return cells["calendar"].shape[1] + cells["attributes"].shape[1]


def mean_field(*data: Any, **_: Any) -> None:
    """The source's guide: an independent normal or log-normal for each parameter.

    Parameters
    ----------
    *data : arrays
        What the model takes: the cells, or features and sales.
    **_ : object
        Options of the model, which do not matter here.
    """
    if isinstance(data[0], Mapping):
        n_stores, n_features = data[0]["n"].shape[0], _n_features(data[0])
    else:
        n_stores, _, n_features = data[0].shape

    def normal(name, loc, scale, log=False):
        loc = numpyro.param(f"{name}_loc", loc)
        scale = numpyro.param(f"{name}_scale", scale, constraint=dist.constraints.positive)
        return numpyro.sample(name, (dist.LogNormal if log else dist.Normal)(loc, scale))

    with numpyro.plate("features", n_features, dim=-1):
        normal("coef_mean", jnp.ones(n_features), jnp.full(n_features, 0.5))
        normal("coef_sd", jnp.zeros(n_features), jnp.full(n_features, 0.5), log=True)
    normal("dispersion_mean", jnp.array(4.0), jnp.array(1.0))
    normal("dispersion_sd", jnp.array(1.0), jnp.array(0.1), log=True)
    with numpyro.plate("stores", n_stores, dim=-2):
        normal("dispersion_z", jnp.zeros((n_stores, 1)), jnp.full((n_stores, 1), 0.1))
        with numpyro.plate("features", n_features, dim=-1):
            shape = n_stores, n_features
            normal("coef_z", jnp.zeros(shape), jnp.full(shape, 0.5))


def check_guide(model: Callable, guide: Callable, *data: Any) -> None:
    """Refuse a guide whose sites or shapes are not the model's.

    NumPyro only warns of a misspelt site, and broadcasts a wrong shape in silence.

    Parameters
    ----------
    model, guide : callable
        To compare.
    *data : arrays
        What both take.

    Raises
    ------
    ValueError
        If a site is missing, unknown or of another shape; the message names it.

    Examples
    --------
    >>> check_guide(lambda: numpyro.sample("a", dist.Normal(0, 1)), lambda: None)
    Traceback (most recent call last):
    ValueError: guide: site a is missing
    """
    shapes = []
    for program in (model, guide):
        seeded = handlers.seed(program, jax.random.PRNGKey(0))
        trace = {}

        def run(program=seeded, trace=trace):
            for name, site in handlers.trace(program).get_trace(*data).items():
                if site["type"] == "sample" and not site["is_observed"]:
                    trace[name] = jnp.shape(site["value"])

        jax.eval_shape(run)
        shapes.append(trace)
    wanted, given = shapes
    for name in (*wanted, *given):
        if name not in given:
            raise ValueError(f"guide: site {name} is missing")
        if name not in wanted:
            raise ValueError(f"guide: site {name} is not in the model")
        if wanted[name] != given[name]:
            raise ValueError(
                f"guide: site {name} has shape {given[name]}, in the model {wanted[name]}"
            )
