"""Tests of `helpers.media.model`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from malformed import good_media_frame
from pymc_extras.prior import Prior
from pymc_marketing.metrics import crps
from pymc_marketing.mmm import MMM, GeometricAdstock, LogisticSaturation

from helpers.media.load import MediaData
from helpers.media.model import build_media_mix, spend_share_prior

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
