"""Elasticities of regions, old and new, from a posterior."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from helpers.prices.model import _EFFECTS, PriceData, _Pair, _region_sums


def effect_draws(
    arrays: Mapping, mean: _Pair, sd: _Pair, rho: Any, *, store_sd: Any, sigma: Any, seed: int
) -> np.ndarray:
    """Draw exactly what :func:`collapsed_log_density` has integrated out: the effects of regions.

    Parameters
    ----------
    arrays, mean, sd, rho, store_sd, sigma, seed : mapping, pairs of array, arrays and int
        As there, with draws first: (draws, 1) or (draws, R); the seed of the draws.

    Returns
    -------
    array, shape (2, draws, R)
        Intercepts and elasticities, in the units of ``arrays``.
    """
    sigma = np.asarray(sigma)
    shape = sigma.shape[0], int(arrays["store_region"].max()) + 1
    member = (arrays["store_region"][:, None] == np.arange(shape[1])).astype(float)
    rows = shape[0], len(member)
    a, b, c, u, v, _ = _region_sums(
        arrays, store_sd, sigma, lambda part: np.broadcast_to(part, rows) @ member
    )
    precision = np.stack([np.stack([a, b], -1), np.stack([b, c], -1)], -2)
    centre = np.stack([np.broadcast_to(one, shape) for one in mean], -1)[..., None]
    factor = _cholesky(*(np.broadcast_to(one, shape) for one in (*sd, rho)))
    turned = factor.swapaxes(-1, -2)
    left = turned @ (np.stack([u, v], -1)[..., None] - precision @ centre)
    inner = np.linalg.inv(np.eye(2) + turned @ precision @ factor)
    z = np.random.default_rng(seed).normal(size=centre.shape)
    pairs = centre + factor @ (inner @ left + np.linalg.cholesky(inner) @ z)
    return np.moveaxis(pairs[..., 0], -1, 0)


def population_draws(
    posterior: xr.Dataset, data: PriceData, *, reference_price: float = 1.0
) -> xr.Dataset:
    """Hyperparameters in the panel's units: price and income as they are.

    Parameters
    ----------
    posterior, data : xarray.Dataset and PriceData
        Posterior of :func:`elasticity_model`, and the data that it was fitted to.
    reference_price : float
        Price at which ``alpha`` is the log quantity, in the panel's unit.

    Returns
    -------
    xarray.Dataset
        Draws, named as the model's parameters.
    """
    shift = data.reference[0] - np.log(reference_price)
    line = {name: posterior[f"{name}_intercept"] for name in ("alpha", "beta")}
    slopes = {}
    if data.income_unit:
        mean, sd = data.income_unit
        slopes = {name: posterior[f"{name}_slope"] / sd for name in line}
        line = {name: line[name] - slopes[name] * mean for name in line}
        slopes["alpha"] = slopes["alpha"] - shift * slopes["beta"]
    alpha_sd, beta_sd = posterior["alpha_sd"], posterior["beta_sd"]
    rho = posterior["effect_correlation"]
    covariance = rho * alpha_sd * beta_sd - shift * beta_sd**2
    new_sd = np.sqrt(
        (alpha_sd - rho * shift * beta_sd) ** 2 + (1 - rho**2) * (shift * beta_sd) ** 2
    )
    return xr.Dataset(
        {
            "alpha_intercept": data.reference[1] + line["alpha"] - shift * line["beta"],
            "beta_intercept": line["beta"],
            **{f"{name}_slope": slope for name, slope in slopes.items()},
            "alpha_sd": new_sd,
            "beta_sd": beta_sd,
            "effect_correlation": covariance / (new_sd * beta_sd),
            "store_sd": posterior["store_sd"],
            "residual_sd": posterior["residual_sd"],
        }
    )


def _cholesky(alpha_sd, beta_sd, rho):
    """Cholesky factor (..., 2, 2) of the regions' covariance."""
    factor = np.zeros((*np.shape(rho), 2, 2))
    factor[..., 0, 0] = alpha_sd
    factor[..., 1, 0] = rho * beta_sd
    factor[..., 1, 1] = np.sqrt(1 - rho**2) * beta_sd
    return factor


def region_draws(
    posterior: xr.Dataset, data: PriceData, *, seed: int, reference_price: float = 1.0
) -> xr.Dataset:
    """Intercept and elasticity of each region, one draw for each draw of the hyperparameters.

    Parameters
    ----------
    posterior, data, seed, reference_price : xarray.Dataset, PriceData, int and float
        As in :func:`population_draws`; a region left out of the data is predicted from its income.

    Returns
    -------
    xarray.Dataset, dimensions (chain, draw, region)
        Log quantity of an average store at price p: ``alpha + beta * log(p / reference_price)``.
    """

    def column(name):
        return posterior[name].to_numpy().reshape(-1, 1)

    income, mean = data.arrays.get("income"), [column(f"{name}_intercept") for name in _EFFECTS]
    if income is not None:
        slopes = (column(f"{name}_slope") * income for name in _EFFECTS)
        mean = [level + slope for level, slope in zip(mean, slopes, strict=True)]
    alpha, beta = effect_draws(
        data.arrays,
        mean,
        (column("alpha_sd"), column("beta_sd")),
        column("effect_correlation"),
        store_sd=column("store_sd"),
        sigma=column("residual_sd"),
        seed=seed,
    )
    shift = data.reference[0] - np.log(reference_price)
    draws = {"alpha": alpha + data.reference[1] - beta * shift, "beta": beta}
    return xr.Dataset(
        {
            name: (("chain", "draw", "region"), array.reshape(*posterior["beta_sd"].shape, -1))
            for name, array in draws.items()
        },
        coords={"region": list(data.regions)},
    )


def new_region_draws(
    posterior: xr.Dataset, data: PriceData, *, income=None, seed: int, reference_price: float = 1.0
) -> xr.Dataset:
    """Intercept and elasticity of a region never sold in: draws from the population.

    Parameters
    ----------
    posterior, data, income, seed, reference_price : Dataset, PriceData, float, int and float
        As in :func:`region_draws`; the region's median income, where the panel has incomes.

    Returns
    -------
    xarray.Dataset, dimensions (chain, draw)
        ``alpha`` and ``beta``.
    """
    if (income is None) != (data.income_unit is None):
        raise ValueError(
            "income: the panel has none, so the model cannot use it"
            if data.income_unit is None
            else "income: the model needs the new region's median income"
        )
    population = population_draws(posterior, data, reference_price=reference_price)
    names = ("alpha_sd", "beta_sd", "effect_correlation")
    factor = _cholesky(*(population[name].to_numpy() for name in names))
    z = np.random.default_rng(seed).normal(size=(*factor.shape[:-1], 1))
    draws = {}
    for k, name in enumerate(_EFFECTS):
        mean = population[f"{name}_intercept"]
        if income is not None:
            mean = mean + population[f"{name}_slope"] * income
        draws[name] = mean + (factor @ z)[..., k, 0]
    return xr.Dataset(draws)
