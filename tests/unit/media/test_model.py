"""Tests of `helpers.media.model`."""

from __future__ import annotations

import numpy as np
import pytest
from pymc_extras.prior import Prior
from pymc_marketing.metrics import crps
from pymc_marketing.mmm import MMM, GeometricAdstock, LogisticSaturation
from small_markets import config

from helpers.media.model import build_media_mix


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


def test_crps_is_lower_for_the_better_forecast_and_has_a_scale():
    rng = np.random.default_rng(0)
    truth = rng.normal(100, 5, 40)
    good, poor = rng.normal(100, 5, (400, 40)), rng.normal(120, 5, (400, 40))
    assert crps(truth, good) < crps(truth, poor)
    assert crps(10 * truth, 10 * good) == pytest.approx(10 * crps(truth, good))
    assert crps(truth, good / 1e6) == pytest.approx(truth.mean(), rel=1e-4)  # the source's slip
