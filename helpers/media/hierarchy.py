"""A media mix model of several markets: PyMC-Marketing's panel MMM with a population of markets.

Nothing of ``MMM`` is overridden. A prior factory draws a parameter's markets from a population,
and :class:`HierarchicalMMM` is a small face over the ``MMM`` that it builds.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, Literal

import numpy as np
import pandas as pd
import pymc as pm
import pymc.dims as pmd
import pytensor.tensor as pt
import xarray as xr
from pymc_extras.deserialize import deserialize, register_deserialization
from pymc_extras.prior import Prior
from pymc_marketing.mmm import MMM, GeometricAdstock, LogisticSaturation
from pymc_marketing.mmm.scaling import FixedScaling, Scaling
from pymc_marketing.serialization import serialization
from pytensor.xtensor import as_xtensor

from helpers.data.columns import DataError, listed
from helpers.inference.sampling import cores_for
from helpers.media.load import histories, refuse_unequal
from helpers.notebook.claims import mean_interval

POOLING = ("partial", "complete", "no")

CORRELATIONS = ("independent", "lkj")

_OURS = ("dims", "adstock", "saturation", "scaling", "link")

KINDS = ("effect", "contribution", "roas", "marginal roas")

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


def _reading(prior: Prior, dims=(), transform=None) -> Prior:
    prior = deepcopy(prior)
    prior.dims, prior.transform = dims or None, transform
    return prior


def _lkj_cholesky(name: str, n: int, eta: float):
    """Cholesky factor of an LKJ correlation matrix, by its partial correlations.

    ``pm.LKJCorr`` would do, but its prior draws are the identity in PyMC 6.3.
    """
    row, column = np.tril_indices(n, -1)
    shape = eta + (n - 2 - column) / 2
    partial = 2 * pm.Beta(f"{name}_partial", alpha=shape, beta=shape) - 1
    partial = pt.zeros((n, n))[row, column].set(partial)
    left = pt.concatenate([pt.ones((n, 1)), pt.cumprod(1 - partial**2, axis=1)[:, :-1]], axis=1)
    cholesky = (partial + pt.eye(n)) * pt.sqrt(left)
    pm.Deterministic(name, cholesky @ cholesky.T)
    return cholesky


@serialization.register
class Population:
    r"""Prior of a positive parameter whose markets are drawn from one population.

    .. math:: \log \beta_{mc} = \mu_c + \sigma_c z_{mc}, \qquad z_m \sim \text{Normal}(0, R)

    Channels in ``shared`` have :math:`\sigma_c = 0`: one value for all markets. A market that the
    data do not hold gets its own draw when PyMC redraws what carries the market's dim.

    Parameters
    ----------
    mean, sd : Prior
        Priors of :math:`\mu` and :math:`\sigma`, without dims.
    dims : tuple of str
        The dim of markets, and ``"channel"`` for a parameter of channels.
    shared : sequence of str
        Channels with one value everywhere.
    eta : float, optional
        Correlate the other channels: :math:`R \sim \text{LKJ}(\eta)`. Without it, R = 1.
    centered : bool
        Whether the logs themselves are sampled: for what every market's data determine well.
        Not with correlations.

    Examples
    --------
    >>> prior = Population(Prior("Normal"), Prior("HalfNormal"), dims=("market", "channel"))
    >>> Population.from_dict(prior.to_dict()) == prior
    True
    """

    def __init__(self, mean, sd, *, dims, shared=(), eta=None, centered=False):
        self.mean, self.sd, self.eta, self.centered = mean, sd, eta, centered
        self.dims, self.shared = tuple(dims), list(shared)

    def create_variable(self, name: str, xdist: bool = True):
        """Add the parameter to the model on the stack.

        Parameters
        ----------
        name : str
            Name of the parameter; its hyperparameters are called after it.
        xdist : bool
            Always true: the factory makes variables with dims.

        Returns
        -------
        XTensorVariable
            The parameter, with ``dims``.
        """
        model = pm.modelcontext(None)
        mean = _reading(self.mean, self.dims[1:]).create_variable(f"{name}_mean", xdist=True)
        if len(self.dims) == 1:
            sd = self.sd.create_variable(f"{name}_sd", xdist=True)
            if self.centered:
                log = pmd.Normal(f"{name}_log", mu=mean, sigma=sd, dims=self.dims)
            else:
                log = mean + sd * pmd.Normal(f"{name}_z", mu=0, sigma=1, dims=self.dims)
            return pmd.Deterministic(name, pmd.math.exp(log))
        channels = list(model.coords["channel"])
        varying = [channel for channel in channels if channel not in self.shared]
        model.add_coord("varying", varying)
        sd = _reading(self.sd, ("varying",)).create_variable(f"{name}_sd", xdist=True)
        columns = [channels.index(channel) for channel in varying]
        dims = self.dims[0], "varying"
        if self.centered and self.eta is None:
            # of sd's shape: PyMC finds no starting point for a length that is known to be one
            centre = pt.zeros_like(sd.values) + mean.values[columns]
            centre = as_xtensor(centre, dims=("varying",))
            own = pmd.Normal(f"{name}_log", mu=centre, sigma=sd, dims=dims).values
            log = pt.zeros((own.shape[0], len(channels))) + mean.values
            log = as_xtensor(log[:, columns].set(own), dims=self.dims)
        else:
            z = pmd.Normal(f"{name}_z", mu=0, sigma=1, dims=dims).values
            if self.eta is not None:
                z = z @ _lkj_cholesky(f"{name}_corr", len(varying), self.eta).T
            deviation = pt.zeros((z.shape[0], len(channels)))[:, columns].set(z * sd.values)
            log = mean + as_xtensor(deviation, dims=self.dims)
        return pmd.Deterministic(name, pmd.math.exp(log), dims=self.dims)

    def to_dict(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold.

        Returns
        -------
        dict
            What :meth:`from_dict` reads.
        """
        return {
            "population": {"mean": self.mean.to_dict(), "sd": self.sd.to_dict()},
            "dims": list(self.dims),
            "shared": self.shared,
            "eta": self.eta,
            "centered": self.centered,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Population:
        """From a dictionary.

        Parameters
        ----------
        data : dict
            What :meth:`to_dict` gave.

        Returns
        -------
        Population
            An equal one.
        """
        hyper = {name: deserialize(prior) for name, prior in data["population"].items()}
        return cls(**hyper, **{key: data[key] for key in ("dims", "shared", "eta", "centered")})

    def __eq__(self, other):
        return type(other) is type(self) and other.to_dict() == self.to_dict()

    def __hash__(self):
        return hash(json.dumps(self.to_dict(), sort_keys=True))


@serialization.register
class MaskedNormal:
    """Normal likelihood of markets with unequal histories: what was not observed does not count.

    ``MMM`` fills missing periods with zeros. Here their density does not depend on a parameter.

    Parameters
    ----------
    sigma : Population or Prior
        Standard deviation of each market.
    first, stop : sequence of int
        Position of each market's first period, and of the first one after its last.
    dims : tuple of str
        Dims of the target: the dates, the markets.
    """

    def __init__(self, sigma, first, stop, *, dims):
        self.sigma, self.dims = sigma, tuple(dims)
        self.first, self.stop = [int(i) for i in first], [int(i) for i in stop]

    def create_likelihood_variable(self, name: str, mu, observed, xdist: bool = True):
        """Add the likelihood to the model on the stack.

        Parameters
        ----------
        name : str
            Name of the target.
        mu : XTensorVariable
            Its mean.
        observed : XTensorVariable
            Scaled target.
        xdist : bool
            Always true.

        Returns
        -------
        XTensorVariable
            The target.
        """
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
        return pmd.Normal(name, mu=mu, sigma=sigma, observed=observed, dims=self.dims)

    def to_dict(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold.

        Returns
        -------
        dict
            What :meth:`from_dict` reads.
        """
        data = {"first": self.first, "stop": self.stop, "dims": list(self.dims)}
        return data | {"masked_sigma": self.sigma.to_dict()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> MaskedNormal:
        """From a dictionary.

        Parameters
        ----------
        data : dict
            What :meth:`to_dict` gave.

        Returns
        -------
        MaskedNormal
            An equal one.
        """
        sigma = deserialize(data["masked_sigma"])
        return cls(sigma, data["first"], data["stop"], dims=data["dims"])


# A prior inside another prior is read through the second registry.
register_deserialization(lambda data: "population" in data, Population.from_dict)

register_deserialization(lambda data: "masked_sigma" in data, MaskedNormal.from_dict)


@contextmanager
def _quiet():
    """Without what MMM says of a likelihood that it does not know: its mean is the target's."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Likelihood 'MaskedNormal' is not a known")
        yield


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
    channels : sequence of str
        All channels, in order.
    market : str
        Dim of the markets.
    pooling_mode : {"partial", "complete", "no"}
        Whether effects come from a population, are the same everywhere, or have nothing in common.
    global_channels : sequence of str
        With partial pooling, channels with the same effect everywhere.
    correlation_structure : {"independent", "lkj"}
        With partial pooling, whether a market's effects may be correlated.
    hyperpriors : dict, optional
        Entries of :data:`HYPERPRIORS` to replace.

    Returns
    -------
    dict
        ``effect``, ``carry_over`` and ``steepness`` (one a channel, for all markets), ``level``
        and ``noise``: priors of the scaled target.

    Examples
    --------
    >>> priors = hierarchical_priors(["tv", "radio"], pooling_mode="complete")
    >>> priors["effect"].dims
    ('channel',)
    """
    hyper = HYPERPRIORS | (hyperpriors or {})
    both = (market, "channel")
    eta = hyper["eta"] if correlation_structure == "lkj" else None
    if pooling_mode == "no":
        effect = _reading(hyper["alone"], both, "exp")
    elif pooling_mode == "complete" or len(global_channels) == len(channels):
        effect = _reading(hyper["mean"], ("channel",), "exp")
    else:
        effect = Population(
            hyper["mean"],
            hyper["sd"],
            dims=both,
            shared=global_channels,
            eta=eta,
            centered=hyper["centered"],
        )
    level, noise = (
        Population(hyper[f"{name}_mean"], hyper[f"{name}_sd"], dims=(market,), centered=True)
        for name in ("level", "noise")
    )
    return {
        "effect": effect,
        "carry_over": Prior("Beta", alpha=1, beta=3, dims="channel"),
        "steepness": Prior("Gamma", alpha=3, beta=1, dims="channel"),
        "level": level,
        "noise": noise,
    }


def pooling_factor(deviation: np.ndarray) -> float:
    r"""How much the population, and not a market's own data, decides its deviation.

    .. math:: \lambda = 1 - \frac{\text{Var}_m(\text{E}[\epsilon_m])}
              {\text{E}[\text{Var}_m(\epsilon_m)]}

    Parameters
    ----------
    deviation : array, shape (n_draws, n_markets)
        Draws of the markets' deviations from the population's mean.

    Returns
    -------
    float
        Between 0 (no pooling) and 1 (complete).

    References
    ----------
    :cite:`gelman2006pooling`

    Examples
    --------
    >>> pooling_factor(np.array([[0.0, 1.0], [0.0, 1.0]]))
    0.0
    """
    between = deviation.mean(axis=0).var(ddof=1)
    total = deviation.var(axis=1, ddof=1).mean()
    return 1.0 if total == 0 else float(np.clip(1 - between / total, 0, 1))


def _coefficients(market: str, dim: str) -> Prior:
    """Coefficients of controls or seasons, each with a population of markets of its own."""
    return Prior(
        "Normal",
        mu=Prior("Normal", mu=0, sigma=1, dims=dim),
        sigma=Prior("HalfNormal", sigma=0.5, dims=dim),
        dims=(market, dim),
        centered=False,
    )


class HierarchicalMMM:
    """Media mix model of several markets.

    ``model.mmm`` is PyMC-Marketing's ``MMM(dims=(hierarchy_column,))`` with the priors of
    :func:`hierarchical_priors`: its plots, budget optimiser, incrementality and lift tests work
    as documented there. One scale of the target and one of each channel serve all markets, so
    that an effect means the same everywhere: sales in original units that a channel cannot
    exceed, by ``target_scale``. Carry-over and saturation belong to the channel.

    Parameters
    ----------
    date_column : str
        Column of dates.
    channel_columns : list of str
        Columns of spend.
    hierarchy_column : str
        Column of markets.
    adstock_max_lag : int
        Periods over which advertising acts.
    pooling_mode : {"partial", "complete", "no"}
        How the effects of markets belong together. Levels and noise are always of each market.
    global_channels : list of str, optional
        Channels with the same effect everywhere.
    market_specific_channels : list of str, optional
        Channels with an effect in each market. If one list is given, the other is its rest;
        without both, all channels are market-specific. They concern partial pooling only.
    hyperprior_config : dict, optional
        Entries of :data:`HYPERPRIORS` to replace: priors on the log scale, of the scaled target.
    correlation_structure : {"independent", "lkj"}
        Whether a market's effects in different channels may be correlated.
    **kwargs
        What else ``MMM`` takes: ``target_column``, ``control_columns``, ``yearly_seasonality``,
        ``sampler_config``; entries of ``model_config`` replace ours.

    Raises
    ------
    ValueError
        If a name or a combination of arguments is not possible.

    Examples
    --------
    >>> model = HierarchicalMMM("date", ["tv", "online"], "market", 4, global_channels=["online"])
    >>> model.market_specific_channels
    ['tv']
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
        self.global_channels, self.market_specific_channels = self._split(
            global_channels, market_specific_channels
        )
        self._check_arguments()
        self.mmm: MMM | None = None

    def _split(self, shared, own):
        """Both lists of channels, each channel in one of them."""
        for name, given in (("global_channels", shared), ("market_specific_channels", own)):
            unknown = [one for one in given or () if one not in self.channel_columns]
            if unknown:
                raise ValueError(
                    f"{name}: {unknown[0]!r} is no channel (channels: "
                    f"{listed(self.channel_columns)})"
                )
        if shared is None:
            shared = [] if own is None else [c for c in self.channel_columns if c not in own]
        elif own is not None:
            for channel in self.channel_columns:
                if (channel in shared) == (channel in own):
                    where = "both global and market-specific" if channel in own else "neither"
                    raise ValueError(f"{channel!r} is {where}; put it into exactly one list")
        rest = [c for c in self.channel_columns if c not in shared]
        return list(shared), rest

    def _check_arguments(self) -> None:
        channels, n_free = self.channel_columns, len(self.market_specific_channels)
        for name, value, known in (
            ("pooling_mode", self.pooling_mode, POOLING),
            ("correlation_structure", self.correlation_structure, CORRELATIONS),
        ):
            if value not in known:
                raise ValueError(f"{name} = {value!r}: must be one of {', '.join(known)}")
        if not channels or len(set(channels)) < len(channels):
            raise ValueError(f"channel_columns = {channels}: name each channel once, at least one")
        if not (isinstance(self.adstock_max_lag, int) and self.adstock_max_lag >= 1):
            raise ValueError(f"adstock_max_lag = {self.adstock_max_lag!r}: must be 1 or more")
        if self.correlation_structure == "lkj" and (self.pooling_mode != "partial" or n_free < 2):
            raise ValueError(
                "correlation_structure = 'lkj': needs partial pooling and at least two "
                f"market-specific channels, not {self.pooling_mode!r} with {n_free}"
            )
        if self.pooling_mode != "partial" and self.global_channels:
            raise ValueError(
                f"global_channels with pooling_mode = {self.pooling_mode!r}: "
                "only partial pooling treats channels differently"
            )
        unknown = set(self.hyperprior_config) - set(HYPERPRIORS)
        if unknown:
            raise ValueError(
                f"hyperprior_config: {min(unknown)!r} is unknown (known: {', '.join(HYPERPRIORS)})"
            )
        taken = set(_OURS) & set(self.kwargs)
        if taken:
            raise ValueError(f"{min(taken)}: HierarchicalMMM sets it; use MMM itself to choose it")

    @property
    def idata(self) -> xr.DataTree:
        """Groups of the fitted ``MMM``.

        Returns
        -------
        xarray.DataTree
            With the group ``posterior``.
        """
        if self.mmm is None or self.mmm.idata is None:
            raise RuntimeError("not fitted; call fit(X, y) first")
        return self.mmm.idata

    @property
    def markets(self) -> list[str]:
        """Markets in the model's order.

        Returns
        -------
        list of str
            Their names.
        """
        if self.mmm is None:
            raise RuntimeError("not built; call build_model(X, y) or fit(X, y) first")
        return [str(name) for name in self.mmm.model.coords[self.hierarchy_column]]

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The built model's data: what :func:`helpers.inference.sampling.fit_many` exchanges.

        Returns
        -------
        dict
            Arrays by name.
        """
        _ = self.markets
        data = self.mmm.model.data_vars
        return {variable.name: variable.get_value() for variable in data}

    def _check_panel(self, X: pd.DataFrame, y) -> pd.DataFrame:
        """First and last date of each market."""
        needed = [self.date_column, self.hierarchy_column, *self.channel_columns]
        needed += self.kwargs.get("control_columns") or []
        missing = [column for column in needed if column not in X.columns]
        if missing:
            raise DataError(f"{listed(missing)}: missing in X (present: {listed(X.columns)})")
        if len(y) != len(X):
            raise DataError(f"y: {len(y)} values for {len(X)} rows of X")
        blank = [column for column in needed if X[column].isna().any()]
        if blank or np.isnan(np.asarray(y, dtype=float)).any():
            raise DataError(f"{blank[0] if blank else 'y'}: blank values; leave such rows out")
        keys = [self.date_column, self.hierarchy_column]
        if X.duplicated(keys).any():
            raise DataError(f"{', '.join(keys)}: repeated rows; one a period in each market")
        return histories(X, date=keys[0], market=keys[1])

    def build_model(
        self, X: pd.DataFrame, y: pd.Series | np.ndarray, *, unequal: str = "refuse"
    ) -> None:
        """Build the ``MMM``, as ``self.mmm``.

        Parameters
        ----------
        X : pandas.DataFrame
            Dates, markets, spend and controls, a row for each market and period.
        y : pandas.Series or array
            Target, as long as ``X``.
        unequal : {"refuse", "mask"}
            What to do with markets that start or end at different dates. Masked periods carry no
            weight, and no spend.

        Raises
        ------
        DataError
            If columns or values are missing or rows repeated, there is one market only, or the
            histories differ or have gaps and may not.
        """
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
        first, stop = np.searchsorted(dates, spans["first"]), np.searchsorted(dates, spans["last"])
        gaps = spans.index[(stop + 1 - first) != spans["periods"]]
        if len(gaps):
            raise DataError(
                f"{self.date_column}: gaps in {listed(gaps, 5)}; one row a period between a "
                "market's first and last, with spend 0 where there was none"
            )
        equal = bool((spans["periods"] == len(dates)).all())
        self.mmm = self._mmm(None if equal else (first, stop + 1))
        self._build(self.mmm, X, y)

    def _build(self, mmm: MMM, X, y) -> None:
        with _quiet():
            mmm.build_model(X, pd.Series(np.asarray(y, dtype=float), index=X.index))
        mmm.add_original_scale_contribution_variable(["y"])

    def _mmm(self, periods=None, scaling: Scaling | None = None) -> MMM:
        market = self.hierarchy_column
        priors = hierarchical_priors(
            self.channel_columns,
            market=market,
            pooling_mode=self.pooling_mode,
            global_channels=self.global_channels,
            correlation_structure=self.correlation_structure,
            hyperpriors=self.hyperprior_config,
        )
        likelihood = (
            Prior("Normal", sigma=priors["noise"], dims=("date", market))
            if periods is None
            else MaskedNormal(priors["noise"], *periods, dims=("date", market))
        )
        config = {"intercept": priors["level"], "likelihood": likelihood}
        if self.pooling_mode != "no":
            config["gamma_control"] = _coefficients(market, "control")
            config["gamma_fourier"] = _coefficients(market, "fourier_mode")
        more = {"scaling": scaling} if scaling is not None else {}
        kwargs = {k: v for k, v in self.kwargs.items() if k != "model_config"}
        return MMM(
            date_column=self.date_column,
            channel_columns=self.channel_columns,
            adstock=GeometricAdstock(
                l_max=self.adstock_max_lag, priors={"alpha": priors["carry_over"]}
            ),
            saturation=LogisticSaturation(
                priors={"lam": priors["steepness"], "beta": priors["effect"]}
            ),
            dims=(market,),
            model_config=config | (self.kwargs.get("model_config") or {}),
            **(kwargs | more),
        )

    def fit(
        self, X: pd.DataFrame, y: pd.Series | np.ndarray, *, unequal: str = "refuse", **kwargs: Any
    ) -> xr.DataTree:
        """Build the model and sample its posterior.

        Parameters
        ----------
        X, y : pandas.DataFrame, pandas.Series or array
            As for :meth:`build_model`.
        unequal : {"refuse", "mask"}
            As for :meth:`build_model`.
        **kwargs
            What ``MMM.fit`` takes: ``draws``, ``tune``, ``chains``, ``random_seed``;
            ``target_accept`` is 0.95 if not given.

        Returns
        -------
        xarray.DataTree
            As ``MMM.fit`` gives it, also ``self.idata``.
        """
        self.build_model(X, y, unequal=unequal)
        kwargs = {
            "target_accept": 0.95,
            "nuts_sampler": "nutpie",
            "progressbar": False,
            "cores": cores_for(kwargs.get("chains", 4)),
        } | kwargs
        if kwargs["nuts_sampler"] == "nutpie":  # effect and rate of saturation trade off
            kwargs = {"nuts": {"adaptation": "low_rank"}} | kwargs
        # MMM's own switch, which `fit` has no argument for: deterministics come with the draws.
        # Computed afterwards they take a second compilation, and show progress, asked or not.
        self.mmm._recompute_deterministics = False
        y = pd.Series(np.asarray(y, dtype=float), index=X.index, name=self.mmm.target_column)
        return self.mmm.fit(X, y, **kwargs)

    def _channel(self, channel: str) -> str:
        if channel not in self.channel_columns:
            raise ValueError(
                f"{channel!r} is no channel (channels: {listed(self.channel_columns)})"
            )
        return channel

    def _some_markets(self, markets) -> list[str]:
        for name in markets or ():
            if name not in self.markets:
                raise ValueError(f"{name!r} is no market (markets: {listed(self.markets)})")
        return self.markets if markets is None else list(markets)

    def effect_draws(self, channel: str, kind: str = "effect") -> np.ndarray:
        """Posterior draws of what a channel does in each market, in original units.

        Parameters
        ----------
        channel : str
            One of ``channel_columns``.
        kind : {"effect", "contribution", "roas", "marginal roas"}
            ``effect``: what the channel cannot exceed in a period; ``contribution``: the sum over
            the market's periods; ``roas``: that by spend; ``marginal roas``: what one unit of
            spend more adds, if each period's spend grows by 1 %.

        Returns
        -------
        array, shape (n_draws, n_markets)
            Draws.

        Raises
        ------
        ValueError
            If the channel or the kind is unknown.
        """
        self._channel(channel)
        if kind not in KINDS:
            raise ValueError(f"kind = {kind!r}: must be one of {', '.join(KINDS)}")
        if "roas" in kind:
            measure = self.mmm.incrementality
            name = "contribution_over_spend"
            name = f"marginal_{name}" if kind != "roas" else name
            values = getattr(measure, name)(frequency="all_time").sel(channel=channel)
            if "chain" in values.dims:
                values = values.stack(sample=("chain", "draw"))
            values = values.squeeze(drop=True)
        else:
            posterior = self.idata["posterior"].to_dataset()
            scale = float(self.mmm.scalers["_target"])
            if kind == "effect":
                values = posterior["saturation_beta"].sel(channel=channel)
            else:
                values = posterior["channel_contribution"].sel(channel=channel).sum("date")
            values = scale * values.stack(sample=("chain", "draw"))
            if self.hierarchy_column not in values.dims:
                values = values.expand_dims({self.hierarchy_column: self.markets})
        return values.transpose("sample", self.hierarchy_column).to_numpy()

    def get_market_effects(
        self, channel: str, markets: list[str] | None = None, *, kind: str = "effect"
    ) -> pd.DataFrame:
        """What a channel does in each market, with the book's credible interval.

        Parameters
        ----------
        channel : str
            One of ``channel_columns``.
        markets : list of str, optional
            Some of the markets; without it all.
        kind : str
            As for :meth:`effect_draws`.

        Returns
        -------
        pandas.DataFrame
            One row a market: ``mean``, ``lower``, ``upper``, in original units.

        Raises
        ------
        ValueError
            If a channel, market or kind is unknown.
        """
        markets = self._some_markets(markets)
        rows = mean_interval(self.effect_draws(channel, kind)).T
        frame = pd.DataFrame(rows, index=self.markets, columns=["mean", "lower", "upper"])
        return frame.rename_axis(self.hierarchy_column).loc[markets]

    def plot_market_comparison(
        self,
        channels: list[str] | None = None,
        markets: list[str] | None = None,
        figsize: tuple[float, float] = (12, 6),
        *,
        kind: str = "effect",
    ):
        """Effects by market, a panel a channel.

        Parameters
        ----------
        channels : list of str, optional
            Channels to plot; without it the market-specific ones, or all if there is none.
        markets : list of str, optional
            Some of the markets; without it all.
        figsize : tuple of float
            Width and height in inches.
        kind : str
            As for :meth:`effect_draws`.

        Returns
        -------
        matplotlib.figure.Figure
            Assign it, so that the notebook shows it once.
        """
        import matplotlib.pyplot as plt

        from helpers.notebook.style import COLOURS

        channels = channels or self.market_specific_channels or self.channel_columns
        figure, panels = plt.subplots(
            1, len(channels), figsize=figsize, sharey=True, squeeze=False, layout="constrained"
        )
        for axes, channel in zip(panels[0], channels, strict=True):
            rows = self.get_market_effects(channel, markets, kind=kind)
            place = np.arange(len(rows))
            axes.hlines(place, rows["lower"], rows["upper"], color=COLOURS["posterior"])
            axes.plot(rows["mean"], place, "o", color=COLOURS["posterior"])
            axes.axvline(rows["mean"].mean(), color=COLOURS["data"], linestyle=":")
            axes.set_yticks(place, rows.index)
            axes.set_title(channel, loc="left")
            axes.set_xlabel(kind)
            axes.grid(visible=False, axis="y")
        panels[0, 0].invert_yaxis()
        return figure

    def get_pooling_factor(self, channel: str) -> float:
        """How far a channel's effects are pooled, by Gelman and Pardoe (2006).

        Parameters
        ----------
        channel : str
            One of ``channel_columns``.

        Returns
        -------
        float
            0 for no pooling, 1 for complete pooling and for a global channel; between them with
            partial pooling: what the deviations' means vary less than the deviations do.

        References
        ----------
        :cite:`gelman2006pooling`
        """
        self._channel(channel)
        if self.pooling_mode == "no":
            return 0.0
        if self.pooling_mode == "complete" or channel in self.global_channels:
            return 1.0
        mean = self.idata["posterior"]["saturation_beta_mean"].sel(channel=channel)
        mean = mean.stack(sample=("chain", "draw")).to_numpy()[:, None]
        effect = self.effect_draws(channel) / float(self.mmm.scalers["_target"])
        return pooling_factor(np.log(effect) - mean)

    def predict_new_market(
        self, X_new: pd.DataFrame, market_name: str, n_samples: int = 1000, *, random_seed=None
    ) -> np.ndarray:
        """Predict a market that the data do not hold: its own draw from the population.

        Level, effects and noise of the market are drawn anew for each sample, carry-over and
        saturation come from the posterior. Spend and target are scaled as in the fitted data,
        not by the new market's own largest values.

        Parameters
        ----------
        X_new : pandas.DataFrame
            As ``X`` of :meth:`fit`, for this market; a column of markets is not needed.
        market_name : str
            Its name, not one of the fitted markets.
        n_samples : int
            Number of samples.
        random_seed : int, optional
            Seed.

        Returns
        -------
        array, shape (n_samples, n_periods)
            Draws of the target in original units, by date.

        Raises
        ------
        ValueError
            If the market was fitted, or nothing was pooled: then there is no population.
        """
        posterior = self.idata["posterior"].to_dataset()
        if self.pooling_mode == "no":
            raise ValueError("pooling_mode = 'no' has no population to draw a new market from")
        if market_name in self.markets:
            raise ValueError(f"{market_name!r} was fitted; use mmm.sample_posterior_predictive")
        X = X_new.assign(**{self.hierarchy_column: market_name})
        spans = self._check_panel(X, np.zeros(len(X)))
        mmm = self._mmm(scaling=self._fixed_scaling())
        self._build(mmm, X, np.zeros(len(X)))
        kept = [
            name
            for name, values in posterior.items()
            if not {self.hierarchy_column, "date"} & set(values.dims)
        ]
        rng = np.random.default_rng(random_seed)
        stacked = posterior[kept].stack(sample=("chain", "draw"))
        chosen = rng.integers(stacked.sizes["sample"], size=n_samples)
        draws = stacked.isel(sample=chosen).drop_vars(["sample", "chain", "draw"])
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
        return y.isel(chain=0).to_numpy().reshape(n_samples, int(spans["periods"].iloc[0]))

    def _fixed_scaling(self) -> Scaling:
        dims = (self.hierarchy_column,)
        channel = {
            c: float(self.mmm.scalers["_channel"].sel(channel=c)) for c in self.channel_columns
        }
        return Scaling(
            target=FixedScaling(value=float(self.mmm.scalers["_target"]), dims=dims),
            channel=FixedScaling(value=channel, dims=dims),
        )

    def save(self, path: str) -> None:
        """Write the fitted model to a file.

        Parameters
        ----------
        path : str
            A ``.nc`` file; ``MMM.load`` reads it, too.
        """
        hyper = {
            key: value.to_dict() if isinstance(value, Prior) else value
            for key, value in self.hyperprior_config.items()
        }
        settings = {
            "adstock_max_lag": self.adstock_max_lag,
            "pooling_mode": self.pooling_mode,
            "global_channels": self.global_channels,
            "hyperprior_config": hyper,
            "correlation_structure": self.correlation_structure,
            "model_config": list(self.kwargs.get("model_config") or {}),
        }
        self.idata.attrs["hierarchy"] = json.dumps(settings)
        self.mmm.save(path)

    @classmethod
    def load(cls, path: str) -> HierarchicalMMM:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path : str
            The file.

        Returns
        -------
        HierarchicalMMM
            The model with its posterior; everything works as before.
        """
        with _quiet():
            mmm = MMM.load(path)
        settings = json.loads(mmm.idata.attrs["hierarchy"])
        hyper = settings.pop("hyperprior_config")
        more = MMM.attrs_to_init_kwargs(mmm.idata.attrs)
        config = {name: more["model_config"][name] for name in settings.pop("model_config")}
        for name in ("date_column", "channel_columns", "model_config", *_OURS):
            more.pop(name, None)
        model = cls(
            mmm.date_column,
            mmm.channel_columns,
            mmm.dims[0],
            hyperprior_config={
                key: deserialize(value) if isinstance(value, dict) else value
                for key, value in hyper.items()
            },
            **settings,
            **more,
            **({"model_config": config} if config else {}),
        )
        model.mmm = mmm
        return model
