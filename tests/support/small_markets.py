"""Small data of each Part, and what the equations say of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pymc as pm
from malformed import good_media_frame
from pymc_extras.prior import Prior

from helpers.cities.load import TwoSeries
from helpers.media.load import MediaData
from helpers.media.model import spend_share_prior
from helpers.prices.load import load_price_panel
from helpers.prices.simulate import simulate_prices

POPULATION = {
    "alpha_intercept": 0.3,
    "alpha_slope": 0.4,
    "beta_intercept": -2.5,
    "beta_slope": -0.7,
    "alpha_sd": 0.5,
    "beta_sd": 0.8,
    "effect_correlation": -0.6,
    "store_sd": 0.3,
    "residual_sd": 0.4,
}

LIKELIHOOD = Prior("TruncatedNormal", lower=0, sigma=Prior("HalfNormal", sigma=1), dims="date")


def small_series(n_days=80):
    """Two cities with campaigns, spend in B, two known days, and all days open."""
    rng = np.random.default_rng(7)
    event = np.full(n_days, None, dtype=object)
    event[[5, 40]], event[20] = "fair", "cup"
    ads = np.zeros((n_days, 2))
    ads[10:20, 0], ads[50:60, 1] = 1, 20
    sales = np.exp(rng.normal([7, 6], [0.2, 0.3], (n_days, 2)))
    return TwoSeries(
        pd.date_range("2023-01-02", periods=n_days), ("Ulm", "Bonn"), sales, ads, event
    )


def covariances(v):
    """Covariance of a day's residual for each type of day, from the text's definition."""
    slope = np.array([1, v["loading"]])
    quiet = v["day_sd"] ** 2 * np.outer(slope, slope) + np.diag(v["noise_sd"] ** 2)
    shared = v["spike_sd"] ** 2 * np.outer(slope, slope)
    own = v["own_spike_sd"] ** 2
    return [quiet, quiet + shared, quiet + np.diag([own[0], 0]), quiet + np.diag([0, own[1]])]


def small_panel(n_regions=4, income=True, **sizes):
    sizes = {"stores": (1, 3), "n_weeks": 6} | sizes
    frame = simulate_prices(n_regions, seed=3, **sizes).data
    return load_price_panel(frame if income else frame.drop(columns="median_income"))


def rows_of(panel, data, values):
    """Design, mean and covariance of the rows when region and store effects are unknown."""
    design = np.column_stack([np.ones(panel.region.size), panel.log_price - data.reference[0]])
    income = data.arrays.get("income", np.zeros(len(data.regions)))
    means = np.stack(
        [
            values[f"{name}_intercept"] + values.get(f"{name}_slope", 0) * income
            for name in ("alpha", "beta")
        ],
        axis=-1,
    )
    sds = np.array([values["alpha_sd"], values["beta_sd"]])
    effects = np.outer(sds, sds) * [
        [1, values["effect_correlation"]],
        [values["effect_correlation"], 1],
    ]
    covariance = (design @ effects @ design.T) * np.equal.outer(panel.region, panel.region)
    covariance += values["store_sd"] ** 2 * np.equal.outer(panel.store, panel.store)
    covariance += values["residual_sd"] ** 2 * np.eye(panel.region.size)
    return design, means, effects, (design * means[panel.region]).sum(axis=1), covariance


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


def sample_prior(mmm, draws, seed=1):
    """Draws of the parameters, also kept as ``mmm.idata``."""
    mmm.idata = pm.sample_prior_predictive(
        draws,
        model=mmm.model,
        var_names=[variable.name for variable in mmm.model.free_RVs],
        random_seed=seed,
        compile_kwargs={"mode": "FAST_COMPILE"},  # compiling would take longer than the tests
    )
    return mmm.idata
