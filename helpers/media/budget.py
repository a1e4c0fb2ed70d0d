"""The best plan of spend, and the proof that it is one."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from helpers.media.draws import MixDraws
from helpers.media.load import MediaData
from helpers.media.transforms import adstock


class PlanResponse:
    """What a constant plan of spend a period contributes, carry-over after its end included.

    Parameters
    ----------
    draws, n_periods : MixDraws and int
        Draws of the parameters, and periods of the plan.
    history : MediaData, optional
        Periods before the plan, whose spend carries into it; the same for every plan.
    """

    def __init__(self, draws: MixDraws, n_periods: int, history: MediaData | None = None):
        lags, channels = draws.l_max - 1, draws.beta.shape[1]
        before = np.zeros((lags, channels))
        if history is not None and lags:
            before[:] = history.spend[-lags:]
        on = np.r_[np.zeros(lags), np.ones(n_periods), np.zeros(lags)]
        on = np.repeat(on[:, None], channels, axis=1)
        old = np.vstack([before, np.zeros((n_periods + lags, channels))])
        self.n_periods = n_periods
        self._lam, self._beta = draws.lam[:, None], draws.beta[:, None]
        self._share = adstock(on, draws.alpha, l_max=draws.l_max)[:, lags:]
        self._old = adstock(old, draws.alpha, l_max=draws.l_max)[:, lags:]

    def _tanh(self, plan):
        return np.tanh(self._lam * (self._old + np.asarray(plan, float) * self._share) / 2)

    def total(self, plan: np.ndarray) -> np.ndarray:
        """Contribution of a plan over all periods, shape (draws, channels)."""
        return (self._beta * self._tanh(plan)).sum(axis=1)

    def marginal(self, plan: np.ndarray) -> np.ndarray:
        """What one more unit of spend, spread over the plan, would return, (draws, channels)."""
        slope = self._beta * self._lam / 2 * (1 - self._tanh(plan) ** 2) * self._share
        return slope.sum(axis=1) / self.n_periods


def optimal_plan(response: PlanResponse, start: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Plan with the largest mean contribution at the spend of ``start``, a feasible plan.

    Parameters
    ----------
    response, start, bounds : PlanResponse, and arrays of shapes (channels,) and (channels, 2)
        What scores plans; spend a period; least and most of it.

    Returns
    -------
    array, shape (channels,)
        Spend a period; a ``RuntimeError`` if the optimiser does not converge.
    """
    start, bounds = np.asarray(start, float), np.asarray(bounds, float)
    budget, scale = start.sum(), response.total(start).mean(axis=0).sum()
    found = minimize(
        lambda x: -response.total(x * budget).mean(axis=0).sum() / scale,
        start / budget,
        jac=lambda x: (
            -response.marginal(x * budget).mean(axis=0) * response.n_periods * budget / scale
        ),
        bounds=bounds / budget,
        constraints={"type": "eq", "fun": lambda x: x.sum() - 1, "jac": np.ones_like},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 1000},
    )
    if found.status not in (0, 8):  # 8: no step improves the plan in floating point
        raise RuntimeError(f"no optimal plan: {found.message}")
    return np.clip(found.x * budget, *bounds.T)
