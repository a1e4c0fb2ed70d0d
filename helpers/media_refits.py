"""Fit the media-mix model again and again: one compilation, other data each time."""

from __future__ import annotations

import gc
from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from helpers.media import MediaData, media_contribution

#: Free variables of the model, and what a refit keeps.
PARAMETERS = (
    "intercept_contribution",
    "saturation_beta",
    "saturation_lam",
    "adstock_alpha",
    "gamma_control",
    "gamma_fourier",
    "y_sigma",
)
#: A lift test with this standard error says nothing: there was none.
NO_TEST = 1e6
L_MAX = 6


def spend_shares(spend: np.ndarray) -> np.ndarray:
    """Each channel's share of all spend, the case study's prior scale of its contribution.

    Parameters
    ----------
    spend : array, shape (periods, channels)
        Spend.

    Returns
    -------
    array, shape (channels,)
        Shares that add up to 1.

    Examples
    --------
    >>> spend_shares(np.array([[1.0, 2.0], [0.0, 1.0]])).tolist()
    [0.25, 0.75]
    """
    total = spend.sum(axis=0)
    return total / total.sum()


def return_scale(spend: np.ndarray, target: np.ndarray, *, mean_return: float) -> np.ndarray:
    """Prior scale of a channel's contribution that gives its return a mean of one's choice.

    The return is taken at the middle of the priors of adstock and saturation.

    Parameters
    ----------
    spend : array, shape (periods, channels)
        Spend.
    target : array, shape (periods,)
        Sales; the model's unit is their maximum.
    mean_return : float
        Prior mean of the return on a unit of spend, positive.

    Returns
    -------
    array, shape (channels,)
        Scales of half-normal priors, in the model's unit.

    Examples
    --------
    >>> spend = np.tile([[1.0, 3.0]], (50, 1))
    >>> return_scale(spend, np.array([0.0, 100.0]), mean_return=2.0).round(3).tolist()
    [0.028, 0.083]
    """
    largest = np.where(spend.max(axis=0) > 0, spend.max(axis=0), 1.0)
    k = spend.shape[1]
    shape = media_contribution(
        spend / largest, alpha=np.full(k, 0.25), lam=np.full(k, 3.0), beta=np.ones(k), l_max=L_MAX
    )
    sigma = mean_return * np.sqrt(np.pi / 2)  # a half-normal's mean is sigma sqrt(2 / pi)
    return sigma * spend.sum(axis=0) / np.maximum(shape.sum(axis=0), 1e-12) / target.max()


def drift_basis(n: int, *, modes: int, length: float, sd: float) -> np.ndarray:
    r"""Waves of a slow Gaussian process by its Hilbert-space approximation.

    With coefficients :math:`\text{Normal}(0, 1)` their sum has a squared-exponential covariance
    with standard deviation ``sd`` and length scale ``length``.

    Parameters
    ----------
    n : int
        Periods.
    modes : int
        Number of waves, at least 1.
    length : float
        Length scale, in periods.
    sd : float
        Standard deviation of the process, in the model's unit.

    Returns
    -------
    array, shape (n, modes)
        Waves, each centred: the intercept keeps the level.

    References
    ----------
    :cite:`riutort2023practical`

    Examples
    --------
    >>> basis = drift_basis(200, modes=20, length=10.0, sd=0.5)
    >>> round(float(np.sqrt((basis**2).sum(axis=1).mean())), 2)
    0.46
    """
    half = 0.75 * n  # the interval is half as long again as the data
    at = np.arange(n) - (n - 1) / 2
    frequency = np.pi * np.arange(1, modes + 1) / (2 * half)
    waves = np.sin(np.outer(at + half, frequency)) / np.sqrt(half)
    density = sd**2 * np.sqrt(2 * np.pi) * length * np.exp(-((length * frequency) ** 2) / 2)
    basis = waves * np.sqrt(density)
    return basis - basis.mean(axis=0)


def refit_arrays(
    data: MediaData,
    *,
    prior_scale: np.ndarray | None = None,
    placebo: np.ndarray | None = None,
    basis: np.ndarray | None = None,
    tests: pd.DataFrame | None = None,
    modes: int,
) -> dict[str, np.ndarray]:
    """Data of one fit by the names that the compiled model gives them.

    Parameters
    ----------
    data : MediaData
        Spend and sales; the channels and controls of the compiled model, any number of periods.
    prior_scale : array, shape (channels,) or (channels + 1,), optional
        Scale of the half-normal prior of each contribution, in units of the largest target;
        the shares of spend without it. The last is the placebo's.
    placebo : array, shape (periods,), optional
        Spend of a channel that cannot work; none without it.
    basis : array, shape (periods, modes), optional
        Waves of the baseline's drift; a constant baseline without it.
    tests : pandas.DataFrame, optional
        Lift tests, at most one a channel: ``channel``, spend a period before ``x`` and added
        ``delta_x``, added target a period once carry-over is complete ``delta_y``, its standard
        error ``sigma``.
    modes : int
        Number of the compiled model's waves.

    Returns
    -------
    dict of str to array
        Arrays for :meth:`Refits.fit`.

    Raises
    ------
    ValueError
        If a test names an unknown channel, or a channel has two.
    """
    n, k = data.spend.shape
    placebo = np.zeros(n) if placebo is None else placebo
    basis = np.zeros((n, modes)) if basis is None else basis
    spend = np.column_stack([data.spend, placebo])
    target = data.y.to_numpy(float)
    scale = spend_shares(spend) if prior_scale is None else np.asarray(prior_scale, float)
    if scale.size == k:
        scale = np.append(scale, scale.mean())
    largest = np.where(spend.max(axis=0) > 0, spend.max(axis=0), 1.0)
    lift = {name: np.zeros(k + 1) for name in ("from", "to", "gain")}
    lift["sd"] = np.full(k + 1, NO_TEST)
    if tests is not None:
        if (twice := tests["channel"].duplicated()).any():
            raise ValueError(f"{tests['channel'][twice].iloc[0]}: two tests; combine them")
        for test in tests.itertuples():
            if test.channel not in data.channels:
                raise ValueError(f"{test.channel}: a test of no channel ({data.channels})")
            c = data.channels.index(test.channel)
            lift["from"][c] = test.x / largest[c]
            lift["to"][c] = (test.x + test.delta_x) / largest[c]
            lift["gain"][c] = test.delta_y / target.max()
            lift["sd"][c] = test.sigma / target.max()
    return {
        "channel_data": spend,
        "channel_scale": largest,
        "target_data": target,
        "target_scale": np.asarray(target.max()),
        "control_data": np.column_stack([data.frame[data.controls].to_numpy(float), basis]),
        "dayofyear": data.dates.dayofyear.to_numpy(),
        "prior_scale": np.where(scale > 0, scale, scale[scale > 0].mean()),
    } | {f"lift_{name}": values for name, values in lift.items()}


class Refits:
    """The media-mix model with places for a placebo, a drift and lift tests, compiled once.

    Parameters
    ----------
    data : MediaData
        Its channels and controls are those of every refit.
    yearly_modes : int
        Waves of the yearly season.
    modes : int
        Waves of the baseline's drift.
    """

    def __init__(self, data: MediaData, *, yearly_modes: int = 5, modes: int):
        import nutpie

        self.channels = [*data.channels, "placebo"]
        self.modes = modes
        model = _model(data, yearly_modes=yearly_modes, modes=modes)
        self._compiled = nutpie.compile_pymc_model(model, backend="numba", var_names=PARAMETERS)
        gc.collect()
        gc.freeze()  # a compiled model is too large to be looked through after every fit

    def fit(
        self,
        arrays: dict[str, np.ndarray],
        *,
        draws: int,
        tune: int,
        chains: int,
        seed: int,
        target_accept: float = 0.9,
    ) -> xr.DataTree:
        """Posterior with other data.

        Parameters
        ----------
        arrays : dict of str to array
            What :func:`refit_arrays` gives.
        draws, tune, chains : int
            Kept draws a chain, tuning draws a chain, number of chains.
        seed : int
            Seed of the sampler.
        target_accept : float
            Target acceptance rate, in (0, 1).

        Returns
        -------
        xarray.DataTree
            Groups ``posterior`` (:data:`PARAMETERS`) and ``sample_stats``.
        """
        import nutpie

        return nutpie.sample(
            self._compiled.with_data(**arrays),
            draws=draws,
            tune=tune,
            chains=chains,
            seed=seed,
            target_accept=target_accept,
            save_warmup=False,
            progress_bar=False,
        )


def _model(data: MediaData, *, yearly_modes: int, modes: int):
    """Chapter 7's model; all that differs between refits is data."""
    import pymc.dims as pmd
    from pymc_extras.prior import Prior
    from pymc_marketing.mmm import MMM, GeometricAdstock, LogisticSaturation

    class ScaledHalfNormal:
        """Half-normal prior whose scale is data."""

        dims = ("channel",)

        def create_variable(self, name, xdist=False):
            unit = pmd.HalfNormal(f"{name}_unit", sigma=1.0, dims="channel")
            scale = pmd.Data("prior_scale", arrays["prior_scale"], dims="channel")
            return pmd.Deterministic(name, scale * unit)

    arrays = refit_arrays(data, modes=modes)
    waves = [f"drift {j}" for j in range(1, modes + 1)]
    frame = data.X.assign(placebo=0.0, **dict.fromkeys(waves, 0.0))
    mmm = MMM(
        date_column="date",
        target_column=data.target,
        channel_columns=[*data.channels, "placebo"],
        control_columns=[*data.controls, *waves],
        adstock=GeometricAdstock(l_max=L_MAX),
        saturation=LogisticSaturation(),
        yearly_seasonality=yearly_modes,
        model_config={
            "intercept": Prior("Normal", mu=0.2, sigma=0.05),
            "saturation_beta": ScaledHalfNormal(),
            "saturation_lam": Prior("Gamma", alpha=3, beta=1, dims="channel"),
            "gamma_control": Prior("Normal", mu=0, sigma=1, dims="control"),
            "gamma_fourier": Prior("Laplace", mu=0, b=1, dims="fourier_mode"),
            "likelihood": Prior("TruncatedNormal", lower=0, sigma=Prior("HalfNormal", sigma=1)),
        },
    )
    mmm.build_model(frame, data.y)
    with mmm.model as model:
        lift = {
            name: pmd.Data(f"lift_{name}", arrays[f"lift_{name}"], dims="channel")
            for name in ("from", "to", "gain", "sd")
        }
        before, after = (
            mmm.saturation.function(
                lift[at], lam=model["saturation_lam"], beta=model["saturation_beta"]
            )
            for at in ("from", "to")
        )
        pmd.Normal("lift", mu=after - before, sigma=lift["sd"], observed=lift["gain"])
    return model


def flat_draws(idata: xr.DataTree, *, at_most: int = 1000) -> dict[str, np.ndarray]:
    """Evenly thinned draws of each parameter, all chains in one axis.

    Parameters
    ----------
    idata : xarray.DataTree
        What :meth:`Refits.fit` gives.
    at_most : int
        Largest number of draws to keep.

    Returns
    -------
    dict of str to array
        Draws along the first axis.
    """
    posterior = idata["posterior"]
    values = {name: posterior[name].to_numpy() for name in PARAMETERS if name in posterior}
    values = {name: v.reshape(-1, *v.shape[2:]) for name, v in values.items()}
    step = -(-next(iter(values.values())).shape[0] // at_most)
    return {name: v[::step] for name, v in values.items()}


def contributions(
    draws: dict[str, np.ndarray],
    arrays: dict[str, np.ndarray],
    *,
    spend: np.ndarray | None = None,
    steady: bool = False,
) -> np.ndarray:
    """What each channel contributes, in units of the target.

    Parameters
    ----------
    draws : dict of str to array
        What :func:`flat_draws` gives.
    arrays : dict of str to array
        Data of the fit, for its scales.
    spend : array, shape (periods, channels), optional
        Other spend than that of the fit.
    steady : bool
        Whether each period's spend is taken to go on for ever.

    Returns
    -------
    array, shape (draws, periods, channels)
        Contributions.
    """
    spend = arrays["channel_data"] if spend is None else spend
    return media_contribution(
        spend / arrays["channel_scale"],
        alpha=draws["adstock_alpha"],
        lam=draws["saturation_lam"],
        beta=draws["saturation_beta"] * arrays["target_scale"],
        l_max=L_MAX,
        steady=steady,
    )


def expected_target(
    draws: dict[str, np.ndarray],
    arrays: dict[str, np.ndarray],
    *,
    later: dict[str, np.ndarray] | None = None,
) -> np.ndarray:
    """Mean of the target by period, in its units.

    Parameters
    ----------
    draws : dict of str to array
        What :func:`flat_draws` gives.
    arrays : dict of str to array
        Data of the fit.
    later : dict of str to array, optional
        Data of the periods from the first fitted one on, with those to predict at the end.

    Returns
    -------
    array, shape (draws, periods)
        Expected target.
    """
    later = arrays if later is None else later
    media = contributions(draws, arrays, spend=later["channel_data"]).sum(axis=-1)
    modes = np.arange(1, draws["gamma_fourier"].shape[-1] // 2 + 1)
    angle = 2 * np.pi * later["dayofyear"][:, None] / 365.25 * modes
    season = draws["gamma_fourier"] @ np.hstack([np.sin(angle), np.cos(angle)]).T
    rest = draws["gamma_control"] @ later["control_data"].T + season
    return media + arrays["target_scale"] * (draws["intercept_contribution"][:, None] + rest)


def best_plan(
    response, plan: Sequence[float], *, lower: float = 0.5, upper: float = 1.5
) -> np.ndarray:
    """Spend by channel with the largest response, the total as it is.

    Parameters
    ----------
    response : callable
        Response to an array of spend by channel; concave.
    plan : sequence of float
        Today's spend by channel, positive.
    lower, upper : float
        Bounds of each channel, as multiples of today's.

    Returns
    -------
    array, shape (channels,)
        The best plan.

    Examples
    --------
    >>> best_plan(lambda x: np.sqrt(x) @ [1.0, 1.2], [1.0, 1.0]).round(2).tolist()
    [0.82, 1.18]
    """
    from scipy.optimize import minimize

    plan = np.asarray(plan, float)
    unit = response(plan)
    found = minimize(
        lambda m: -response(m * plan) / unit,
        np.ones(plan.size),
        method="SLSQP",
        bounds=[(lower, upper)] * plan.size,
        constraints={"type": "eq", "fun": lambda m: (m * plan).sum() / plan.sum() - 1},
        options={"maxiter": 300, "ftol": 1e-9},
    )
    return found.x * plan
