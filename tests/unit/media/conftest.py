"""A media mix in two pieces, and its model with prior draws."""

from __future__ import annotations

import pytest
import xarray as xr
from small_markets import config, media, sample_prior

from helpers.media.draws import mix_draws
from helpers.media.model import build_media_mix


@pytest.fixture(scope="module")
def split():
    data = media()
    return data.between(None, 100), data.between(100, None)


@pytest.fixture(scope="module")
def fitted(split):
    """The model with prior draws in place of a posterior: nothing here needs a fit."""
    mmm = build_media_mix(split[0], config(split[0]), l_max=4, yearly_modes=2)
    prior = sample_prior(mmm, 12)["prior"].to_dataset()
    data = {name: mmm.model[name] for name in ("channel_data", "control_data", "target_data")}
    constant = xr.Dataset(
        {name: (mmm.model.named_vars_to_dims[name], v.get_value()) for name, v in data.items()}
    )
    mmm.idata = xr.DataTree.from_dict({"posterior": prior, "constant_data": constant})
    return mmm


@pytest.fixture(scope="module")
def draws(fitted):
    return mix_draws(fitted)
