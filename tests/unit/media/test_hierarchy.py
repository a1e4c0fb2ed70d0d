"""The hierarchical media mix model: limits, inherited methods, new markets, saving, errors."""

import os
import re
import warnings

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm
import pymc.dims as pmd
import pytest
import xarray as xr
from pymc_extras.prior import Prior, sample_prior

from helpers.data.columns import DataError
from helpers.inference.sampling import sample
from helpers.media.hierarchy import (
    HYPERPRIORS,
    HierarchicalMMM,
    _MarketPopulation,
    hierarchical_priors,
    pooling_factor,
)
from helpers.media.simulate import MarketsTruth, simulate_markets
from helpers.notebook.claims import mean_interval

CHANNELS = ["tv", "radio"]
TRUTH = MarketsTruth(
    channels=("tv", "radio"),
    effect=(40.0, 30.0),
    effect_sd=(0.5, 0.0),
    carry_over=(0.5, 0.3),
    steepness=(2.0, 2.0),
    max_lag=3,
    spend=(20.0, 10.0),
)
SMALL = {"draws": 150, "tune": 250, "chains": 2, "random_seed": 1, "quiet": True}


def model_of(**kwargs):
    settings = {"global_channels": ["radio"]} | kwargs
    return HierarchicalMMM("date", CHANNELS, "market", 3, target_column="sales", **settings)


@pytest.fixture(scope="module")
def panel():
    return simulate_markets(3, seed=5, truth=TRUTH, n_weeks=40, shortest=24)


@pytest.fixture(scope="module")
def data(panel):
    return panel.data.drop(columns="sales"), panel.data["sales"]


@pytest.fixture(scope="module")
def asked():
    """What the sampler was asked for."""
    return {}


@pytest.fixture(scope="module")
def fitted(data, asked):
    model = model_of()
    sampled = pm.sample
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(pm, "sample", lambda *a, **k: asked.update(k) or sampled(*a, **k))
        warnings.simplefilter("error", UserWarning)
        model.fit(*data, unequal="mask", **SMALL)
    return model


def test_no_core_is_left_idle(fitted, asked):
    assert asked["chains"] == 2
    assert asked["cores"] == min(2, os.cpu_count())


def draws_of(idata, name):
    return idata["posterior"][name].to_numpy().reshape(-1, *idata["posterior"][name].shape[2:])


def test_the_fit_recovers_what_is_true(fitted, panel):
    effect = fitted.effect_draws("tv", "effect") / panel.truth["target_scale"]
    error = (effect.mean(axis=0) - panel.truth["effect"][:, 0]) / effect.std(axis=0)
    assert np.abs(error).max() < 3
    level = draws_of(fitted.idata, "intercept_contribution")
    assert np.abs((level.mean(axis=0) - panel.truth["level"]) / level.std(axis=0)).max() < 4
    assert np.ptp(fitted.effect_draws("radio", "effect"), axis=1).max() < 1e-9  # global


def test_effects_are_frames_with_the_books_interval(fitted, data):
    effects = fitted.get_market_effects("tv", kind="effect")
    assert effects.index.tolist() == fitted.markets
    assert effects.columns.tolist() == ["mean", "lower", "upper"]
    assert effects.T.to_numpy() == pytest.approx(mean_interval(fitted.effect_draws("tv", "effect")))
    some = fitted.get_market_effects("tv", ["market 03"], kind="effect")
    assert some.equals(effects.loc[["market 03"]])
    contribution = fitted.effect_draws("tv", "contribution")
    library = draws_of(fitted.idata, "channel_contribution").sum(axis=1)[..., 0]
    np.testing.assert_allclose(contribution, data[1].max() * library, rtol=1e-6)


def test_returns_are_the_librarys_own(fitted):
    for kind, name in (("roas", "contribution"), ("marginal roas", "marginal_contribution")):
        ours = fitted.get_market_effects("tv", kind=kind)["mean"].to_numpy()
        theirs = getattr(fitted.mmm.incrementality, f"{name}_over_spend")(frequency="all_time")
        theirs = theirs.sel(channel="tv").mean(("chain", "draw")).to_numpy().ravel()
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_a_channel_that_never_ran_in_a_market_has_no_return_there(fitted):
    spend = fitted.mmm.model["channel_data"]
    written = spend.get_value()
    try:
        spend.set_value(written * np.array([0, 1, 1])[:, None])
        roas = fitted.effect_draws("tv", "roas")
        assert np.isnan(roas[:, 0]).all() and not np.isnan(roas[:, 1:]).any()
        assert not fitted.effect_draws("tv", "contribution")[:, 0].any()
    finally:
        spend.set_value(written)


def test_pooling_factor_by_definition():
    rng = np.random.default_rng(1)
    own, noise = rng.normal(size=6), rng.normal(size=(4000, 6))
    assert pooling_factor(noise) > 0.98  # a population decides all
    assert pooling_factor(own + 0.01 * noise) < 0.01  # each market's data do
    half = pooling_factor(own + own.std(ddof=1) * noise)
    assert half == pytest.approx(0.5, abs=0.02)


def test_pooling_factor_of_the_fit(fitted):
    assert fitted.get_pooling_factor("radio") == 1.0
    assert 0.0 < fitted.get_pooling_factor("tv") < 1.0


def test_comparison_is_drawn_for_the_market_specific_channels(fitted):
    figure = fitted.plot_market_comparison(figsize=(5, 3))
    assert [axes.get_title() for axes in figure.axes] == ["tv"]
    figure = fitted.plot_market_comparison(CHANNELS, ["market 01"], kind="contribution")
    assert figure.get_supxlabel() == "contribution" and len(figure.axes) == 2
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["market 01"]


def test_masked_periods_do_not_count(panel, data):
    """Whatever MMM puts where nothing was observed, the density does not change."""
    models = []
    for fill in (0.0, 0.7):
        model = model_of()
        model.build_model(*data, unequal="mask")
        target = model.mmm.model["target_data"].get_value().copy()
        hidden = np.arange(40)[:, None] < panel.truth["first_week"]
        assert (target[hidden] == 0).all() and (target[~hidden] > 0).all()
        target[hidden] = fill * target.max()
        model.mmm.model["target_data"].set_value(target)
        models.append(model.mmm.model)
    point = models[0].initial_point()
    densities = [model.compile_logp(mode="FAST_COMPILE")(point) for model in models]
    moved = point | {"saturation_lam_log__": point["saturation_lam_log__"] + 0.3}
    shifted = [model.compile_logp(mode="FAST_COMPILE")(moved) for model in models]
    assert densities[0] == pytest.approx(densities[1])
    assert shifted[0] == pytest.approx(shifted[1]) and shifted[0] != pytest.approx(densities[0])


def test_a_new_market_is_its_own_draw_scaled_as_the_others(fitted, data):
    X = data[0].query("market == 'market 01'").drop(columns="market")
    drawn = fitted.predict_new_market(X, "elsewhere", n_samples=300, random_seed=1)
    assert drawn.shape == (300, len(X)) and np.isfinite(drawn).all()
    assert fitted.predict_new_market(X[:1], "elsewhere", 1, random_seed=1).shape == (1, 1)
    assert list(fitted.get_market_effects("tv", ("market 01",)).index) == ["market 01"]
    twice = X.assign(tv=2 * X["tv"], radio=2 * X["radio"])
    more = fitted.predict_new_market(twice, "elsewhere", n_samples=300, random_seed=1)
    assert np.median(more - drawn) > 0  # scaled by the fitted panel, not by its own maximum
    level = draws_of(fitted.idata, "intercept_contribution") * data[1].max()
    assert np.log(drawn.mean(axis=1)).std() > 3 * np.log(level).std(axis=0).max()
    with pytest.raises(ValueError, match="'market 01' was fitted"):
        fitted.predict_new_market(X, "market 01")


def test_saved_and_loaded_with_nothing_lost(fitted, data, tmp_path):
    fitted.save(str(tmp_path / "model.nc"))
    loaded = HierarchicalMMM.load(str(tmp_path / "model.nc"))
    xr.testing.assert_equal(
        loaded.idata["posterior"].to_dataset(), fitted.idata["posterior"].to_dataset()
    )
    for name in ("channel_columns", "global_channels", "pooling_mode", "hyperprior_config"):
        assert getattr(loaded, name) == getattr(fitted, name)
    assert loaded.mmm.model_config["intercept"] == fitted.mmm.model_config["intercept"]
    assert (
        loaded.mmm.saturation.function_priors["beta"]
        == hierarchical_priors(CHANNELS, global_channels=["radio"])["saturation_beta"]
    )
    point = fitted.mmm.model.initial_point()
    one, two = (m.mmm.model.compile_logp(mode="FAST_COMPILE")(point) for m in (fitted, loaded))
    assert one == pytest.approx(two)
    X = data[0].query("market == 'market 01'")
    a, b = (m.predict_new_market(X, "new", 20, random_seed=1) for m in (fitted, loaded))
    assert a == pytest.approx(b)


def test_mmm_predicts_in_original_units(fitted, data):
    drawn = fitted.mmm.sample_posterior_predictive(
        data[0],
        extend_idata=False,
        random_seed=1,
        progressbar=False,
        var_names=["y_original_scale"],
    )["y_original_scale"]
    mean = drawn.mean("sample").transpose("market", "date").to_series()
    observed = pd.Series(data[1].to_numpy(), index=[data[0]["market"], data[0]["date"]])
    assert np.corrcoef(mean.reindex(observed.index), observed)[0, 1] > 0.95


def test_mmm_finds_a_better_budget(fitted):
    optimiser = fitted.mmm.budget_optimizer(
        "2022-10-10", "2022-11-07", compile_kwargs={"mode": "FAST_COMPILE"}
    )
    total = 100.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are no bounds
        plan, result = optimiser.allocate_budget(total_budget=total)
    assert result.success
    assert set(plan.dims) == {"market", "channel"}
    assert float(plan.sum()) == pytest.approx(total, rel=1e-4)


def test_mmm_summarises_and_plots(fitted):
    contributions = fitted.mmm.compute_mean_contributions_over_time()
    assert {"tv", "radio"} <= {str(c) for c in np.atleast_1d(contributions.columns)}
    curve = fitted.mmm.sample_saturation_curve(num_points=5, num_samples=20)
    assert {"market", "channel"} <= set(curve.dims)
    _, axes = fitted.mmm.plot.contributions_over_time(var=["channel_contribution"])
    assert len(np.ravel(axes)) >= len(fitted.markets)
    assert all(ax.has_data() for ax in np.ravel(axes)[: len(fitted.markets)])


ERRORS = {
    "both": ({"market_specific_channels": CHANNELS}, "'radio' is both global and market-specific"),
    "neither": ({"market_specific_channels": []}, "'tv' is neither"),
    "unknown": ({"global_channels": ["print"]}, "global_channels: 'print' is no channel"),
    "own": ({"market_specific_channels": ["x"]}, "market_specific_channels: 'x' is no channel"),
    "mode": ({"pooling_mode": "partly"}, "pooling_mode = 'partly': must be one of partial, comp"),
    "structure": ({"correlation_structure": "LKJ"}, "correlation_structure = 'LKJ': must be one"),
    "lkj": ({"correlation_structure": "lkj"}, "needs partial pooling and at least two"),
    "complete": ({"pooling_mode": "complete"}, "only partial pooling treats channels differently"),
    "hyper": ({"hyperprior_config": {"tau": 1}}, "hyperprior_config: 'tau' is unknown (known: me"),
    "lag": ({"adstock_max_lag": 0}, "adstock_max_lag = 0: must be 1 or more"),
    "dims": ({"dims": ("geo",)}, "dims: HierarchicalMMM sets it"),
    "scaling": ({"scaling": None}, "scaling: HierarchicalMMM sets it"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_impossible_arguments_are_refused_before_anything_is_built(case):
    changes, message = ERRORS[case]
    arguments = {
        "date_column": "date",
        "channel_columns": CHANNELS,
        "hierarchy_column": "market",
        "adstock_max_lag": 3,
        "global_channels": ["radio"],
    }
    with pytest.raises(ValueError, match=re.escape(message)):
        HierarchicalMMM(**(arguments | changes))


def test_unfit_data_are_refused_before_sampling(data):
    X, y = data
    model = model_of()
    one = X["market"] == "market 01"
    weeks = X["date"] >= X.groupby("market")["date"].min().max()
    cases = [
        (X, y, {}, "markets have different dates (market 01 2022"),
        (X[one], y[one], {}, "market: one market only (market 01)"),
        (X.drop(columns="tv"), y, {}, "tv: missing in X"),
        (X[weeks].drop(index=X[weeks].index[3]), y[weeks].iloc[1:], {}, "gaps in market 01"),
        (X, y.iloc[1:], {}, "values for"),
        (X, y.where(y.index > 3), {}, "y: blank values"),
        (pd.concat([X, X]), pd.concat([y, y]), {}, "repeated rows"),
    ]
    for frame, target, more, message in cases:
        with pytest.raises(DataError) as error:
            model.build_model(frame, target, **more)
        assert message in str(error.value)
    with pytest.raises(ValueError, match="unequal = 'fill': must be one of refuse, mask"):
        model.build_model(X, y, unequal="fill")
    with pytest.raises(RuntimeError, match="not built"):
        _ = model.markets
    with pytest.raises(RuntimeError, match="not fitted"):
        _ = model.idata


def test_unknown_names_are_refused(fitted):
    for call in (fitted.get_market_effects, fitted.get_pooling_factor, fitted.effect_draws):
        with pytest.raises(ValueError, match="'print' is no channel"):
            call("print")
    with pytest.raises(ValueError, match="'Ulm' is no market"):
        fitted.get_market_effects("tv", ["Ulm"])
    with pytest.raises(ValueError, match="kind = 'roi'"):
        fitted.get_market_effects("tv", kind="roi")


def test_lists_complete_each_other():
    model = HierarchicalMMM("date", CHANNELS, "market", 3, market_specific_channels=["tv"])
    assert (model.global_channels, model.market_specific_channels) == (["radio"], ["tv"])
    assert HierarchicalMMM("date", CHANNELS, "market", 3).global_channels == []


def test_alone_has_the_spread_that_a_population_gives_to_one_market():
    mean, alone = HYPERPRIORS["mean"].parameters, HYPERPRIORS["alone"].parameters
    sd = HYPERPRIORS["sd"].parameters  # of a gamma distribution
    square = sd["alpha"] * (sd["alpha"] + 1) / sd["beta"] ** 2
    assert alone["mu"] == mean["mu"]
    assert alone["sigma"] ** 2 == pytest.approx(mean["sigma"] ** 2 + square, rel=0.02)


@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("dims", [("market",), ("market", "channel")])
def test_markets_differ_by_the_populations_sd(dims, centered):
    mean, sd = Prior("Normal"), Prior("Gamma", alpha=2, beta=4)
    if len(dims) == 2:
        mean.dims, sd.dims = "channel", "varying"
        prior = _MarketPopulation(
            mean=mean, sd=sd, shared=[], eta=None, dims=dims, centered=centered
        )
        names = ("beta", "beta_mean", "beta_sd")
    else:  # as levels and noise have it
        prior = Prior("Normal", mu=mean, sigma=sd, dims=dims, transform="exp", centered=centered)
        names = ("beta", "beta_raw_mu", "beta_raw_sigma")
    with pm.Model(coords={"market": range(50), "channel": ["tv", "radio"]}) as model:
        prior.create_variable("beta", xdist=True)
    beta, mean, sd = pm.draw([model[name] for name in names], draws=100, random_seed=1)
    z = (np.log(beta) - mean[:, None]) / sd[:, None]
    assert z.std() == pytest.approx(1, abs=0.05)
    assert abs(z.mean()) < 0.05


def test_lkj_correlates_the_channels_that_vary():
    prior = _MarketPopulation(
        mean=Prior("Normal", dims="channel"),
        sd=Prior("HalfNormal"),
        shared=["radio"],
        eta=1.0,
        dims=("market", "channel"),
    )
    coords = {"market": ["A", "B"], "channel": ["tv", "radio", "online"]}
    drawn = sample_prior(prior, coords=coords, xdist=True, draws=400, random_seed=1)
    corr = drawn["variable_corr"].isel(chain=0)
    assert corr.shape == (400, 2, 2)
    off = corr.to_numpy()[:, 0, 1]
    assert np.abs(off).max() <= 1 and off.std() == pytest.approx(3**-0.5, abs=0.06)
    z = np.log(drawn["variable"]) - drawn["variable_mean"]
    assert np.abs(z.sel(channel="radio")).max() < 1e-9
    tv, online = (z.sel(channel=c).to_numpy()[0, :, 0] for c in ("tv", "online"))
    assert np.corrcoef(tv * online, off)[0, 1] > 0.2  # signs agree where the correlation is high


MEASURED = np.array([[-2.2, -1.2], [-1.6, -1.7], [-0.8, -1.4]])  # log effects
DIMS = ("market", "channel")
COORDS = {"market": ["A", "B", "C"], "channel": CHANNELS}


def posterior_of_effects(error, **kwargs):
    """Log effects (draws, markets, channels) where each was measured with this error."""
    prior = hierarchical_priors(CHANNELS, **kwargs)["saturation_beta"]
    with pm.Model(coords=COORDS) as model:
        effect = prior.create_variable("effect", xdist=True)
        measured = xr.DataArray(MEASURED, dims=DIMS)
        pmd.Normal("y", mu=pmd.math.log(effect), sigma=error, observed=measured, dims=DIMS)
    idata = sample(model, draws=1000, tune=500, chains=2, seed=1, target_accept=0.95)
    posterior = idata["posterior"].to_dataset()
    values = np.log(posterior["effect"])
    if "market" not in values.dims:
        values = values.expand_dims(market=COORDS["market"])
    return values.transpose("chain", "draw", "market", "channel"), posterior


ALONE = HYPERPRIORS["alone"].parameters["sigma"]
DRIVEN = {
    "complete": {"sd": Prior("HalfNormal", sigma=0.001), "centered": False},
    # a centre that is known, and a population as wide as what one market has alone
    "no": {
        "mean": Prior("Normal", mu=-1.5, sigma=0.01),
        "sd": Prior("Gamma", mu=ALONE, sigma=0.01),
    },
}


@pytest.mark.parametrize("limit", DRIVEN)
def test_complete_and_no_pooling_are_limits_of_partial_pooling(limit):
    error = 0.3
    partial, posterior = posterior_of_effects(error, hyperprior_config=DRIVEN[limit])
    other, _ = posterior_of_effects(error, pooling_mode=limit)
    mcse = np.hypot(*(az.mcse(one.rename("x").to_dataset())["x"] for one in (partial, other)))
    assert mcse.max() < 0.03
    assert (
        np.abs(partial.mean(("chain", "draw")) - other.mean(("chain", "draw"))) < 4 * mcse
    ).all()
    spread = partial.std(("chain", "draw")) / other.std(("chain", "draw"))
    assert np.abs(spread - 1).max() < 0.12
    weight = ALONE**2 / (ALONE**2 + error**2)  # exact without pooling
    exact = weight * MEASURED - (1 - weight) * 1.5
    if limit == "no":
        assert other.mean(("chain", "draw")).to_numpy() == pytest.approx(exact, abs=0.04)
    deviation = (partial - posterior["effect_mean"]).stack(sample=("chain", "draw"))
    for channel in CHANNELS:
        draws = deviation.sel(channel=channel).transpose("sample", "market").to_numpy()
        factor = pooling_factor(draws)
        assert factor > 0.95 if limit == "complete" else factor < 0.7


def test_the_pooling_factor_goes_to_zero_with_the_error():
    partial, posterior = posterior_of_effects(0.01, hyperprior_config=DRIVEN["no"])
    deviation = (partial - posterior["effect_mean"]).stack(sample=("chain", "draw"))
    for channel in CHANNELS:
        draws = deviation.sel(channel=channel).transpose("sample", "market").to_numpy()
        assert pooling_factor(draws) < 0.01


def test_the_modes_differ_in_the_effects_alone(data):
    """With equal effects everywhere, the three densities of the data are one."""
    X, y = data
    terms = []
    for mode in ("partial", "complete", "no"):
        model = model_of(pooling_mode=mode, global_channels=None)
        model.build_model(X, y, unequal="mask")
        pymc_model = model.mmm.model
        point = {
            name: np.zeros_like(value) if "beta" in name else value
            for name, value in pymc_model.initial_point().items()
        }
        density = pymc_model.compile_logp(vars=[pymc_model["y"]], mode="FAST_COMPILE")
        terms.append(float(density(point)))
    assert terms == pytest.approx([terms[0]] * 3)


def test_fixed_pooling_has_fixed_factors(data):
    for mode, factor in (("complete", 1.0), ("no", 0.0)):
        model = model_of(pooling_mode=mode, global_channels=None)
        assert model.get_pooling_factor("tv") == factor
