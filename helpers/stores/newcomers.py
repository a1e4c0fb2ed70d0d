"""Stores with little history: what a chain knows of its stores, and what a new one adds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from helpers.notebook.claims import NotConverged
from helpers.stores.cells import Cells, calendar_contrasts, count_cells
from helpers.stores.load import StorePanel
from helpers.stores.posterior import _expand, _start, _times, newton

#: Known weeks that get an effect of their own; older ones share the store's level.
_RECENT_WEEKS = 6
_PRIOR_STORES, _PRIOR_SD = 5.0, 0.1
_REACH = 2.0  # longest Newton step of a coefficient
_AT_REST = 0.1  # standard deviations by which the end of a search may still move


@dataclass(frozen=True, eq=False)
class Population:
    """What the stores of a chain have in common, in J contrasts and the log dispersion (last)."""

    features: tuple[str, ...]  # names of the contrasts, the level first
    regression: np.ndarray  # (R, J + 1): mean by attribute of a store, a constant first
    covariance: np.ndarray  # (J + 1, J + 1): how stores differ from that mean
    stores: np.ndarray  # (S, J + 1): estimates of the stores it was learnt from
    weeks: pd.Series  # effect of each past week on all stores, log scale, by week_of
    week_sd: float = 0.0  # of a store's own effect of a week; 0 if weeks have none


@dataclass(frozen=True, eq=False)
class NewStores:
    """Normal posterior of stores: of contrasts, effects of W known weeks, and log dispersion."""

    population: Population
    centre: np.ndarray  # (S, J + W + 1)
    covariance: np.ndarray  # (S, J + W + 1, J + W + 1)
    weeks: np.ndarray  # (W,): the known weeks that have an effect, by week_of


def week_of(dates: pd.DatetimeIndex) -> np.ndarray:
    """Number of each day's week, Monday to Sunday, since that of 1970-01-01.

    Parameters
    ----------
    dates : pandas.DatetimeIndex
        Days.

    Returns
    -------
    array of int
        In their order.
    """
    days = dates.to_numpy().astype("datetime64[D]").astype(int)
    return (days + 3) // 7


def store_contrasts(panel: StorePanel) -> np.ndarray:
    """Attributes of the stores without redundant dummies, a constant first.

    Parameters
    ----------
    panel : StorePanel
        Its ``attributes`` have dummies in full.

    Returns
    -------
    array, shape (S, R)
        The first level of each attribute is the reference.
    """
    seen, kept = set(), []
    for name in panel.attributes:
        stem = name.rpartition("_")[0]
        if name == "competition_distance" or stem in seen:
            kept.append(name)
        seen.add(stem)
    constant = np.ones((len(panel.stores), 1))
    return np.concatenate([constant, panel.attributes[kept].to_numpy(float)], axis=1)


def _cells(panel: StorePanel, contrasts: np.ndarray, dispersion: float | None = None) -> Cells:
    """Cells of a panel whose patterns are the rows of ``contrasts``; attributes stay outside."""
    names = [f"x{i}" for i in range(contrasts.shape[1])]
    calendar = pd.DataFrame(contrasts, columns=names)
    none = panel.attributes.iloc[:, :0]
    part = replace(panel, calendar=calendar, attributes=none)
    return count_cells(part, dispersion=dispersion)


def _normal(cells: Cells, beta, mean, precision) -> tuple[np.ndarray, np.ndarray]:
    """Normal posterior from an expansion of the likelihood at ``beta``."""
    _, gradient, curvature = _expand(cells, beta)
    curvature[:, -1, -1] = np.maximum(curvature[:, -1, -1], 0)
    covariance = np.linalg.inv(curvature + precision)
    return _times(covariance, _times(curvature, beta) + gradient + mean @ precision), covariance


def learn_population(panel: StorePanel, *, steps: int = 20) -> Population:
    """Estimate the population of a chain by expectation and maximisation.

    Parameters
    ----------
    panel, steps : StorePanel and int
        Stores with history; how often at least to expand their likelihoods (NB1) at their peaks.

    Returns
    -------
    Population
        Without effects of weeks, which :func:`learn_weeks` adds; ``NotConverged`` if the steps
        do not suffice.
    """
    contrasts = calendar_contrasts(panel)
    cells, attributes = _cells(panel, contrasts.to_numpy()), store_contrasts(panel)
    gram = attributes.T @ attributes + np.diag([0.0] + [_PRIOR_STORES] * (attributes.shape[1] - 1))
    n_stores = len(panel.stores)

    def fitted(beta):
        return np.linalg.solve(gram, attributes.T @ beta)

    beta = _start(cells)
    beta[:, -1] = np.clip(beta[:, -1], *np.quantile(beta[:, -1], [0.05, 0.95]))
    size = beta.shape[1]
    covariance = np.cov((beta - attributes @ fitted(beta)).T) + 0.01 * np.eye(size)
    regression = fitted(beta)
    for k in range(5 * steps):
        precision, mean = np.linalg.inv(covariance), attributes @ regression
        beta = newton(cells, beta, mean, precision, 2, reach=_REACH)
        centre, spread = _normal(cells, beta, mean, precision)
        before, regression = regression, fitted(centre)
        off = centre - attributes @ regression
        total = off.T @ off + spread.sum(0) + _PRIOR_STORES * _PRIOR_SD**2 * np.eye(size)
        covariance = total / (n_stores + _PRIOR_STORES)
        moved = _farthest(regression - before, np.diag(covariance))
        if k + 1 >= steps and moved < _AT_REST:
            break
    else:
        raise NotConverged(f"what the stores share still moved by {moved:.2g} of their spread")
    return Population(tuple(contrasts), regression, covariance, beta, pd.Series(dtype=float))


def _farthest(moved: np.ndarray, variance: np.ndarray) -> float:
    """How far the end of a search still moved, in standard deviations, of a hundredth or more."""
    return float(np.abs(moved / np.sqrt(variance + 1e-4)).max(initial=0.0))


def _log_means(panel: StorePanel, coef: np.ndarray) -> np.ndarray:
    """Log mean of each store and day for contrasts ``coef`` (S, J); mask days without a row."""
    eta = coef @ calendar_contrasts(panel).to_numpy().T
    return np.take_along_axis(eta, np.maximum(panel.pattern, 0), axis=1)


def learn_weeks(population: Population, panel: StorePanel) -> Population:
    """Take weeks apart from days, by moments of the residuals.

    Parameters
    ----------
    population, panel : Population and StorePanel
        As :func:`learn_population` returns it, and the panel that it was learnt from.

    Returns
    -------
    Population
        With effects of past weeks, their spread, and a dispersion of days only.
    """
    number = week_of(panel.dates)
    first, n_weeks = number[0], number[-1] - number[0] + 1
    index = (np.arange(len(panel.stores))[:, None] * n_weeks + number - first).ravel()

    def by_week(values):
        return np.bincount(index, values.ravel(), index.max() + 1).reshape(-1, n_weeks)

    observed, mean = np.isfinite(panel.sales), np.exp(_log_means(panel, population.stores[:, :-1]))
    sales, n = np.nan_to_num(panel.sales), by_week(observed)
    rest = np.where(observed, sales / mean - 1, 0.0)
    # a store has as much to say on a week as it has days, and half a store says nothing
    effect = np.log1p(np.clip(by_week(rest).sum(0) / (n.sum(0) + 5), -0.8, 4))
    mean = mean * np.exp(effect[number - first])
    rest = np.where(observed, sales / mean - 1, 0.0)
    # two days of a week share its effect and nothing else
    pairs = max((n * (n - 1)).sum(), 1)
    variance = max((by_week(rest) ** 2 - by_week(rest**2)).sum() / pairs, 1e-6)
    excess = np.where(observed, (rest**2 - variance) * mean, 0).sum(1) / observed.sum(1) - 1
    dispersion = np.log(np.maximum(excess, max(np.quantile(excess, 0.05), 0.05)))
    regression, covariance = population.regression.copy(), population.covariance.copy()
    regression[:, -1], covariance[-1], covariance[:, -1] = 0, 0, 0
    regression[0, -1], covariance[-1, -1] = dispersion.mean(), dispersion.var() + 1e-4
    return replace(
        population,
        regression=regression,
        covariance=covariance,
        stores=np.column_stack([population.stores[:, :-1], dispersion]),
        weeks=pd.Series(effect, index=np.arange(first, first + n_weeks)),
        week_sd=np.sqrt(variance),
    )


def meet_stores(population: Population, panel: StorePanel, days: np.ndarray) -> NewStores:
    """Posterior of stores from some of their days, the population kept.

    Parameters
    ----------
    population, panel, days : Population, StorePanel and array of bool (T,)
        Where they come from; the stores; days known, none for draws from the population.

    Returns
    -------
    NewStores
        One normal posterior a store; ``NotConverged`` if the search for its peak did not end.
    """
    contrasts = calendar_contrasts(panel)
    if tuple(contrasts) != population.features:
        raise ValueError("the stores must have the features of the population")
    mean = store_contrasts(panel) @ population.regression
    covariance, known = population.covariance, np.flatnonzero(days)
    if not known.size:
        return NewStores(population, mean, np.tile(covariance, (len(mean), 1, 1)), known)
    x = contrasts.to_numpy()
    sub = panel.observed(days).take(days=slice(known[0], known[-1] + 1))
    number, weeks = week_of(sub.dates), np.empty(0, int)
    if population.week_sd:
        weeks = np.unique(number)[-_RECENT_WEEKS:]
        slot = np.searchsorted(weeks, number, side="right")  # 0: an older week
        own = np.eye(weeks.size + 1)[:, 1:].repeat(len(x), axis=0)
        x = np.concatenate([np.tile(x, (weeks.size + 1, 1)), own], axis=1)
        pattern = np.where(sub.pattern < 0, -1, sub.pattern + len(contrasts) * slot)
        sub = replace(sub, pattern=pattern.astype(np.int32))
        size, n_weeks = mean.shape[1], weeks.size
        past = population.weeks.reindex(weeks, fill_value=0.0)
        mean = np.insert(mean, [size - 1] * n_weeks, past.to_numpy(), axis=1)
        keep = np.r_[: size - 1, size - 1 + n_weeks]
        covariance = population.week_sd**2 * np.eye(size + n_weeks)
        covariance[np.ix_(keep, keep)] = population.covariance
    cells = _cells(sub, x, float(mean[:, -1].mean()))
    precision = np.linalg.inv(covariance)
    beta = newton(cells, mean, mean, precision, 30, reach=_REACH)
    centre, spread = _normal(cells, beta, mean, precision)
    if not _farthest(centre - beta, np.diagonal(spread, axis1=1, axis2=2)) < _AT_REST:
        raise NotConverged("the search for the effects of single stores did not end")
    return NewStores(population, centre, spread, weeks)


def predict_sales(
    stores: NewStores,
    panel: StorePanel,
    days: np.ndarray,
    *,
    n_draws: int,
    seed: int,
    weeks: pd.DataFrame | None = None,
) -> np.ndarray:
    """Draws of the stores' sales on some days, also on closed ones as if the store were open.

    Parameters
    ----------
    stores, panel, days, n_draws, seed : NewStores, StorePanel, array of bool (T,), int and int
        Their posterior; the same stores, of which only the calendar is used; days to predict.
    weeks : pandas.DataFrame, optional
        ``mean`` and ``sd`` of the chain's effect by week; by default zero and the past weeks' sd.

    Returns
    -------
    array of float32, shape (n_draws, S, days)
        Sales a day.
    """
    rng = np.random.default_rng(seed)
    population, future = stores.population, panel.take(days=np.flatnonzero(days))
    number, j = week_of(future.dates), len(population.features)
    ahead, place = np.unique(number, return_inverse=True)
    n_stores = len(panel.stores)
    root = np.linalg.cholesky(stores.covariance + 1e-12 * np.eye(stores.centre.shape[1]))
    if population.week_sd:
        if weeks is None:
            weeks = pd.DataFrame({"mean": 0.0, "sd": population.weeks.std()}, index=ahead)
        week_mean, chain_sd = weeks.reindex(ahead)[["mean", "sd"]].to_numpy().T
        running = {int(w): k for k, w in enumerate(stores.weeks) if w in ahead}
    draws = np.empty((n_draws, n_stores, number.size), np.float32)
    for k in range(n_draws):
        beta = stores.centre + _times(root, rng.standard_normal(stores.centre.shape))
        eta, spread = _log_means(future, beta[:, :j]), np.exp(np.clip(beta[:, -1:], -10, 20))
        if population.week_sd:
            effect = week_mean + chain_sd * rng.standard_normal(ahead.size)
            effect = effect + population.week_sd * rng.standard_normal((n_stores, ahead.size))
            for w, slot in running.items():  # a week that has begun keeps its effect
                effect[:, np.searchsorted(ahead, w)] = beta[:, j + slot]
            eta = eta + effect[:, place]
        mean = np.exp(np.clip(eta, -20, 16))
        draws[k] = rng.poisson(rng.gamma(np.maximum(mean / spread, 1e-9)) * spread)
    return draws
