"""Points at which the density of shared shocks is looked at."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from small_markets import small_series

from helpers.cities.model import prepare, shared_shock_model


@pytest.fixture(scope="module")
def points():
    """Data of 80 days, and six random points: values by name, log density without Jacobian."""
    planted = np.zeros((80, 2))
    planted[70:75] = 1
    data = prepare(small_series(), planted=planted)
    model = shared_shock_model(data)
    named = [*model.free_RVs, *model.deterministics]
    quick = {"mode": "FAST_COMPILE"}  # evaluated a few times only
    values = model.compile_fn(model.replace_rvs_by_values(named), inputs=model.value_vars, **quick)
    density = model.compile_logp(jacobian=False, **quick)
    rng, start = np.random.default_rng(3), model.initial_point()
    shaken = [
        {name: value + 0.4 * rng.normal(size=value.shape) for name, value in start.items()}
        for _ in range(6)
    ]
    names = [variable.name for variable in named]
    dims = {name: model.named_vars_to_dims.get(name) or () for name in names}
    by_name = [dict(zip(names, values(point), strict=True)) for point in shaken]
    return SimpleNamespace(
        data=data, by_name=by_name, log_density=[density(point) for point in shaken], dims=dims
    )
