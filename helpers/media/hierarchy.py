"""A media mix model of several markets: PyMC-Marketing's panel MMM with a population of markets."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import pymc as pm
import pymc.dims as pmd
import pytensor.tensor as pt
import xarray as xr
from matplotlib.figure import Figure
from pymc_extras.deserialize import deserialize, register_deserialization
from pymc_extras.prior import Prior
from pymc_marketing.mmm import MMM, GeometricAdstock, LogisticSaturation
from pymc_marketing.serialization import serialization
from pytensor.xtensor import as_xtensor

from helpers.data.columns import DataError, listed
from helpers.inference.sampling import cores_for
from helpers.media.load import histories, refuse_unequal
from helpers.media.transforms import media_contribution
from helpers.notebook.claims import INTERVAL, mean_interval

#: Priors on the log scale. "alone" has the spread that "mean" and "sd" give to one market.
#: Standard deviations stay away from 0, where a few markets cannot tell how equal they are and
#: the sampler diverges; channels with equal effects are better declared global.
HYPERPRIORS: dict[str, Any] = {
    "mean": Prior("Normal", mu=-1.5, sigma=1.0),
    "sd": Prior("Gamma", alpha=2, beta=4),
    "alone": Prior("Normal", mu=-1.5, sigma=1.17),
    "eta": 2.0,
    "centered": True,  # False where markets say little, or effects are nearly the same
    "level_mean": Prior("Normal", mu=-1.0, sigma=1.0),
    "level_sd": Prior("HalfNormal", sigma=1.0),
    "noise_mean": Prior("Normal", mu=-3.0, sigma=1.0),
    "noise_sd": Prior("LogNormal", mu=-1.0, sigma=0.5),
}

_POOLING = ("partial", "complete", "no")
_STRUCTURES = ("independent", "lkj")
_KINDS = ("contribution", "roas", "marginal roas", "effect")
_OURS = ("dims", "adstock", "saturation", "scaling", "link")


def _with(prior: Prior, dims=None, transform=None) -> Prior:
    """A copy of a prior with these dims and this transform."""
    prior = deepcopy(prior)
    prior.dims, prior.transform = dims, transform
    return prior


def _storable(cls) -> None:
    """Teach ``MMM.save`` and ``MMM.load`` to write and read a prior."""

    def to_dict(self):
        values = {k: v.to_dict() if isinstance(v, Prior) else v for k, v in vars(self).items()}
        return {cls.__name__: values}

    def from_dict(data):
        values = data[cls.__name__].items()
        return cls(**{k: deserialize(v) if isinstance(v, dict) else v for k, v in values})

    cls.to_dict, cls.from_dict = to_dict, staticmethod(from_dict)
    serialization.register(cls)
    # a prior inside another prior is read through the second registry
    register_deserialization(lambda data: cls.__name__ in data, from_dict)


@dataclass
class _MarketPopulation:
    r"""Prior of positive effects, :math:`\log \beta_{mc} = \mu_c + \sigma_c z_{mc}`.

    With ``eta`` the z of a market are correlated, LKJ; channels in ``shared`` have one value.
    ``centered`` samples the logs themselves. A market not in the data gets its own draw.
    """

    mean: Prior
    sd: Prior
    dims: Sequence[str]
    shared: Sequence[str] = ()
    eta: float | None = None
    centered: bool = False

    def create_variable(self, name: str, xdist: bool = True):
        """Add the parameter to the model on the stack, its hyperparameters called after it."""
        model = pm.modelcontext(None)
        channels = list(model.coords["channel"])
        varying = [channel for channel in channels if channel not in self.shared]
        columns, dims = [channels.index(channel) for channel in varying], (self.dims[0], "varying")
        model.add_coord("varying", varying)
        mean = _with(self.mean, "channel").create_variable(f"{name}_mean", xdist=True).values
        if self.eta is None:
            sd = _with(self.sd, "varying").create_variable(f"{name}_sd", xdist=True)
        if self.centered and self.eta is None:
            # of sd's shape: PyMC finds no starting point for a length that is known to be one
            centre = as_xtensor(pt.zeros_like(sd.values) + mean[columns], dims=("varying",))
            own = pmd.Normal(f"{name}_log", mu=centre, sigma=sd, dims=dims).values
        else:
            own = pmd.Normal(f"{name}_z", mu=0, sigma=1, dims=dims).values
            if self.eta is None:
                own = mean[columns] + own * sd.values
            else:
                sd = self.sd.pymc_distribution.dist(**self.sd.parameters, shape=len(varying))
                cholesky, corr, _ = pm.LKJCholeskyCov(
                    f"{name}_cov", n=len(varying), eta=self.eta, sd_dist=sd, store_in_trace=False
                )
                pm.Deterministic(f"{name}_corr", corr)
                own = mean[columns] + own @ cholesky.T
        log = (pt.zeros((own.shape[0], len(channels))) + mean)[:, columns].set(own)
        return pmd.Deterministic(name, pmd.math.exp(as_xtensor(log, dims=self.dims)))


@dataclass
class _MaskedNormal:
    """Normal likelihood of markets with unequal histories: what was not observed does not count."""

    sigma: Prior
    first: Sequence[int]
    stop: Sequence[int]
    dims: Sequence[str]
    distribution = "Normal"  # for MMM: its mean is the target's

    def create_likelihood_variable(self, name: str, mu, observed, xdist: bool = True):
        """Add the likelihood of the scaled target to the model on the stack."""
        date, market = self.dims
        sigma = self.sigma.create_variable(f"{name}_sigma", xdist=True)
        first = pmd.Data("first_period", np.array(self.first), dims=(market,))
        stop = pmd.Data("stop_period", np.array(self.stop), dims=(market,))
        period = as_xtensor(pt.arange(mu.sizes[date]), dims=(date,))
        hidden = pmd.math.logical_or(period < first, period >= stop)
        # a model that predicts is given a target of zeros: then nothing is hidden
        hidden = pmd.math.logical_and(hidden, abs(observed).sum() > 0)
        mu = pmd.math.switch(hidden, observed, mu)
        sigma = pmd.math.switch(hidden, 1.0, sigma)
        return pmd.Normal(name, mu=mu, sigma=sigma, observed=observed, dims=tuple(self.dims))


_storable(_MarketPopulation)
_storable(_MaskedNormal)


def hierarchical_priors(
    channels: Sequence[str],
    *,
    market: str = "market",
    pooling_mode: Literal["partial", "complete", "no"] = "partial",
    global_channels: Sequence[str] = (),
    correlation_structure: Literal["independent", "lkj"] = "independent",
    hyperpriors: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Priors of a panel MMM: effects pooled as asked, levels and noise always of each market.

    Parameters
    ----------
    channels, market : sequence of str and str
        All channels, in order, and the dim of the markets.
    pooling_mode, global_channels, correlation_structure, hyperpriors : object
        As for :class:`HierarchicalMMM`; the last are entries of :data:`HYPERPRIORS` to replace.

    Returns
    -------
    dict
        Priors of the scaled target: ``effect``; ``carry_over`` and ``steepness``, one a channel
        for all markets; ``level``; ``noise``; ``coefficients`` unless nothing is pooled.
    """
    hyper = HYPERPRIORS | (hyperpriors or {})
    both = [market, "channel"]
    if pooling_mode == "no":
        effect = _with(hyper["alone"], both, "exp")
    elif pooling_mode == "complete" or len(global_channels) == len(channels):
        effect = _with(hyper["mean"], "channel", "exp")
    else:
        effect = _MarketPopulation(
            hyper["mean"],
            hyper["sd"],
            dims=both,
            shared=list(global_channels),
            eta=hyper["eta"] if correlation_structure == "lkj" else None,
            centered=hyper["centered"],
        )
    priors = {
        "effect": effect,
        "carry_over": Prior("Beta", alpha=1, beta=3, dims="channel"),
        "steepness": Prior("Gamma", alpha=3, beta=1, dims="channel"),
    }
    for name in ("level", "noise"):
        mean, sd = hyper[f"{name}_mean"], hyper[f"{name}_sd"]
        priors[name] = Prior("Normal", mu=mean, sigma=sd, dims=market, transform="exp")
    if pooling_mode != "no":
        priors["coefficients"] = {
            dim: Prior(
                "Normal",
                mu=Prior("Normal", mu=0, sigma=1, dims=dim),
                sigma=Prior("HalfNormal", sigma=0.5, dims=dim),
                dims=(market, dim),
                centered=False,
            )
            for dim in ("control", "fourier_mode")
        }
    return priors


def hierarchical_mmm(
    channels: Sequence[str],
    priors: dict[str, Any],
    *,
    market: str = "market",
    max_lag: int = 6,
    periods: tuple[Sequence[int], Sequence[int]] | None = None,
    model_config: dict[str, Any] | None = None,
    **kwargs: Any,
) -> MMM:
    """PyMC-Marketing's panel ``MMM`` with the priors of :func:`hierarchical_priors`, not built yet.

    Parameters
    ----------
    channels, priors, market : sequence of str, dict and str
        Columns of spend, what :func:`hierarchical_priors` returns, and the column of markets.
    max_lag, periods : int, and pair of sequences of int, optional
        Periods over which advertising acts; for unequal histories, each market's first period,
        and the first one after its last.
    model_config, **kwargs : dict and object
        Priors to replace, as ``MMM`` names them, and what else ``MMM`` takes.

    Returns
    -------
    MMM
        ``build_model(X, y)`` and ``fit(X, y)`` come next.
    """
    dims = ["date", market]
    if periods is None:
        likelihood = Prior("Normal", sigma=priors["noise"], dims=dims)
    else:
        likelihood = _MaskedNormal(priors["noise"], *periods, dims=dims)
    config = {"intercept": priors["level"], "likelihood": likelihood}
    if "coefficients" in priors:
        config["gamma_control"] = priors["coefficients"]["control"]
        config["gamma_fourier"] = priors["coefficients"]["fourier_mode"]
    return MMM(
        channel_columns=list(channels),
        dims=(market,),
        adstock=GeometricAdstock(l_max=max_lag, priors={"alpha": priors["carry_over"]}),
        saturation=LogisticSaturation(
            priors={"lam": priors["steepness"], "beta": priors["effect"]}
        ),
        model_config=config | (model_config or {}),
        **kwargs,
    )


def pooling_factor(deviation: np.ndarray) -> float:
    """How much the population decides a market's deviation :cite:p:`gelman2006pooling`.

    Parameters
    ----------
    deviation : array, shape (n_draws, n_markets)
        Draws of the markets' deviations from the population's mean.

    Returns
    -------
    float
        Between 0 (no pooling) and 1 (complete).
    """
    between = deviation.mean(axis=0).var(ddof=1)
    total = deviation.var(axis=1, ddof=1).mean()
    return 1.0 if total == 0 else float(np.clip(1 - between / total, 0, 1))


def _refuse_unknown(names, known, kind: str, where: str = "") -> None:
    for name in names or ():
        if name not in known:
            raise ValueError(f"{where}{name!r} is no {kind} ({kind}s: {listed(known)})")


def _one_of(name: str, value, known) -> None:
    if value not in known:
        raise ValueError(f"{name} = {value!r}: must be one of {', '.join(known)}")


def _partition(channels, shared, own) -> tuple[list[str], list[str]]:
    """Global and market-specific channels, each channel in one of them."""
    _refuse_unknown(shared, channels, "channel", "global_channels: ")
    _refuse_unknown(own, channels, "channel", "market_specific_channels: ")
    if shared is None:
        shared = [] if own is None else [c for c in channels if c not in own]
    for channel in channels if own is not None else ():
        if (channel in shared) == (channel in own):
            where = "both global and market-specific" if channel in own else "neither"
            raise ValueError(f"{channel!r} is {where}; put it into exactly one list")
    return list(shared), [c for c in channels if c not in shared]


class HierarchicalMMM:
    """Media mix model of several markets: a thin face over the ``MMM`` in ``model.mmm``.

    Parameters
    ----------
    channel_columns, hierarchy_column, adstock_max_lag : list of str, str and int
        Columns of spend and of markets, and periods over which advertising acts.
    pooling_mode, global_channels, market_specific_channels : str, and lists of str
        ``partial``, ``complete`` or ``no`` pooling of effects; if partial, channels with the same
        effect everywhere and with one in each market, of which one list gives the other.
    hyperprior_config, correlation_structure : dict and {"independent", "lkj"}
        Entries of :data:`HYPERPRIORS` to replace, on the log scale of the scaled target; with
        partial pooling, whether a market's effects in its channels may be correlated.
    **kwargs
        What else ``MMM`` takes, as ``control_columns``; entries of ``model_config`` replace ours.
    """

    def __init__(
        self,
        date_column: str,
        channel_columns: list[str],
        hierarchy_column: str,
        adstock_max_lag: int,
        pooling_mode: Literal["partial", "complete", "no"] = "partial",
        global_channels: list[str] | None = None,
        market_specific_channels: list[str] | None = None,
        hyperprior_config: dict[str, Any] | None = None,
        correlation_structure: Literal["independent", "lkj"] = "independent",
        **kwargs: Any,
    ):
        self.date_column, self.hierarchy_column = date_column, hierarchy_column
        self.channel_columns = list(channel_columns)
        self.adstock_max_lag = adstock_max_lag
        self.pooling_mode, self.correlation_structure = pooling_mode, correlation_structure
        self.hyperprior_config = dict(hyperprior_config or {})
        self.kwargs = kwargs
        self.global_channels, self.market_specific_channels = _partition(
            self.channel_columns, global_channels, market_specific_channels
        )
        self._check_arguments()
        self.mmm: MMM | None = None

    def _check_arguments(self) -> None:
        channels, mode, lag = self.channel_columns, self.pooling_mode, self.adstock_max_lag
        structure, n_own = self.correlation_structure, len(self.market_specific_channels)
        _one_of("pooling_mode", mode, _POOLING)
        _one_of("correlation_structure", structure, _STRUCTURES)
        if not channels or len(set(channels)) < len(channels):
            raise ValueError(f"channel_columns = {channels}: name each channel once, at least one")
        if not (isinstance(lag, int) and lag >= 1):
            raise ValueError(f"adstock_max_lag = {lag!r}: must be 1 or more")
        if structure == "lkj" and (mode != "partial" or n_own < 2):
            raise ValueError(
                "correlation_structure = 'lkj': needs partial pooling and at least two "
                f"market-specific channels, not {mode!r} with {n_own}"
            )
        if mode != "partial" and self.global_channels:
            raise ValueError(
                f"global_channels with pooling_mode = {mode!r}: "
                "only partial pooling treats channels differently"
            )
        for name in set(self.hyperprior_config) - set(HYPERPRIORS):
            known = ", ".join(HYPERPRIORS)
            raise ValueError(f"hyperprior_config: {name!r} is unknown (known: {known})")
        for name in set(_OURS) & set(self.kwargs):
            raise ValueError(f"{name}: HierarchicalMMM sets it; use MMM itself to choose it")

    @property
    def idata(self) -> xr.DataTree:
        """Groups of the fitted ``MMM``."""
        if self.mmm is None or self.mmm.idata is None:
            raise RuntimeError("not fitted; call fit(X, y) first")
        return self.mmm.idata

    @property
    def markets(self) -> list[str]:
        """Markets in the model's order."""
        if self.mmm is None:
            raise RuntimeError("not built; call build_model(X, y) or fit(X, y) first")
        return [str(name) for name in self.mmm.model.coords[self.hierarchy_column]]

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The built model's data: what :func:`helpers.inference.sampling.fit_many` exchanges."""
        _ = self.markets
        return {variable.name: variable.get_value() for variable in self.mmm.model.data_vars}

    def _check_panel(self, X: pd.DataFrame, y) -> pd.DataFrame:
        """First and last date of each market."""
        keys = [self.date_column, self.hierarchy_column]
        needed = [*keys, *self.channel_columns, *(self.kwargs.get("control_columns") or [])]
        missing = [column for column in needed if column not in X.columns]
        if missing:
            raise DataError(f"{listed(missing)}: missing in X (present: {listed(X.columns)})")
        if len(y) != len(X):
            raise DataError(f"y: {len(y)} values for {len(X)} rows of X")
        blank = [column for column in needed if X[column].isna().any()]
        if blank or np.isnan(np.asarray(y, dtype=float)).any():
            raise DataError(f"{blank[0] if blank else 'y'}: blank values; leave such rows out")
        if X.duplicated(keys).any():
            raise DataError(f"{', '.join(keys)}: repeated rows; one a period in each market")
        return histories(X, date=keys[0], market=keys[1])

    def _build(self, X: pd.DataFrame, y, periods=None) -> MMM:
        mmm = hierarchical_mmm(
            self.channel_columns,
            hierarchical_priors(
                self.channel_columns,
                market=self.hierarchy_column,
                pooling_mode=self.pooling_mode,
                global_channels=self.global_channels,
                correlation_structure=self.correlation_structure,
                hyperpriors=self.hyperprior_config,
            ),
            date_column=self.date_column,
            market=self.hierarchy_column,
            max_lag=self.adstock_max_lag,
            periods=periods,
            **self.kwargs,
        )
        mmm.build_model(X, pd.Series(np.asarray(y, dtype=float), index=X.index))
        mmm.add_original_scale_contribution_variable(["y"])
        return mmm

    def build_model(
        self, X: pd.DataFrame, y: pd.Series | np.ndarray, *, unequal: str = "refuse"
    ) -> None:
        """Build ``self.mmm``; ``unequal="mask"`` admits markets with other first or last dates."""
        if unequal not in ("refuse", "mask"):
            raise ValueError(f"unequal = {unequal!r}: must be refuse or mask")
        spans = self._check_panel(X, y)
        if len(spans) < 2:
            raise DataError(
                f"{self.hierarchy_column}: one market only ({spans.index[0]}); use MMM itself"
            )
        if unequal == "refuse":
            refuse_unequal(spans, self.date_column)
        dates = np.sort(X[self.date_column].unique())
        first, last = np.searchsorted(dates, spans["first"]), np.searchsorted(dates, spans["last"])
        gaps = spans.index[(last + 1 - first) != spans["periods"]]
        if len(gaps):
            raise DataError(
                f"{self.date_column}: gaps in {listed(gaps, 5)}; one row a period between a "
                "market's first and last, with spend 0 where there was none"
            )
        equal = bool((spans["periods"] == len(dates)).all())
        self.mmm = self._build(X, y, None if equal else (first.tolist(), (last + 1).tolist()))

    def fit(
        self, X: pd.DataFrame, y: pd.Series | np.ndarray, *, unequal: str = "refuse", **kwargs: Any
    ) -> xr.DataTree:
        """Build the model and sample its posterior, also ``self.idata``, as ``MMM.fit`` does."""
        self.build_model(X, y, unequal=unequal)
        cores = cores_for(kwargs.get("chains", 4))
        defaults = {"target_accept": 0.95, "nuts_sampler": "nutpie", "progressbar": False}
        kwargs = defaults | {"cores": cores} | kwargs
        if kwargs["nuts_sampler"] == "nutpie":  # effect and rate of saturation trade off
            kwargs = {"nuts": {"adaptation": "low_rank"}} | kwargs
        # MMM's own switch, which `fit` has no argument for: deterministics come with the draws.
        # Computed afterwards they take a second compilation, and show progress, asked or not.
        self.mmm._recompute_deterministics = False
        y = pd.Series(np.asarray(y, dtype=float), index=X.index, name=self.mmm.target_column)
        return self.mmm.fit(X, y, **kwargs)

    def effect_draws(self, channel: str, kind: str = "contribution") -> np.ndarray:
        """Draws, (n_draws, n_markets), of what a channel does, in original units.

        ``contribution``, within the periods of the data as in the library; ``roas``, that by
        spend; ``marginal roas``, of one unit more if each period's spend grows by 1 %; ``effect``,
        what no spend exceeds in a period.
        """
        _refuse_unknown([channel], self.channel_columns, "channel")
        _one_of("kind", kind, _KINDS)
        posterior = self.idata["posterior"].to_dataset().sel(channel=channel)
        posterior = posterior.stack(sample=("chain", "draw"))
        effect = posterior["saturation_beta"] * float(self.mmm.scalers["_target"])
        if self.hierarchy_column not in effect.dims:
            effect = effect.expand_dims({self.hierarchy_column: self.markets})
        effect = effect.transpose("sample", self.hierarchy_column).to_numpy()
        if kind == "effect":
            return effect
        column = self.channel_columns.index(channel)
        spend = self.arrays["channel_data"][..., column]
        alpha, lam = (
            np.broadcast_to(posterior[name].to_numpy()[:, None], effect.shape)
            for name in ("adstock_alpha", "saturation_lam")
        )

        def total(factor):
            pressure = factor * spend / self.arrays["channel_scale"][column]
            weeks = media_contribution(
                pressure, alpha=alpha, lam=lam, beta=effect, l_max=self.adstock_max_lag
            )
            return weeks.sum(axis=1)

        if kind == "contribution":
            return total(1)
        spent = np.where(spend.any(axis=0), spend.sum(axis=0), np.nan)  # none where it never ran
        return total(1) / spent if kind == "roas" else (total(1.01) - total(1)) / (0.01 * spent)

    def get_market_effects(
        self, channel: str, markets: list[str] | None = None, *, kind: str = "contribution"
    ) -> pd.DataFrame:
        """Mean and interval of what a channel does in each market, as :meth:`effect_draws` says."""
        _refuse_unknown(markets, self.markets, "market")
        rows = mean_interval(self.effect_draws(channel, kind)).T
        frame = pd.DataFrame(rows, index=self.markets, columns=["mean", "lower", "upper"])
        frame = frame.rename_axis(self.hierarchy_column)
        return frame if markets is None else frame.loc[list(markets)]

    def plot_market_comparison(
        self,
        channels: list[str] | None = None,
        markets: list[str] | None = None,
        figsize: tuple[float, float] = (12, 6),
        *,
        kind: str = "contribution",
        unit: str | None = None,
    ) -> Figure:
        """What channels do by market, a panel a channel: means and the book's intervals."""
        import seaborn as sns

        _refuse_unknown(markets, self.markets, "market")
        channels = channels or self.market_specific_channels or self.channel_columns
        values = np.stack([self.effect_draws(c, kind) for c in channels])  # channel, draw, market
        channel, _, in_market = np.indices(values.shape).reshape(3, -1)
        frame = {
            "value": values.ravel(),
            "market": np.array(self.markets)[in_market],
            "channel": np.array(channels)[channel],
        }
        wrap, (width, height) = min(3, len(channels)), figsize
        height /= -(-len(channels) // wrap)  # of a panel
        grid = sns.catplot(
            pd.DataFrame(frame),
            x="value",
            y="market",
            col="channel",
            col_wrap=wrap,
            order=markets,
            kind="point",
            errorbar=("pi", 100 * INTERVAL),
            linestyle="none",
            height=height,
            aspect=width / height / wrap,
        )
        grid.set_titles("{col_name}")
        grid.set_axis_labels("", "")
        grid.figure.supxlabel(unit or kind, fontsize="medium")
        return grid.figure

    def get_pooling_factor(self, channel: str) -> float:
        """How far a channel's effects are pooled, from 0 to 1; 1 for a global channel."""
        _refuse_unknown([channel], self.channel_columns, "channel")
        if self.pooling_mode != "partial" or channel in self.global_channels:
            return 0.0 if self.pooling_mode == "no" else 1.0
        mean = self.idata["posterior"]["saturation_beta_mean"].sel(channel=channel)
        effect = self.effect_draws(channel, "effect") / float(self.mmm.scalers["_target"])
        return pooling_factor(np.log(effect) - mean.to_numpy().reshape(-1, 1))

    def predict_new_market(
        self, X_new: pd.DataFrame, market_name: str, n_samples: int = 1000, *, random_seed=None
    ) -> np.ndarray:
        """Sales, (n_samples, n_periods), of a market not in the data, drawn from the population."""
        if self.pooling_mode == "no":
            raise ValueError("pooling_mode = 'no' has no population to draw a new market from")
        if market_name in self.markets:
            raise ValueError(f"{market_name!r} was fitted; use mmm.sample_posterior_predictive")
        market = self.hierarchy_column
        X = X_new.assign(**{market: market_name})
        nothing = np.zeros(len(X))
        self._check_panel(X, nothing)
        mmm = self._build(X, nothing)
        for name in ("channel_scale", "target_scale"):
            mmm.model[name].set_value(self.mmm.model[name].get_value())
        posterior = self.idata["posterior"].to_dataset()
        posterior = posterior.drop_dims([market, "date"])
        rng = np.random.default_rng(random_seed)
        shape = posterior.sizes["chain"], posterior.sizes["draw"]
        chosen = np.unravel_index(rng.integers(np.prod(shape), size=n_samples), shape)
        chain, draw = (xr.DataArray(index, dims="sample") for index in chosen)
        draws = posterior.isel(chain=chain, draw=draw).drop_vars(["chain", "draw"])
        draws = draws.rename(sample="draw").expand_dims("chain").transpose("chain", "draw", ...)
        logging.getLogger("pymc").setLevel(logging.WARNING)  # else it lists what it draws
        drawn = pm.sample_posterior_predictive(
            draws,
            model=mmm.model,
            var_names=["y_original_scale"],
            random_seed=int(rng.integers(2**31)),
            progressbar=False,
            compile_kwargs={"mode": "FAST_COMPILE"},  # run once: to compile takes longest
        )
        y = drawn["posterior_predictive"]["y_original_scale"]
        return y.isel({"chain": 0, market: 0}).transpose("draw", "date").to_numpy()

    def save(self, path: str) -> None:
        """Write the fitted model to a ``.nc`` file, which ``MMM.load`` reads, too."""
        ours = [
            *("date_column", "channel_columns", "hierarchy_column", "adstock_max_lag"),
            *("pooling_mode", "global_channels", "hyperprior_config", "correlation_structure"),
        ]
        settings = {name: getattr(self, name) for name in ours} | self.kwargs
        self.idata.attrs["hierarchy"] = json.dumps(settings, default=lambda one: one.to_dict())
        self.mmm.save(path)

    @classmethod
    def load(cls, path: str) -> HierarchicalMMM:
        """The model that :meth:`save` wrote, with its posterior."""
        mmm = MMM.load(path)

        def read(data):  # innermost first
            return deserialize(data) if "dist" in data else data

        model = cls(**json.loads(mmm.idata.attrs["hierarchy"], object_hook=read))
        model.mmm = mmm
        return model
