"""What the stores will sell, and how good such forecasts were."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.special import gammaln, logsumexp
from scipy.stats import nbinom

from helpers.inference.scores import crps
from helpers.notebook.claims import INTERVAL
from helpers.stores.cells import Family
from helpers.stores.load import StorePanel

_CHUNK = 1_000_000  # numbers held at a time


def pattern_means(panel: StorePanel, coef: np.ndarray) -> np.ndarray:
    """Mean sales of each store on a day of each calendar pattern.

    Parameters
    ----------
    panel, coef : StorePanel, and array (..., S, F)
        Stores and patterns; coefficients, draws in front.

    Returns
    -------
    array, shape (..., S, P)
        Means of a day's sales.
    """
    n_calendar = panel.calendar.shape[1]
    constant = (coef[..., n_calendar:] * panel.attributes.to_numpy()).sum(-1, keepdims=True)
    return np.exp(coef[..., :n_calendar] @ panel.calendar.to_numpy().T + constant)


def _shape_and_rate(mean, dispersion, family: Family) -> tuple[np.ndarray, np.ndarray]:
    """Shape and rate of the gamma that a Poisson's mean is drawn from."""
    if family == "nb1":
        rate = np.exp(-dispersion)
        return mean * rate, rate + 0 * mean
    shape = np.exp(dispersion)
    return shape + 0 * mean, shape / mean


def score_days(
    panel: StorePanel,
    draws: Mapping[str, np.ndarray],
    *,
    family: Family,
    seed: int,
    days: np.ndarray | None = None,
) -> pd.DataFrame:
    """Score forecasts of observed days :cite:`gneiting2007scoring,czado2009predictive`.

    Parameters
    ----------
    panel, draws, family, seed, days : StorePanel, dict of array, {"nb1", "nb2"}, int and array
        Sales; ``coef`` (D, S, F) and ``dispersion`` (D, S); which days, (T,) or (S, T), or all.

    Returns
    -------
    pandas.DataFrame
        By store and day: ``sales``, ``mean``, ``log_score`` (nats, high is good), ``crps`` (sales,
        low is good), ``pit`` (randomised), ``in50`` and ``in90`` (whether equal-tailed intervals,
        the inner and the book's, hold the sales).
    """
    keep = np.isfinite(panel.sales)
    if days is not None:
        keep &= days
    rng = np.random.default_rng(seed)
    coef, dispersion = draws["coef"], draws["dispersion"]
    means = pattern_means(panel, coef)
    store, day = np.nonzero(keep)
    tail = (1 - INTERVAL) / 2
    parts = []
    step = max(1, _CHUNK // len(coef))
    for first in range(0, store.size, step):
        s, t = store[first : first + step], day[first : first + step]
        y = panel.sales[s, t].astype(float)
        mean = means[:, s, panel.pattern[s, t]]
        shape, rate = _shape_and_rate(mean, dispersion[:, s], family)
        log_p = gammaln(shape + y) - gammaln(shape) - gammaln(y + 1)
        log_p += -shape * np.log1p(1 / rate) - y * np.log1p(rate)
        below = nbinom.cdf(y - 1, shape, rate / (1 + rate)).mean(0)
        sampled = rng.poisson(rng.gamma(shape) / rate).astype(np.float32)
        low, high, lowest, highest = np.quantile(sampled, [0.25, 0.75, tail, 1 - tail], axis=0)
        log_score = logsumexp(log_p, axis=0) - np.log(len(coef))
        row = {"store": s, "day": t, "sales": y, "mean": mean.mean(0), "log_score": log_score}
        row |= {"crps": crps(sampled, y), "pit": below + rng.random(y.size) * np.exp(log_score)}
        row |= {"in50": (low <= y) & (y <= high), "in90": (lowest <= y) & (y <= highest)}
        parts.append(pd.DataFrame(row))
    return pd.concat(parts, ignore_index=True)
