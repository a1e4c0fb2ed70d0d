"""A media mix model of several markets: PyMC-Marketing's panel MMM with a population of markets."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Literal

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm
import pymc.dims as pmd
import pytensor.tensor as pt
import xarray as xr
from matplotlib.figure import Figure
from pymc_extras.deserialize import deserialize
from pymc_extras.prior import Prior
from pymc_marketing.mmm import MMM, GeometricAdstock, LogisticSaturation
from pymc_marketing.serialization import serialization
from pymc_marketing.special_priors import SpecialPrior
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

_OURS = {"dims", "adstock", "saturation", "scaling", "link"}
_POOLING = ("pooling_mode", "global_channels", "hyperprior_config", "correlation_structure")


def _with(prior: Prior, dims, transform=None) -> Prior:
    """A copy of a prior with these dims and this transform."""
    prior = deepcopy(prior)
    prior.dims, prior.transform = dims, transform
    return prior


@serialization.register
class _MarketPopulation(SpecialPrior):
    r"""Prior of positive effects, :math:`\log \beta_{mc} = \mu_c + \sigma_c z_{mc}`.

    With ``eta`` the z of a market are correlated, LKJ; channels in ``shared`` have one value.
    ``centered`` samples the logs themselves. A market not in the data gets its own draw.
    """

    def _checks(self) -> None:  # a list comes back from a file as an array
        self.parameters["shared"] = [str(name) for name in self.parameters["shared"]]

    def create_variable(self, name: str, xdist: bool = True):
        """Add the parameter to the model on the stack, its hyperparameters called after it."""
        mean, sd, shared, eta = (self.parameters[k] for k in ("mean", "sd", "shared", "eta"))
        model = pm.modelcontext(None)
        channels = list(model.coords["channel"])
        varying = [channel for channel in channels if channel not in shared]
        columns, dims = [channels.index(channel) for channel in varying], (self.dims[0], "varying")
        model.add_coord("varying", varying)
        mean = mean.create_variable(f"{name}_mean", xdist=True).values
        centre = mean[columns]
        if eta is None:
            sd = sd.create_variable(f"{name}_sd", xdist=True)
        if eta is None and self.centered:
            # of sd's shape: PyMC finds no starting point for a length that is known to be one
            centre = as_xtensor(pt.zeros_like(sd.values) + centre, dims=("varying",))
            own = pmd.Normal(f"{name}_log", mu=centre, sigma=sd, dims=dims).values
        else:
            z = pmd.Normal(f"{name}_z", mu=0, sigma=1, dims=dims).values
            if eta is None:
                own = centre + z * sd.values
            else:
                sd = sd.pymc_distribution.dist(**sd.parameters, shape=len(varying))
                cholesky, corr, _ = pm.LKJCholeskyCov(
                    f"{name}_cov", n=len(varying), eta=eta, sd_dist=sd, store_in_trace=False
                )
                pm.Deterministic(f"{name}_corr", corr)
                own = centre + z @ cholesky.T
        log = (pt.zeros((own.shape[0], len(channels))) + mean)[:, columns].set(own)
        return pmd.Deterministic(name, pmd.math.exp(as_xtensor(log, dims=self.dims)))


@serialization.register
class _MaskedNormal(SpecialPrior):
    """Normal likelihood of markets with unequal histories: what was not observed does not count."""

    distribution = "Normal"  # for MMM: its mean is the target's

    def _checks(self) -> None:
        pass

    def create_variable(self, name: str):
        """Not a parameter."""
        raise NotImplementedError

    def create_likelihood_variable(self, name: str, mu, observed, xdist: bool = True):
        """Add the likelihood of the scaled target to the model on the stack."""
        date, market = self.dims
        sigma = self._create_parameter("sigma", self.parameters["sigma"], name, xdist=True)
        first, stop = (
            pmd.Data(f"{end}_period", np.array(self.parameters[end]), dims=(market,))
            for end in ("first", "stop")
        )
        period = as_xtensor(pt.arange(mu.sizes[date]), dims=(date,))
        hidden = pmd.math.logical_or(period < first, period >= stop)
        # a model that predicts is given a target of zeros: then nothing is hidden
        hidden = pmd.math.logical_and(hidden, abs(observed).sum() > 0)
        mu = pmd.math.switch(hidden, observed, mu)
        sigma = pmd.math.switch(hidden, 1.0, sigma)
        return pmd.Normal(name, mu=mu, sigma=sigma, observed=observed, dims=self.dims)


def hierarchical_priors(
    channel_columns: Sequence[str],
    hierarchy_column: str = "market",
    *,
    pooling_mode: Literal["partial", "complete", "no"] = "partial",
    global_channels: Sequence[str] = (),
    hyperprior_config: dict[str, Any] | None = None,
    correlation_structure: Literal["independent", "lkj"] = "independent",
    periods: tuple[Sequence[int], Sequence[int]] | None = None,
) -> dict[str, Any]:
    """Priors of a panel MMM: effects pooled as asked, levels and noise always of each market.

    Parameters
    ----------
    channel_columns, hierarchy_column, pooling_mode, global_channels : object
        As for :class:`HierarchicalMMM`.
    hyperprior_config, correlation_structure, periods : object
        As well; for unequal histories, each market's first period, and the first after its last.

    Returns
    -------
    dict
        Priors of the scaled target, and its likelihood, as ``MMM`` names them.
    """
    hyper, market = HYPERPRIORS | (hyperprior_config or {}), hierarchy_column
    if pooling_mode == "no":
        effect = _with(hyper["alone"], (market, "channel"), "exp")
    elif pooling_mode == "complete" or len(global_channels) == len(channel_columns):
        effect = _with(hyper["mean"], "channel", "exp")
    else:
        effect = _MarketPopulation(
            mean=_with(hyper["mean"], "channel"),
            sd=_with(hyper["sd"], "varying"),
            shared=global_channels,
            eta=hyper["eta"] if correlation_structure == "lkj" else None,
            centered=hyper["centered"],
            dims=(market, "channel"),
        )
    level, noise = (
        Prior("Normal", mu=hyper[f"{k}_mean"], sigma=hyper[f"{k}_sd"], dims=market, transform="exp")
        for k in ("level", "noise")
    )
    likelihood = Prior("Normal", sigma=noise, dims=("date", market))
    if periods is not None:
        first, stop = periods
        likelihood = _MaskedNormal(sigma=noise, first=first, stop=stop, dims=("date", market))
    priors = {
        "saturation_beta": effect,
        "saturation_lam": Prior("Gamma", alpha=3, beta=1, dims="channel"),
        "adstock_alpha": Prior("Beta", alpha=1, beta=3, dims="channel"),
        "intercept": level,
        "likelihood": likelihood,
    }
    if pooling_mode != "no":
        for name, dim in (("gamma_control", "control"), ("gamma_fourier", "fourier_mode")):
            priors[name] = Prior(
                "Normal",
                mu=Prior("Normal", mu=0, sigma=1, dims=dim),
                sigma=Prior("HalfNormal", sigma=0.5, dims=dim),
                dims=(market, dim),
                centered=False,
            )
    return priors


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


class HierarchicalMMM:
    """Media mix model of several markets: a thin face over the ``MMM`` in ``model.mmm``.

    Parameters
    ----------
    date_column, channel_columns, hierarchy_column, adstock_max_lag : str, list of str, str and int
        Columns of dates, spend and markets, and periods over which advertising acts.
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
        channels, shared, own = list(channel_columns), global_channels, market_specific_channels
        _refuse_unknown(shared, channels, "channel", "global_channels: ")
        _refuse_unknown(own, channels, "channel", "market_specific_channels: ")
        if shared is None:
            shared = [c for c in channels if own is not None and c not in own]
        if own is None:
            own = [c for c in channels if c not in shared]
        self.date_column, self.hierarchy_column = date_column, hierarchy_column
        self.channel_columns, self.adstock_max_lag = channels, adstock_max_lag
        self.pooling_mode, self.correlation_structure = pooling_mode, correlation_structure
        self.global_channels, self.market_specific_channels = list(shared), list(own)
        self.hyperprior_config, self.kwargs = dict(hyperprior_config or {}), kwargs
        self._check_arguments()
        self.mmm: MMM | None = None

    def _check_arguments(self) -> None:
        channels, lag, mode = self.channel_columns, self.adstock_max_lag, self.pooling_mode
        shared, own = self.global_channels, self.market_specific_channels
        _one_of("pooling_mode", mode, ("partial", "complete", "no"))
        _one_of("correlation_structure", self.correlation_structure, ("independent", "lkj"))
        if not channels or len(set(channels)) < len(channels):
            raise ValueError(f"channel_columns = {channels}: name each channel once, at least one")
        for channel in channels:
            if (channel in shared) == (channel in own):
                where = "both global and market-specific" if channel in own else "neither"
                raise ValueError(f"{channel!r} is {where}; put it into exactly one list")
        if not (isinstance(lag, int) and lag >= 1):
            raise ValueError(f"adstock_max_lag = {lag!r}: must be 1 or more")
        if self.correlation_structure == "lkj" and (mode != "partial" or len(own) < 2):
            raise ValueError(
                "correlation_structure = 'lkj': needs partial pooling and at least two "
                f"market-specific channels, not {mode!r} with {len(own)}"
            )
        if mode != "partial" and shared:
            raise ValueError(
                f"global_channels with pooling_mode = {mode!r}: "
                "only partial pooling treats channels differently"
            )
        for name in self.hyperprior_config.keys() - HYPERPRIORS:
            known = ", ".join(HYPERPRIORS)
            raise ValueError(f"hyperprior_config: {name!r} is unknown (known: {known})")
        for name in _OURS & self.kwargs.keys():
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

    def _check_panel(self, X: pd.DataFrame, y: np.ndarray) -> pd.DataFrame:
        """First and last date of each market."""
        keys = [self.date_column, self.hierarchy_column]
        needed = [*keys, *self.channel_columns, *(self.kwargs.get("control_columns") or [])]
        missing = [column for column in needed if column not in X.columns]
        if missing:
            raise DataError(f"{listed(missing)}: missing in X (present: {listed(X.columns)})")
        if len(y) != len(X):
            raise DataError(f"y: {len(y)} values for {len(X)} rows of X")
        blank = [column for column in needed if X[column].isna().any()]
        if blank or np.isnan(y).any():
            raise DataError(f"{blank[0] if blank else 'y'}: blank values; leave such rows out")
        if X.duplicated(keys).any():
            raise DataError(f"{', '.join(keys)}: repeated rows; one a period in each market")
        return histories(X, date=keys[0], market=keys[1])

    def _build(self, X: pd.DataFrame, y: np.ndarray, periods=None) -> MMM:
        """PyMC-Marketing's panel ``MMM`` with the priors of :func:`hierarchical_priors`."""
        market, channels = self.hierarchy_column, self.channel_columns
        pooling = {name: getattr(self, name) for name in _POOLING}
        priors = hierarchical_priors(channels, market, **pooling, periods=periods)
        mmm = MMM(
            dims=(market,),
            date_column=self.date_column,
            channel_columns=channels,
            adstock=GeometricAdstock(l_max=self.adstock_max_lag),
            saturation=LogisticSaturation(),
            **self.kwargs | {"model_config": priors | (self.kwargs.get("model_config") or {})},
        )
        mmm.build_model(X, pd.Series(y, index=X.index))
        mmm.add_original_scale_contribution_variable(["y"])
        return mmm

    def build_model(
        self, X: pd.DataFrame, y: pd.Series | np.ndarray, *, unequal: str = "refuse"
    ) -> None:
        """Build ``self.mmm``; ``unequal="mask"`` admits markets with other first or last dates."""
        _one_of("unequal", unequal, ("refuse", "mask"))
        y = np.asarray(y, dtype=float)
        spans = self._check_panel(X, y)
        if len(spans) < 2:
            raise DataError(
                f"{self.hierarchy_column}: one market only ({spans.index[0]}); use MMM itself"
            )
        if unequal == "refuse":
            refuse_unequal(spans, self.date_column)
        dates = np.sort(X[self.date_column].unique())
        first = np.searchsorted(dates, spans["first"])
        stop = np.searchsorted(dates, spans["last"], side="right")
        gaps = spans.index[stop - first != spans["periods"]]
        if len(gaps):
            raise DataError(
                f"{self.date_column}: gaps in {listed(gaps, 5)}; one row a period between a "
                "market's first and last, with spend 0 where there was none"
            )
        equal = bool((spans["periods"] == len(dates)).all())
        self.mmm = self._build(X, y, None if equal else (first.tolist(), stop.tolist()))

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
        _one_of("kind", kind, ("contribution", "roas", "marginal roas", "effect"))
        posterior = az.extract(self.idata, keep_dataset=True).sel(channel=channel)
        effect = posterior["saturation_beta"] * float(self.mmm.scalers["_target"])
        if self.hierarchy_column not in effect.dims:
            effect = effect.expand_dims({self.hierarchy_column: self.markets})
        effect = effect.transpose("sample", self.hierarchy_column).to_numpy()
        if kind == "effect":
            return effect
        column = self.channel_columns.index(channel)
        arrays = self.arrays
        spend = arrays["channel_data"][..., column]
        curve = {
            "alpha": posterior["adstock_alpha"].to_numpy()[:, None],
            "lam": posterior["saturation_lam"].to_numpy()[:, None],
            "beta": effect,
            "l_max": self.adstock_max_lag,
        }

        def total(factor):
            pressure = factor * spend / arrays["channel_scale"][column]
            return media_contribution(pressure, **curve).sum(axis=1)

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
        frames = {
            c: pd.DataFrame(self.effect_draws(c, kind), columns=self.markets) for c in channels
        }
        draws = pd.concat(frames, names=["channel"])
        wrap, (width, height) = min(3, len(channels)), figsize
        height /= -(-len(channels) // wrap)  # of a panel
        shape = {"col_wrap": wrap, "height": height, "aspect": width / height / wrap}
        points = {"kind": "point", "linestyle": "none", "errorbar": ("pi", 100 * INTERVAL)}
        grid = sns.catplot(
            draws.melt(var_name="market", ignore_index=False).reset_index(),
            x="value",
            y="market",
            col="channel",
            order=markets,
            **points,
            **shape,
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
        X, nothing = X_new.assign(**{self.hierarchy_column: market_name}), np.zeros(len(X_new))
        self._check_panel(X, nothing)
        mmm = self._build(X, nothing)
        for name in ("channel_scale", "target_scale"):
            mmm.model[name].set_value(self.arrays[name])
        posterior = self.idata["posterior"].to_dataset()
        posterior = posterior.drop_dims([self.hierarchy_column, "date"], errors="ignore")
        posterior = posterior.stack(sample=("chain", "draw")).reset_index("sample", drop=True)
        rng = np.random.default_rng(random_seed)
        draws = posterior.isel(sample=rng.integers(posterior.sizes["sample"], size=n_samples))
        logging.getLogger("pymc").setLevel(logging.WARNING)  # else it lists what it draws
        drawn = pm.sample_posterior_predictive(
            draws.expand_dims("chain").rename(sample="draw").transpose("chain", "draw", ...),
            model=mmm.model,
            var_names=["y_original_scale"],
            random_seed=int(rng.integers(2**31)),
            progressbar=False,
            compile_kwargs={"mode": "FAST_COMPILE"},  # run once: to compile takes longest
        )
        y = drawn["posterior_predictive"]["y_original_scale"]
        return y.isel({"chain": 0, self.hierarchy_column: 0}).transpose("draw", "date").to_numpy()

    def save(self, path: str) -> None:
        """Write the fitted model to a ``.nc`` file, which ``MMM.load`` reads, too."""
        columns = ("date_column", "channel_columns", "hierarchy_column", "adstock_max_lag")
        settings = {name: getattr(self, name) for name in (*columns, *_POOLING)} | self.kwargs
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
