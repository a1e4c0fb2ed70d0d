"""The recommended model of elasticities by region; only its hyperparameters are sampled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from helpers.prices.load import PricePanel

_EFFECTS = ("alpha", "beta")

_Pair = Sequence[Any]


@dataclass(frozen=True, eq=False)
class PriceData:
    """A panel as the model takes it: sums of centred logs by store, and standardised income."""

    regions: tuple[str, ...]
    stores: tuple[str, ...]
    reference: tuple[float, float]
    income_unit: tuple[float, float] | None
    arrays: dict[str, np.ndarray]

    @property
    def coords(self) -> dict[str, list[str]]:
        """Coordinates of the model's regions and stores."""
        return {"region": list(self.regions), "store": list(self.stores)}


def prepare_prices(
    panel: PricePanel,
    *,
    leave_out: str | None = None,
    reference: tuple[float, float] | None = None,
) -> PriceData:
    """Sum a panel up by store: all that the likelihood asks of it.

    Parameters
    ----------
    panel, leave_out : PricePanel and str, optional
        Data; a region whose rows are hidden, to be predicted by :func:`region_draws`.
    reference : tuple of float, optional
        Log price and log quantity that stand for zero; by default the means of the rows used.

    Returns
    -------
    PriceData
        Sums of centred log prices and log quantities, and standardised income.
    """
    if leave_out is not None and leave_out not in panel.regions:
        raise ValueError(f"leave_out={leave_out!r} is none of {', '.join(panel.regions)}")
    out = panel.regions.index(leave_out) if leave_out is not None else -1
    used = panel.region != out
    if reference is None:
        reference = float(panel.log_price[used].mean()), float(panel.log_quantity[used].mean())
    x, y = panel.log_price - reference[0], panel.log_quantity - reference[1]
    rows = {"n": np.ones(len(x)), "x": x, "y": y, "xx": x * x, "xy": x * y, "yy": y * y}
    arrays: dict[str, np.ndarray] = {
        name: np.bincount(panel.store, values * used, len(panel.stores))
        for name, values in rows.items()
    }
    arrays["store_region"] = np.asarray(panel.store_region, dtype="int64")
    income_unit = None
    if panel.income is not None:
        income_unit = float(panel.income.mean()), float(panel.income.std())
        if income_unit[1] == 0:
            raise ValueError("median_income: all regions have the same; leave the column out")
        arrays["income"] = (panel.income - income_unit[0]) / income_unit[1]
    return PriceData(panel.regions, panel.stores, reference, income_unit, arrays)


def _region_sums(d, store_sd, sigma, add_up):
    """Precision (11, 12, 22), vector and square of each region, its stores integrated out."""
    k = store_sd**2 / (sigma**2 + d["n"] * store_sd**2)
    by_store = (
        d["n"] - k * d["n"] ** 2,
        d["x"] - k * d["n"] * d["x"],
        d["xx"] - k * d["x"] ** 2,
        d["y"] - k * d["n"] * d["y"],
        d["xy"] - k * d["x"] * d["y"],
        d["yy"] - k * d["y"] ** 2,
    )
    return tuple(add_up(part) / sigma**2 for part in by_store)


def collapsed_log_density(
    d: Mapping, mean: _Pair, sd: _Pair, rho: Any, *, store_sd: Any, sigma: Any, n_regions: int
) -> pt.TensorVariable:
    """Log density of all rows, with the effects of regions and stores integrated out.

    Parameters
    ----------
    d, mean, sd, rho, store_sd, sigma, n_regions : mapping, pairs of tensor, tensors and int
        ``arrays`` of a :class:`PriceData`; intercepts and elasticities, scalars or (R,).

    Returns
    -------
    pytensor.tensor.TensorVariable
        A scalar, the sum over all rows.
    """
    region = d["store_region"]
    a, b, c, u, v, square = _region_sums(
        d, store_sd, sigma, lambda part: pt.inc_subtensor(pt.zeros(n_regions)[region], part)
    )
    (mean_alpha, mean_beta), (alpha_sd, beta_sd) = mean, sd
    square = square - 2 * (mean_alpha * u + mean_beta * v)
    square = square + a * mean_alpha**2 + 2 * b * mean_alpha * mean_beta + c * mean_beta**2
    u, v = u - a * mean_alpha - b * mean_beta, v - b * mean_alpha - c * mean_beta
    low, diagonal = rho * beta_sd, pt.sqrt(1 - rho**2) * beta_sd
    p = 1 + alpha_sd**2 * a + 2 * alpha_sd * low * b + low**2 * c
    q = diagonal * (alpha_sd * b + low * c)
    r = 1 + diagonal**2 * c
    g, h = alpha_sd * u + low * v, diagonal * v
    determinant = p * r - q**2
    explained = (r * g**2 - 2 * q * g * h + p * h**2) / determinant
    return (
        -0.5 * (square - explained + pt.log(determinant)).sum()
        - 0.5 * pt.log1p(d["n"] * store_sd**2 / sigma**2).sum()
        - d["n"].sum() * (pt.log(sigma) + 0.5 * np.log(2 * np.pi))
    )


def elasticity_model(data: PriceData, *, adjust: Callable[[dict], dict] | None = None) -> pm.Model:
    r"""Intercepts and elasticities that vary by region, jointly normal, with income.

    .. math::
        y_i = \alpha_r + a_s + \beta_r x_i + \varepsilon_i, \quad (\alpha_r, \beta_r)
        \sim N\big((\gamma_0 + \gamma_1 z_r, \delta_0 + \delta_1 z_r), \Sigma\big)

    for row i in store s of region r, with centred logs of quantity y and price x, and income z.

    Parameters
    ----------
    data : PriceData
        What :func:`prepare_prices` returns.
    adjust : callable, optional
        Called with the model's data; replaces sums that depend on further parameters.

    Returns
    -------
    pymc.Model
        Effects are integrated out exactly; :func:`region_draws` brings the regions back.
    """
    with pm.Model(coords=data.coords) as model:
        d = {
            name: pm.Data(f"data_{name}", value, dims="region" if name == "income" else "store")
            for name, value in data.arrays.items()
        }
        if adjust is not None:
            d = adjust(d)

        # The population of regions. An elasticity has no unit, a log quantity only a level.
        mean_alpha = pm.Normal("alpha_intercept", 0, 2)
        mean_beta = pm.Normal("beta_intercept", -2, 2)
        if "income" in d:
            mean_alpha = mean_alpha + pm.Normal("alpha_slope", 0, 1) * d["income"]
            mean_beta = mean_beta + pm.Normal("beta_slope", 0, 1) * d["income"]
        alpha_sd = pm.HalfNormal("alpha_sd", 1)
        beta_sd = pm.HalfNormal("beta_sd", 1)
        rho = pm.Deterministic("effect_correlation", 2 * pm.Beta("correlation_share", 2, 2) - 1)
        store_sd = pm.HalfNormal("store_sd", 0.5)
        sigma = pm.HalfNormal("residual_sd", 1)

        mean, sd, n = (mean_alpha, mean_beta), (alpha_sd, beta_sd), len(data.regions)
        rows = collapsed_log_density(d, mean, sd, rho, store_sd=store_sd, sigma=sigma, n_regions=n)
        pm.Potential("rows", rows)
    return model
