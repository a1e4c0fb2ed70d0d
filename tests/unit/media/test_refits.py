"""One compiled model serves all data, and lift tests mean what PyMC-Marketing means by them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pymc_extras.prior import Prior

from helpers.inference.convergence import diagnostics
from helpers.media.load import MediaData
from helpers.media.model import PARAMETERS, build_media_mix, fit_media_mix
from helpers.media.refits import NO_TEST, Refits
from helpers.media.simulate import simulate_media_mix
from helpers.media.transforms import media_contribution

SIZES = {"draws": 1000, "tune": 500, "chains": 2, "seed": 1}
PRIORS = {
    "intercept": Prior("Normal", mu=0.4, sigma=0.2),
    "saturation_lam": Prior("Gamma", alpha=3, beta=1, dims="channel"),
    "gamma_control": Prior("Normal", mu=0, sigma=1, dims="control"),
    "gamma_fourier": Prior("Laplace", mu=0, b=1, dims="fourier_mode"),
    "likelihood": Prior("TruncatedNormal", lower=0, sigma=Prior("HalfNormal", sigma=1)),
}
TESTS = pd.DataFrame(
    {"channel": ["Insert"], "x": [8e4], "delta_x": [4e4], "delta_y": [6e5], "sigma": [1e5]}
)


def market(seed, n_weeks=120):
    twin = simulate_media_mix(n_weeks, seed=seed)
    return MediaData(twin.data, "sales", twin.truth["names"][:2], ["Easter", "Black Friday"])


@pytest.fixture(scope="module")
def refits():
    return Refits(market(1), PRIORS, yearly_modes=1, drift_modes=2)


def test_refit_equals_a_fresh_fit(refits):
    data = market(2, n_weeks=90)  # other numbers, and fewer weeks
    placebo = data.spend[::-1, 0]
    refit = refits.fit(data, placebo=placebo, tests=TESTS, **SIZES)
    assert diagnostics(refit.idata, PARAMETERS)["rhat"] < 1.03
    wide = refits.widened(data, placebo=placebo)
    prior = Prior("HalfNormal", sigma=wide.shares, dims="channel")
    mmm = build_media_mix(wide, {**PRIORS, "saturation_beta": prior}, yearly_modes=1)
    mmm.add_lift_test_measurements(TESTS)
    fresh = fit_media_mix(mmm, **SIZES)["posterior"]
    refitted = refit.idata["posterior"]
    for name in PARAMETERS:
        both = [d[name].to_numpy() for d in (fresh, refitted)]
        sd = np.hypot(*(b.std(axis=(0, 1)) for b in both))
        difference = both[0].mean(axis=(0, 1)) - both[1].mean(axis=(0, 1))
        assert (abs(difference) < 0.25 * sd).all(), name
        ratio = both[0].std(axis=(0, 1)) / both[1].std(axis=(0, 1))
        assert (abs(np.log(ratio)) < 0.4).all(), name


def test_draws_are_in_the_units_of_the_table(refits):
    data = market(2, n_weeks=90)
    refit = refits.fit(data, draws=100, tune=100, chains=1, seed=1)
    wide, posterior = refit.data, refit.idata["posterior"].isel(chain=0, draw=-1)
    alpha, lam, beta = (
        posterior[name].to_numpy()
        for name in ("adstock_alpha", "saturation_lam", "saturation_beta")
    )
    share = wide.spend / np.maximum(wide.spend.max(axis=0), 1)  # no spend on the placebo
    in_model = media_contribution(share, alpha=alpha, lam=lam, beta=beta, l_max=6)
    in_table = refit.draws.media(wide)[-1]
    np.testing.assert_allclose(in_table, in_model * data.y.max(), rtol=1e-6)


def test_a_lift_test_moves_its_channel_only(refits):
    data = market(2, n_weeks=90)
    free, tested = (refits.fit(data, tests=t, **SIZES).totals() for t in (None, TESTS))
    assert tested[:, 1].std() < 0.6 * free[:, 1].std()
    assert tested[:, 0].std() > 0.6 * free[:, 0].std()


def test_arrays_are_in_units_of_the_largest_value(refits):
    data = market(3)
    arrays = refits.arrays(refits.widened(data), tests=TESTS)
    top = data.spend[:, 1].max()
    assert arrays["lift_from"][1] * top == pytest.approx(8e4)
    assert arrays["lift_to"][1] * top == pytest.approx(12e4)
    assert arrays["lift_gain"][1] * data.y.max() == pytest.approx(6e5)
    assert arrays["lift_sd"][[0, 2]].tolist() == [NO_TEST, NO_TEST]
    assert (arrays["prior_scale"] > 0).all()


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        (TESTS.assign(channel="Cinema"), "Cinema: no channel of this name"),
        (pd.concat([TESTS, TESTS]), "Insert: two tests; pool them into one"),
    ],
)
def test_tests_that_cannot_be_used_are_refused(refits, tests, message):
    with pytest.raises(ValueError, match=message):
        refits.arrays(refits.widened(market(3)), tests=tests)
