"""One compiled model serves all data, and the draws are read as PyMC-Marketing reads them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pymc as pm
import pytest

from helpers.media import MediaData, MediaTruth, simulate_media_mix
from helpers.media_refits import (
    PARAMETERS,
    Refits,
    _model,
    best_plan,
    contributions,
    drift_basis,
    expected_target,
    flat_draws,
    refit_arrays,
    return_scale,
)
from helpers.sampling import diagnostics

SIZES = {"draws": 300, "tune": 300, "chains": 2, "seed": 1}
MODES = 2


def market(seed, n_weeks=120):
    twin = simulate_media_mix(n_weeks, seed=seed, truth=MediaTruth())
    return MediaData(twin.data, "sales", twin.truth["names"][:2], ["Easter", "Black Friday"])


@pytest.fixture(scope="module")
def refits():
    return Refits(market(1), yearly_modes=1, modes=MODES)


def test_refit_equals_a_fresh_fit(refits):
    data = market(2, n_weeks=90)  # other numbers, and fewer weeks
    arrays = refit_arrays(data, placebo=data.spend[::-1, 0], modes=MODES)
    idata = refits.fit(arrays, **SIZES)
    assert diagnostics(idata, PARAMETERS)["rhat"] < 1.05
    model = _model(data, yearly_modes=1, modes=MODES)
    with model:
        pm.set_data({k: v for k, v in arrays.items() if k in model.named_vars})
        point = {k: v[7] for k, v in flat_draws(idata).items()}
        values = {
            "intercept_contribution": point["intercept_contribution"],
            "saturation_beta_unit_log__": np.log(point["saturation_beta"] / arrays["prior_scale"]),
            "saturation_lam_log__": np.log(point["saturation_lam"]),
            "adstock_alpha_logodds__": np.log(
                point["adstock_alpha"] / (1 - point["adstock_alpha"])
            ),
            "gamma_control": point["gamma_control"],
            "gamma_fourier": point["gamma_fourier"],
        }
        outputs = model.replace_rvs_by_values([model["channel_contribution"], model["mu"]])
        parts = model.compile_fn(outputs, mode="FAST_COMPILE", on_unused_input="ignore")
        channel, mu = parts(values)
        fresh = pm.sample(
            **{k: v for k, v in SIZES.items() if k != "seed"},
            random_seed=2,
            nuts_sampler="nutpie",
            nuts_sampler_kwargs={"backend": "jax"},
            progressbar=False,
        )["posterior"]
    one = {k: v[None] for k, v in point.items()}
    top = arrays["target_scale"]
    np.testing.assert_allclose(contributions(one, arrays)[0], channel * top, rtol=1e-6)
    np.testing.assert_allclose(expected_target(one, arrays)[0], mu * top, rtol=1e-6)
    refitted = idata["posterior"]
    for name in ("saturation_beta", "gamma_control", "gamma_fourier", "y_sigma"):
        error = np.hypot(*(d[name].std(("chain", "draw")) for d in (fresh, refitted))) / 10
        difference = fresh[name].mean(("chain", "draw")) - refitted[name].mean(("chain", "draw"))
        assert (abs(difference.to_numpy()) < 4 * error).all(), name
