"""The recommended model of two cities: shared shocks, drift of their own, and ads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
from scipy.sparse.linalg import LinearOperator, eigsh

from helpers.cities.load import TwoSeries
from helpers.data.columns import DataError

DAY_TYPES = ("ordinary", "shared", "first city only", "second city only")

#: Standard deviation of a unit random walk's mode with a period of 30 days.
MONTHLY = 1 / (2 * np.sin(np.pi / 30))

#: Modes with a larger sd are sampled centred: there the data outweigh the prior.
_CENTRED_ABOVE = 3.5


def drift_basis(n_days: int, n_modes: int) -> tuple[np.ndarray, np.ndarray]:
    """Smoothest modes of a random walk without level and straight line.

    Parameters
    ----------
    n_days, n_modes : int
        Length of the walk, and number of modes, at most ``n_days - 3``.

    Returns
    -------
    tuple of array
        Orthonormal modes (n_days, n_modes), and their sds, decreasing, for innovations of 1.
    """
    if not 1 <= n_modes <= n_days - 3:
        raise ValueError(f"n_modes={n_modes} must lie between 1 and n_days - 3 = {n_days - 3}")
    line, _ = np.linalg.qr(np.column_stack([np.ones(n_days), np.arange(n_days)]))

    def project(x):
        return x - line @ (line.T @ x)

    def covariance(x):
        # sums replace the matrix, which would take days squared
        later = np.cumsum(project(np.ravel(x))[::-1])[::-1]
        return project(np.cumsum(np.append(0.0, later[1:])))

    start = np.random.default_rng(0).normal(size=n_days)
    operator = LinearOperator((n_days, n_days), matvec=covariance, dtype=float)
    variance, vectors = eigsh(operator, k=n_modes, v0=start)
    vectors = vectors[:, ::-1]
    return vectors * np.sign(vectors[0]), np.sqrt(variance[::-1])


@dataclass(frozen=True, eq=False)
class ShockData:
    """Two series as the model takes them: the n open days only, each city in its own sd."""

    dates: pd.DatetimeIndex
    cities: tuple[str, str]
    campaigns: tuple[str, ...]
    weekdays: tuple[str, ...]
    events: tuple[str, ...]
    scale: Literal["level", "log"]
    centre: np.ndarray
    spread: np.ndarray
    arrays: dict[str, np.ndarray]
    ad_unit: np.ndarray


def prepare(
    series: TwoSeries,
    *,
    scale: Literal["level", "log"] = "level",
    planted: np.ndarray | None = None,
    use_events: bool = True,
    n_modes: int | None = None,
) -> ShockData:
    """Standardise the days with sales in both cities and lay out the design of the model.

    Parameters
    ----------
    series, scale : TwoSeries and {"level", "log"}
        Effects in units of sales, or as shares of sales, which must then not be zero.
    planted, use_events, n_modes : array (n_days, 2), bool and int
        A second set of campaigns, with its own lift; whether named days have effects; modes of each
        drift, by default a quarter of the days, at most 150.

    Returns
    -------
    ShockData
        ``ad_unit`` is the mean of a campaign's positive values: a lift is the effect of that much.
    """
    if scale not in ("level", "log"):
        raise ValueError(f"scale={scale!r} is unknown; use 'level' or 'log'")
    n_days = len(series.dates)
    observed = np.isfinite(series.sales).all(axis=1)
    sales, dates = series.sales[observed], series.dates[observed]
    if scale == "log":
        if (sales == 0).any():
            day, city = np.argwhere(sales == 0)[0]
            raise DataError(
                f"sales: {(sales == 0).sum()} zero values (first on {dates[day]:%Y-%m-%d} in "
                f"{series.cities[city]}) have no logarithm; leave closed days blank, "
                "or set SCALE to 'level'"
            )
        sales = np.log(sales)
    centre, spread = sales.mean(axis=0), sales.std(axis=0)

    sets = {"ads": series.ads, "planted": planted}
    sets = {name: ads[observed] for name, ads in sets.items() if ads is not None and ads.any()}
    ad_unit = np.array([ads[ads > 0].mean() for ads in sets.values()])
    ads = np.stack([*sets.values()], axis=2) if sets else np.zeros((*sales.shape, 0))

    weekday = pd.get_dummies(pd.Categorical(dates.day_name(), ordered=False))
    event = pd.get_dummies(pd.Series(series.event[observed])) if use_events else pd.DataFrame()
    vectors, sd = drift_basis(n_days, n_modes or min(150, n_days // 4))
    years = np.arange(n_days) / 365.25
    weekdays = weekday.to_numpy(float)
    events = event.to_numpy(float).reshape(len(sales), -1)
    return ShockData(
        dates=dates,
        cities=series.cities,
        campaigns=tuple(sets),
        weekdays=tuple(weekday.columns),
        events=tuple(map(str, event.columns)),
        scale=scale,
        centre=centre,
        spread=spread,
        arrays={
            "sales": (sales - centre) / spread,
            "ads": ads / ad_unit,
            **{"weekday": weekdays, "event": events},
            "design": np.column_stack([weekdays, vectors[observed], events]),
            "years": (years - years.mean())[observed],
            "modes": vectors[observed],
            "mode_sd": sd,
            "spread": spread,
        },
        ad_unit=ad_unit,
    )


def day_log_density(residual, shared, own_a, own_b, loading, *, xp):
    """Log density of a day's residual pair, which a shared and two own variances produce.

    Parameters
    ----------
    residual, shared, own_a, own_b, loading, xp : arrays and module
        Pair (..., 2), variances, loading of the second city, and ``numpy`` or ``pytensor.tensor``.

    Returns
    -------
    array, shape (...)
        Log densities.
    """
    a, b = residual[..., 0], residual[..., 1]
    var_a, var_b, cov = shared + own_a, loading**2 * shared + own_b, loading * shared
    determinant = var_a * var_b - cov**2
    square = (var_b * a**2 - 2 * cov * a * b + var_a * b**2) / determinant
    return -0.5 * (square + xp.log(determinant)) - np.log(2 * np.pi)


def day_types(day_sd, noise_sd, shared_sd, own_sd):
    """Variances of the four types of day.

    Parameters
    ----------
    day_sd, noise_sd, shared_sd, own_sd : array
        Standard deviations; ``noise_sd`` and ``own_sd`` have cities last.

    Returns
    -------
    list of tuple
        Variances (shared, own of A, own of B) in the order of ``DAY_TYPES``.
    """
    quiet, (a, b) = day_sd**2, (noise_sd[..., 0] ** 2, noise_sd[..., 1] ** 2)
    return [
        (quiet, a, b),
        (quiet + shared_sd**2, a, b),
        (quiet, a + own_sd[..., 0] ** 2, b),
        (quiet, a, b + own_sd[..., 1] ** 2),
    ]


def shared_shock_model(data: ShockData) -> pm.Model:
    r"""Shared walk, own drift, four types of day (summed out), and ads, in one model.

    .. math::
        y_{ct} = \alpha_c + \beta_c t + w_{c,d(t)} + \lambda_c (g_t + h_t + e_{m(t)})
                 + o_{ct} + u_{ct} + \delta_{cj}\, \text{ads}_{ctj} + \varepsilon_{ct}

    Parameters
    ----------
    data : ShockData
        What :func:`prepare` returns.

    Returns
    -------
    pymc.Model
        Walk :math:`g` and own drifts :math:`o` are sums of the modes of :func:`drift_basis`.
    """
    coords = {
        "city": list(data.cities),
        "weekday": list(data.weekdays),
        "campaign": list(data.campaigns),
        "event": list(data.events),
        "day": data.dates.to_numpy(),
        "mode": np.arange(data.arrays["mode_sd"].size),
        "type": list(DAY_TYPES),
    }
    with pm.Model(coords=coords) as model:
        used = ("sales", "ads", "design", "years", "mode_sd", "spread")
        used = [name for name in used if data.arrays[name].size]
        d = {name: pm.Data(f"data_{name}", data.arrays[name]) for name in used}
        sd = d["mode_sd"]
        centred = sd**2 / (sd**2 + _CENTRED_ABOVE**2)

        # What each city has for itself.
        intercept = pm.Normal("intercept", 0, 1, dims="city")
        trend = pm.Normal("trend", 0, 1, dims="city")
        week = pm.ZeroSumNormal("week", sigma=1, n_zerosum_axes=1, dims=("city", "weekday"))
        mean = intercept + trend * d["years"][:, None]
        if data.campaigns:
            lift = pm.Normal("lift", 0, 1, dims=("city", "campaign"))
            mean = mean + (d["ads"] * lift).sum(axis=2)

        # The walk that both share: partly centred, mode by mode, so that NUTS moves freely.
        walk_sd = pm.LogNormal("walk_sd", np.log(0.1), 1)
        z = pm.Normal("z", 0, (walk_sd / 0.1) ** centred, dims="mode")
        walk = sd * 0.1**centred * walk_sd ** (1 - centred) * z
        walk = pm.Deterministic("walk", walk, dims="mode")
        loading = pm.LogNormal("loading", 0, 0.5)
        pm.Deterministic("loading_b", loading * d["spread"][1] / d["spread"][0])
        loadings = pt.stack([1.0, loading])

        # Own drift: exponent 0 is white, 1 a random walk. The data see only the difference
        # between the cities' drifts, hence one scale for both.
        own_sd = pm.LogNormal("own_sd", np.log(0.1), 1)
        exponent = pm.Beta("own_exponent", 2, 2)
        z_own = pm.Normal("z_own", 0, 1, dims=("mode", "city"))
        own = own_sd * (sd / MONTHLY)[:, None] ** exponent * z_own

        # One product of matrices: that is what a gradient costs, and compiling another kind of
        # product would take half a minute.
        weights = [week.T, walk[:, None] * loadings + own]
        if data.events:
            event_effect = pm.Normal("event_effect", 0, 2, dims="event")
            weights.append(event_effect[:, None] * loadings)
        mean = mean + d["design"] @ pt.concatenate(weights)

        # The day itself.
        noise = pm.HalfNormal("noise", 0.5)
        contrast = pm.ZeroSumNormal("noise_contrast", sigma=0.25, dims="city")
        noise_sd = pm.Deterministic("noise_sd", noise * pt.exp(contrast), dims="city")
        day_sd = pm.HalfNormal("day_sd", 0.5)
        spike_sd = pm.HalfNormal("spike_sd", 2)
        own_spike_sd = pm.HalfNormal("own_spike_sd", 2, dims="city")
        rate = pm.Dirichlet("rate", [40.0, 1.0, 1.0, 1.0], dims="type")
        residual = pm.Deterministic("residual", d["sales"] - mean, dims=("day", "city"))
        # All types in one expression, so that the graph holds the density once.
        types = day_types(day_sd, noise_sd, spike_sd, own_spike_sd)
        variances = (pt.stack(column)[:, None] for column in zip(*types, strict=True))
        log_density = day_log_density(residual, *variances, loading, xp=pt)
        pm.Potential("days", pt.logsumexp(log_density + pt.log(rate)[:, None], axis=0).sum())
    return model
