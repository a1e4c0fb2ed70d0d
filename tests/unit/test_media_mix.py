"""The media-mix model: what PyMC-Marketing changed in silence, draws in money, and plans."""

from dataclasses import replace

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr
from malformed import good_media_frame
from pymc_extras.prior import Prior
from pymc_marketing.metrics import crps
from pymc_marketing.mmm import MMM, GeometricAdstock, LogisticSaturation
from scipy.stats import truncnorm

from helpers.media import MediaData, simulate_media_mix
from helpers.media_mix import (
    MixDraws,
    PlanResponse,
    build_media_mix,
    fit_media_mix,
    fit_media_mixes,
    kkt_table,
    mix_draws,
    optimal_plan,
    sample_prior,
    spend_share_prior,
)
from helpers.notebook import mean_interval

RESPONSE = "total_media_contribution_original_scale"
PYTHON = {"mode": "FAST_COMPILE"}  # compiling would take longer than the tests
LIKELIHOOD = Prior("TruncatedNormal", lower=0, sigma=Prior("HalfNormal", sigma=1), dims="date")


def media(frame=None):
    frame = good_media_frame() if frame is None else frame
    frame["date"] = pd.to_datetime(frame["date"])
    frame["hot"] = (np.arange(len(frame)) % 7 == 3).astype(float)
    return MediaData(frame, "sales", ["tv", "radio"], ["promo", "hot"])


def config(data):
    return {
        "intercept": Prior("Normal", mu=0.4, sigma=0.05),
        "saturation_beta": spend_share_prior(data),
        "gamma_control": Prior("Normal", mu=0, sigma=0.1, dims="control"),
        "gamma_fourier": Prior("Laplace", mu=0, b=0.05, dims="fourier_mode"),
        "likelihood": LIKELIHOOD,
    }


@pytest.fixture(scope="module")
def split():
    data = media()
    return data.between(None, 100), data.between(100, None)


@pytest.fixture(scope="module")
def fitted(split):
    """The model with prior draws in place of a posterior: nothing here needs a fit."""
    mmm = build_media_mix(split[0], config(split[0]), l_max=4, yearly_modes=2)
    prior = sample_prior(mmm, draws=12, seed=1)["prior"].to_dataset()
    data = {name: mmm.model[name] for name in ("channel_data", "control_data", "target_data")}
    constant = xr.Dataset(
        {name: (mmm.model.named_vars_to_dims[name], v.get_value()) for name, v in data.items()}
    )
    mmm.idata = xr.DataTree.from_dict({"posterior": prior, "constant_data": constant})
    return mmm


@pytest.fixture(scope="module")
def draws(fitted):
    return mix_draws(fitted)


def computed(mmm, *names):
    return pm.compute_deterministics(
        mmm.idata["posterior"].to_dataset(),
        model=mmm.model,
        var_names=names,
        progressbar=False,
        compile_kwargs=PYTHON,
    ).isel(chain=0)


def test_draws_in_money_are_the_librarys_own(fitted, draws, split):
    names = "channel_contribution_original_scale", "mu", "yearly_seasonality_contribution"
    library = computed(fitted, *names, "control_contribution")
    sales = split[0].y.max()
    parts = draws.parts(split[0])
    np.testing.assert_allclose(draws.media(split[0]), library[names[0]], atol=1e-8)
    np.testing.assert_allclose(draws.location(split[0]), sales * library["mu"], rtol=1e-9)
    np.testing.assert_allclose(parts["season"], sales * library[names[2]], atol=1e-6)
    controls = sales * library["control_contribution"].sum("control")
    np.testing.assert_allclose(parts["controls"], controls, atol=1e-8)


def test_carry_over_is_the_librarys_own(fitted, draws, split):
    predicted = fitted.sample_posterior_predictive(
        split[1].X,
        extend_idata=False,
        include_last_observations=True,
        combined=False,
        var_names=["channel_contribution_original_scale"],
        progressbar=False,
        random_seed=1,
        compile_kwargs=PYTHON,
    )["channel_contribution_original_scale"].isel(chain=0)
    ours = draws.media(split[1], history=split[0])
    np.testing.assert_allclose(ours, predicted, atol=1e-8)
    assert not np.allclose(draws.media(split[1])[:, 0], ours[:, 0])
    with pytest.raises(ValueError, match="ends 14 days before the data, not one week"):
        draws.media(split[1].between(1, None), history=split[0])


def test_predictions_of_y_are_no_money_and_ours_are(fitted, draws, split):
    predicted = fitted.sample_posterior_predictive(
        split[0].X,
        extend_idata=False,
        combined=False,
        var_names=["y", "y_original_scale"],
        progressbar=False,
        random_seed=1,
        compile_kwargs=PYTHON,
    ).isel(chain=0)
    ours = draws.sample(draws.location(split[0]), seed=1)
    mean = float(predicted["y_original_scale"].mean())
    assert abs(ours.mean() / mean - 1) < 0.05
    assert float(predicted["y"].mean()) < mean / 100  # the silent trap
    assert ours.min() >= 0


def test_a_prior_without_dims_is_refused_where_the_library_takes_it(split):
    shared = config(split[0]) | {"gamma_control": Prior("Normal", mu=0, sigma=1)}
    mmm = MMM(
        model_config=shared,
        date_column="date",
        target_column="sales",
        channel_columns=split[0].channels,
        control_columns=split[0].controls,
        adstock=GeometricAdstock(l_max=4),
        saturation=LogisticSaturation(),
    )
    mmm.build_model(split[0].X, split[0].y)
    assert mmm.model["gamma_control"].ndim == 0  # one coefficient for two controls, in silence
    with pytest.raises(ValueError, match='gamma_control: give its prior dims="control"'):
        build_media_mix(split[0], shared)
    fine = build_media_mix(split[0], config(split[0]))
    assert fine.model["gamma_control"].ndim == 1


def test_no_controls_and_no_season(split):
    bare = split[0].without(["promo", "hot"])
    mmm = build_media_mix(bare, config(bare), yearly_modes=0)
    names = {variable.name for variable in mmm.model.free_RVs}
    assert not names & {"gamma_control", "gamma_fourier"}
    sample_prior(mmm, draws=5, seed=1)
    prior = mix_draws(mmm, "prior")
    assert prior.location(bare).shape == (5, 100)
    assert not prior.parts(bare)["controls"].any()


def test_intervals_reduce_the_draws_and_not_the_last_axis():
    draws = np.random.default_rng(0).normal(size=(500, 3)) * [1, 10, 100]
    assert mean_interval(draws).shape == (3, 3)
    assert np.shape(az.hdi(draws, prob=0.9)) == (500, 2)  # the silent trap
    right = az.hdi(xr.DataArray(draws, dims=("sample", "week")), prob=0.9, dim="sample")
    assert right.sizes["week"] == 3
    np.testing.assert_allclose(mean_interval(draws)[2], right.isel(ci_bound=1), rtol=0.3)


def test_crps_is_lower_for_the_better_forecast_and_has_a_scale():
    rng = np.random.default_rng(0)
    truth = rng.normal(100, 5, 40)
    good, poor = rng.normal(100, 5, (400, 40)), rng.normal(120, 5, (400, 40))
    assert crps(truth, good) < crps(truth, poor)
    assert crps(10 * truth, 10 * good) == pytest.approx(10 * crps(truth, good))
    assert crps(truth, good / 1e6) == pytest.approx(truth.mean(), rel=1e-4)  # the source's slip


def test_truncated_normal_draws():
    n = 40_000
    none = np.zeros((n, 0))
    draws = MixDraws(none, none, none, np.zeros(n), none, none, np.full(n, 2.0))
    for centre in (3.0, -1.0, -300.0):
        location = np.full((n, 1), centre)
        known = truncnorm(-centre / 2, np.inf, loc=centre, scale=2)
        sampled = draws.sample(location, seed=1)
        assert sampled.mean() == pytest.approx(known.mean(), rel=0.03)
        assert sampled.std() == pytest.approx(known.std(), rel=0.03)
        np.testing.assert_allclose(draws.expected(location), known.mean(), rtol=1e-6)


def constant(data, plan):
    return replace(data, frame=data.frame.assign(**dict(zip(data.channels, plan, strict=True))))


def test_a_plan_is_spend_a_period_with_carry_over_on_both_sides(draws, split):
    train, test = split
    plan = test.spend.mean(axis=0)
    response = PlanResponse(draws, len(test), history=train)
    flown = draws.media(constant(test, plan), history=train, after=True)
    assert flown.shape[1] == len(test) + 3
    np.testing.assert_allclose(response.total(plan), flown.sum(axis=1))
    shorter = draws.media(constant(test, plan), history=train).sum(axis=1)
    assert (response.total(plan) > shorter).all()
    step = 1e-4 * plan
    slope = [
        (response.total(plan + step * on) - response.total(plan - step * on)).sum(axis=1)
        for on in np.eye(2)
    ]
    numeric = np.stack(slope, axis=1) / (2 * step * len(test))
    np.testing.assert_allclose(response.marginal(plan), numeric, rtol=1e-4)


def test_the_librarys_optimiser_agrees_and_wants_one_periods_budget(fitted, draws, split):
    train, test = split
    plan = test.spend.mean(axis=0)
    bounds = np.column_stack([0.5 * plan, 1.5 * plan])
    coords = {"channel": train.channels}
    labelled = xr.DataArray(plan, dims="channel", coords=coords)
    optimiser = fitted.budget_optimizer(
        test.dates[0],
        test.dates[-1],
        budgets_to_optimize=xr.ones_like(labelled, dtype=bool),
        response_variable=RESPONSE,
        compile_kwargs=PYTHON,
    )
    found = optimiser.allocate_budget(
        total_budget=plan.sum(),
        budget_bounds=xr.DataArray(
            bounds, dims=("channel", "bound"), coords=coords | {"bound": ["lower", "upper"]}
        ),
        x0=labelled,
        return_if_fail=True,
    )
    best = found.budgets.sel(channel=train.channels).to_numpy()
    assert best.sum() == pytest.approx(plan.sum())
    response = PlanResponse(draws, len(test), history=train)
    ours = optimal_plan(response, plan, bounds)
    np.testing.assert_allclose(best, ours, rtol=0.01)
    assert response.total(best).sum() == pytest.approx(response.total(ours).sum(), rel=1e-6)
    # the library also counts the periods before the plan: the same for every plan
    library = [
        np.ravel(optimiser.evaluate_response_distribution(labelled.copy(data=p), RESPONSE))
        for p in (best, plan)
    ]
    gain = response.total(best).sum(axis=1) - response.total(plan).sum(axis=1)
    np.testing.assert_allclose(library[0] - library[1], gain, rtol=1e-6)


def test_kkt_tells_an_optimum_from_a_plan(draws, split):
    train, test = split
    plan = test.spend.mean(axis=0)
    for change in (0.05, 0.9):
        bounds = np.column_stack([(1 - change) * plan, (1 + change) * plan])
        response = PlanResponse(draws, len(test), history=train)
        best = optimal_plan(response, plan, bounds)
        assert kkt_table(response, best, bounds, train.channels)["holds"].all()
        assert not kkt_table(response, plan, bounds, train.channels)["holds"].all()
        worst = bounds.sum(axis=1) - best
        assert response.total(best).sum() > response.total(plan).sum() > response.total(worst).sum()
        assert not kkt_table(response, worst, bounds, train.channels)["holds"].all()


def test_fits_recover_the_twin_and_share_one_compilation():
    datasets = []
    for seed in (1, 2):
        twin = simulate_media_mix(60, seed=seed)
        data = MediaData(twin.data, "sales", twin.truth["names"][:2], ["Thanksgiving"])
        datasets.append(data)
    small = config(datasets[0]) | {
        "saturation_beta": Prior("HalfNormal", sigma=0.3, dims="channel")
    }
    size = {"draws": 120, "tune": 150, "chains": 1, "seed": 1}
    many = list(fit_media_mixes(datasets, small, yearly_modes=1, **size))
    alone = build_media_mix(datasets[1], small, yearly_modes=1)
    idata = fit_media_mix(alone, **size)
    assert idata is alone.idata
    assert "channel_contribution" not in idata["posterior"]
    first, second, third = (mix_draws(m).baseline for m in (*many, alone))
    assert abs(second.mean() - third.mean()) < 4 * third.std() / np.sqrt(20)
    assert abs(first.mean() - second.mean()) > 1e-6 * second.mean()
    assert (datasets[1].y.max() * 0.1 < third.mean()) and third.mean() < datasets[1].y.max()
