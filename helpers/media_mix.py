"""The media-mix model on PyMC-Marketing: fit, draws in money, forecasts and spending plans.

Whatever has been fitted is then computed from the draws in NumPy: no graph is compiled for it, and
every quantity is in the units of the reader's table.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import nutpie
import pandas as pd
import pymc as pm
import xarray as xr
from pymc.model.transform.optimization import freeze_dims_and_data
from pymc_extras.prior import Prior
from pymc_marketing.mmm import MMM, GeometricAdstock, LogisticSaturation
from scipy.optimize import minimize
from scipy.special import log_ndtr, ndtri_exp
from scipy.stats import norm

from helpers import sampling
from helpers.media import PERIOD_DAYS, MediaData, adstock, media_contribution

#: Free variables of the model, for diagnostics.
PARAMETERS = (
    "intercept_contribution",
    "adstock_alpha",
    "saturation_lam",
    "saturation_beta",
    "gamma_control",
    "gamma_fourier",
    "y_sigma",
)
# Each prior needs its own dims: without them one coefficient would serve all controls.
_DIMS = {
    "adstock_alpha": ("channel",),
    "saturation_lam": ("channel",),
    "saturation_beta": ("channel",),
    "gamma_control": ("control",),
    "gamma_fourier": ("fourier_mode",),
}


def build_media_mix(
    data: MediaData,
    model_config: Mapping[str, Any],
    *,
    l_max: int = 6,
    yearly_modes: int = 5,
) -> MMM:
    """The case study's model: geometric adstock, logistic saturation, controls, yearly waves.

    Parameters
    ----------
    data : MediaData
        Data to fit.
    model_config : mapping
        Priors by the names that PyMC-Marketing gives them.
    l_max : int
        Periods that a unit of spend works.
    yearly_modes : int
        Waves of the yearly season; 0 for none.

    Returns
    -------
    pymc_marketing.mmm.MMM
        The built model, ready to be sampled.

    Raises
    ------
    ValueError
        If a prior lacks the dims of its variable: one coefficient would then serve them all.
    """
    config = dict(model_config)
    if not data.controls:
        config.pop("gamma_control", None)
    for name, dims in _DIMS.items():
        prior = config.get(name)
        given = getattr(prior, "dims", None)
        given = (given,) if isinstance(given, str) else given
        if prior is not None and given != dims:
            raise ValueError(f'{name}: give its prior dims="{dims[0]}", or one value serves all')
    mmm = MMM(
        model_config=config,
        date_column="date",
        target_column=data.target,
        channel_columns=data.channels,
        control_columns=data.controls or None,
        adstock=GeometricAdstock(l_max=l_max),
        saturation=LogisticSaturation(),
        yearly_seasonality=yearly_modes or None,
    )
    with warnings.catch_warnings():  # a prior of one scale a channel
        warnings.filterwarnings("ignore", message="Implicit conversion of array-like")
        mmm.build_model(data.X, data.y)
    # Before the fit: what is not in the model then stays in units of the largest sales.
    mmm.add_original_scale_contribution_variable(["channel_contribution", "y"])
    return mmm


def spend_share_prior(data: MediaData, *, scale: float = 1.0) -> Prior:
    """Half-normal prior of the largest contribution, as wide as a channel's share of spend.

    Parameters
    ----------
    data : MediaData
        Data to fit.
    scale : float
        Width of the prior of a channel that takes all spend, in units of the largest sales.

    Returns
    -------
    pymc_extras.prior.Prior
        For ``saturation_beta``.

    Examples
    --------
    >>> frame = pd.DataFrame({"tv": [3.0, 3.0], "radio": [1.0, 1.0]})
    >>> prior = spend_share_prior(MediaData(frame, "sales", ["tv", "radio"], []))
    >>> prior.parameters["sigma"].to_numpy().tolist()
    [0.75, 0.25]
    """
    total = data.spend.sum(axis=0)
    share = xr.DataArray(
        scale * total / total.sum(), dims="channel", coords={"channel": data.channels}
    )
    return Prior("HalfNormal", sigma=share, dims="channel")


def sample_prior(mmm: MMM, *, draws: int, seed: int) -> xr.DataTree:
    """Draw the parameters from their priors, in silence.

    Parameters
    ----------
    mmm : pymc_marketing.mmm.MMM
        As :func:`build_media_mix` returns it.
    draws : int
        Number of draws.
    seed : int
        Seed of the draws.

    Returns
    -------
    xarray.DataTree
        Group ``prior``; also kept as ``mmm.idata``.
    """
    logging.getLogger("pymc").setLevel(logging.WARNING)
    drawn = pm.sample_prior_predictive(
        draws,
        model=mmm.model,
        var_names=[variable.name for variable in mmm.model.free_RVs],
        random_seed=seed,
        compile_kwargs={"mode": "FAST_COMPILE"},  # in Python: compiling would take longer
    )
    mmm.idata = xr.DataTree.from_dict({"prior": drawn["prior"].to_dataset()})
    return mmm.idata


def fit_media_mix(
    mmm: MMM, *, draws: int, tune: int, chains: int, seed: int, target_accept: float = 0.95
) -> xr.DataTree:
    """Draw the parameters only: the contributions of all weeks would take hundreds of megabytes.

    Parameters
    ----------
    mmm : pymc_marketing.mmm.MMM
        As :func:`build_media_mix` returns it.
    draws, tune, chains : int
        Kept draws a chain, tuning draws a chain, number of chains.
    seed : int
        Seed of the sampler.
    target_accept : float
        Target acceptance rate, in (0, 1).

    Returns
    -------
    xarray.DataTree
        Groups ``posterior`` and ``sample_stats``; also kept as ``mmm.idata``.
    """
    model = freeze_dims_and_data(mmm.model)
    idata = sampling.sample(
        model,
        draws=draws,
        tune=tune,
        chains=chains,
        seed=seed,
        target_accept=target_accept,
        var_names=[variable.name for variable in mmm.model.free_RVs],
        backend="numba",  # JAX samples this model ten times slower
    )
    mmm.idata = idata
    return idata


def fit_media_mixes(
    datasets: Iterable[MediaData],
    model_config: Mapping[str, Any],
    *,
    draws: int,
    tune: int,
    chains: int,
    seed: int,
    target_accept: float = 0.95,
    **options: int,
) -> Iterator[MMM]:
    """Fit one model to data sets of one shape, compiled once.

    Parameters
    ----------
    datasets : iterable of MediaData
        With as many periods, channels and controls as the first.
    model_config : mapping
        Priors, the same for all data sets.
    draws, tune, chains : int
        Kept draws a chain, tuning draws a chain, number of chains.
    seed : int
        Seed; each data set gets its own stream.
    target_accept : float
        Target acceptance rate, in (0, 1).
    **options : int
        As :func:`build_media_mix` takes them.

    Yields
    ------
    pymc_marketing.mmm.MMM
        Fitted, with the draws in ``idata``.
    """
    compiled = None
    for i, data in enumerate(datasets):
        mmm = build_media_mix(data, model_config, **options)
        if compiled is None:
            names = [variable.name for variable in mmm.model.free_RVs]
            compiled = nutpie.compile_pymc_model(mmm.model, var_names=names)
            used = {variable.name for variable in compiled.shared_var_keys}
        values = {name: mmm.model[name].get_value() for name in used}
        mmm.idata = nutpie.sample(
            compiled.with_data(**values),
            draws=draws,
            tune=tune,
            chains=chains,
            seed=int(np.random.SeedSequence([seed, i]).generate_state(1)[0]),
            target_accept=target_accept,
            save_warmup=False,
            progress_bar=False,
        )
        yield mmm


@dataclass(frozen=True)
class MixDraws:
    """Draws of the fitted model's parameters in the units of the table.

    Attributes
    ----------
    alpha, lam, beta : array, shape (draws, channels)
        As :func:`helpers.media.media_contribution` takes them.
    baseline : array, shape (draws,)
        Sales without media, controls and season.
    controls : array, shape (draws, controls)
        Sales a unit of each control.
    waves : array, shape (draws, 2 * modes)
        Sales by wave of the year, sines first.
    noise_sd : array, shape (draws,)
        Scale of the truncated normal.
    l_max : int
        Periods that a unit of spend works.
    """

    alpha: np.ndarray
    lam: np.ndarray
    beta: np.ndarray
    baseline: np.ndarray
    controls: np.ndarray
    waves: np.ndarray
    noise_sd: np.ndarray
    l_max: int = 6

    def __len__(self) -> int:
        return len(self.baseline)

    def thinned(self, n: int) -> MixDraws:
        """At most ``n`` draws, evenly over the chains.

        Parameters
        ----------
        n : int
            How many to keep at most.

        Returns
        -------
        MixDraws
            Every k-th draw.
        """
        step = max(1, -(-len(self) // n))
        arrays = (f.name for f in fields(self) if f.name != "l_max")
        return replace(self, **{name: getattr(self, name)[::step] for name in arrays})

    def media(
        self, data: MediaData, history: MediaData | None = None, *, after: bool = False
    ) -> np.ndarray:
        """Contribution of each draw, period and channel.

        Parameters
        ----------
        data : MediaData
            Periods asked for.
        history : MediaData, optional
            Periods just before them, whose spend carries over.
        after : bool
            Whether the periods into which spend carries over are added.

        Returns
        -------
        array, shape (draws, periods, channels)
            In units of the target.

        Raises
        ------
        ValueError
            If ``history`` does not end one period before the data.
        """
        lags = self.l_max - 1
        nothing = np.zeros((lags if after else 0, data.spend.shape[1]))
        before = np.zeros((0, data.spend.shape[1]))
        if history is not None:
            step = (data.dates[0] - history.dates[-1]).days
            if step != PERIOD_DAYS[data.frequency]:
                raise ValueError(f"history ends {step} days before the data, not one {data.period}")
            before = history.spend[len(history) - lags :]
        return media_contribution(
            np.vstack([before, data.spend, nothing]),
            alpha=self.alpha,
            lam=self.lam,
            beta=self.beta,
            l_max=self.l_max,
        )[:, len(before) :]

    def parts(self, data: MediaData, history: MediaData | None = None) -> dict[str, np.ndarray]:
        """Components of the mean by period, each of shape (draws, periods).

        Parameters
        ----------
        data : MediaData
            Periods asked for.
        history : MediaData, optional
            Periods just before them.

        Returns
        -------
        dict of str to array
            The channels by name, then ``baseline``, ``season`` and ``controls``.
        """
        media = self.media(data, history)
        modes = np.arange(1, self.waves.shape[1] // 2 + 1)
        angle = 2 * np.pi * data.dates.dayofyear.to_numpy()[:, None] / 365.25 * modes
        return {
            **{name: media[:, :, c] for c, name in enumerate(data.channels)},
            "baseline": np.repeat(self.baseline[:, None], len(data), axis=1),
            "season": self.waves @ np.hstack([np.sin(angle), np.cos(angle)]).T,
            "controls": self.controls @ data.frame[data.controls].to_numpy(float).T,
        }

    def location(self, data: MediaData, history: MediaData | None = None) -> np.ndarray:
        """Centre of the truncated normal, shape (draws, periods): the sum of all parts.

        Parameters
        ----------
        data : MediaData
            Periods asked for.
        history : MediaData, optional
            Periods just before them.

        Returns
        -------
        array, shape (draws, periods)
            In units of the target.
        """
        return sum(self.parts(data, history).values())

    def expected(self, location: np.ndarray) -> np.ndarray:
        """Mean of the truncated normal: above its centre, for sales are not negative.

        Parameters
        ----------
        location : array, shape (draws, periods)
            As :meth:`location` gives it.

        Returns
        -------
        array, shape (draws, periods)
            In units of the target.
        """
        scale = self.noise_sd[:, None]
        ratio = location / scale
        return location + scale * np.exp(norm.logpdf(ratio) - log_ndtr(ratio))

    def sample(self, location: np.ndarray, *, seed: int) -> np.ndarray:
        """One draw of sales for each draw and period: truncated normal noise around the centre.

        Parameters
        ----------
        location : array, shape (draws, periods)
            As :meth:`location` gives it.
        seed : int
            Seed of the noise.

        Returns
        -------
        array, shape (draws, periods)
            In units of the target.
        """
        scale = self.noise_sd[:, None]
        # in logarithms, for prior draws can lie far below zero
        above = log_ndtr(location / scale)
        log_uniform = -np.random.default_rng(seed).standard_exponential(location.shape)
        return np.maximum(location - scale * ndtri_exp(log_uniform + above), 0)


def mix_draws(mmm: MMM, group: str = "posterior") -> MixDraws:
    """Parameters of a fitted model in the units of the table.

    Parameters
    ----------
    mmm : pymc_marketing.mmm.MMM
        A model with draws in ``mmm.idata``.
    group : str
        Which draws, ``posterior`` or ``prior``.

    Returns
    -------
    MixDraws
        All chains, one after the other.
    """
    draws = mmm.idata[group].to_dataset().stack(sample=("chain", "draw"))
    sales = float(mmm.model["target_scale"].get_value())
    largest = mmm.model["channel_scale"].get_value()

    def values(name):
        if name not in draws:
            return np.zeros((draws.sizes["sample"], 0))
        return draws[name].transpose("sample", ...).to_numpy()

    return MixDraws(
        alpha=values("adstock_alpha"),
        lam=values("saturation_lam") / largest,
        beta=sales * values("saturation_beta"),
        baseline=sales * values("intercept_contribution"),
        controls=sales * values("gamma_control"),
        waves=sales * values("gamma_fourier"),
        noise_sd=sales * values("y_sigma"),
        l_max=mmm.adstock.l_max,
    )


class PlanResponse:
    """What a constant plan of spend a period contributes, carry-over after its end included.

    Parameters
    ----------
    draws : MixDraws
        Draws of the parameters.
    n_periods : int
        Periods of the plan.
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
        """Contribution of a plan by draw and channel.

        Parameters
        ----------
        plan : array, shape (channels,)
            Spend a period.

        Returns
        -------
        array, shape (draws, channels)
            Over all periods, in units of the target.
        """
        return (self._beta * self._tanh(plan)).sum(axis=1)

    def marginal(self, plan: np.ndarray) -> np.ndarray:
        """What one more unit of spend, spread over the plan, would return.

        Parameters
        ----------
        plan : array, shape (channels,)
            Spend a period.

        Returns
        -------
        array, shape (draws, channels)
            In units of the target a unit of spend.
        """
        slope = self._beta * self._lam / 2 * (1 - self._tanh(plan) ** 2) * self._share
        return slope.sum(axis=1) / self.n_periods


def optimal_plan(response: PlanResponse, start: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Plan with the largest mean contribution at the same total spend.

    Parameters
    ----------
    response : PlanResponse
        Response to score plans with.
    start : array, shape (channels,)
        Feasible plan, spend a period; its sum is the budget.
    bounds : array, shape (channels, 2)
        Least and most spend a period.

    Returns
    -------
    array, shape (channels,)
        Spend a period.

    Raises
    ------
    RuntimeError
        If the optimiser does not converge.
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


def kkt_table(
    response: PlanResponse,
    plan: np.ndarray,
    bounds: np.ndarray,
    channels: Sequence[str],
    *,
    tolerance: float = 1e-3,
) -> pd.DataFrame:
    """Karush-Kuhn-Tucker conditions of a plan: where it could still be improved.

    All channels between their bounds must return the same for one more unit; a channel at its
    lower bound no more than that, at its upper bound no less.

    Parameters
    ----------
    response : PlanResponse
        Response that scores plans.
    plan : array, shape (channels,)
        Spend a period.
    bounds : array, shape (channels, 2)
        Least and most spend a period.
    channels : sequence of str
        Names of the rows.
    tolerance : float
        Share of a bound, and of a return, that counts as no difference.

    Returns
    -------
    pandas.DataFrame
        ``spend``, ``bound`` (``lower``, ``upper`` or blank), ``return`` (posterior mean of the
        marginal return), ``holds`` (whether the condition does); one row a channel.
    """
    plan, bounds = np.asarray(plan, float), np.asarray(bounds, float)
    gain = response.marginal(plan).mean(axis=0)
    lower, upper = (np.isclose(plan, bound, rtol=tolerance, atol=0) for bound in bounds.T)
    inside = ~(lower | upper)
    if inside.any():
        price = gain[inside].mean()
    else:  # any price between the two sides will do
        price = np.mean([gain[lower].max(initial=-np.inf), gain[upper].min(initial=np.inf)])
    slack = tolerance * abs(price)
    holds = np.where(
        inside, abs(gain - price) <= slack, np.where(lower, gain <= price, gain >= price)
    )
    near = abs(gain - price) <= slack
    return pd.DataFrame(
        {
            "spend": plan,
            "bound": np.select([lower, upper], ["lower", "upper"], ""),
            "return": gain,
            "holds": holds.astype(bool) | near,
        },
        index=list(channels),
    )
