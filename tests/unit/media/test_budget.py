"""Tests of `helpers.media.budget`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from helpers.media.budget import PlanResponse, optimal_plan

RESPONSE = "total_media_contribution_original_scale"

PYTHON = {"mode": "FAST_COMPILE"}  # compiling would take longer than the tests


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


def test_an_optimum_beats_other_plans(draws, split):
    train, test = split
    plan = test.spend.mean(axis=0)
    for change in (0.05, 0.9):
        bounds = np.column_stack([(1 - change) * plan, (1 + change) * plan])
        response = PlanResponse(draws, len(test), history=train)
        best = optimal_plan(response, plan, bounds)
        worst = bounds.sum(axis=1) - best
        assert response.total(best).sum() > response.total(plan).sum() > response.total(worst).sum()
