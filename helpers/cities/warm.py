"""Models to compile ahead of the chapters on two cities."""

import numpy as np
import pymc as pm

from helpers.cities.load import load_two_cities
from helpers.cities.model import prepare, shared_shock_model
from helpers.cities.simulate import simulate_two_cities


def _shocks(*, planted: bool) -> pm.Model:
    series = load_two_cities(simulate_two_cities(730, seed=1).data)
    second = np.roll(series.ads, 40, axis=0) if planted else None
    return shared_shock_model(prepare(series, use_events=False, planted=second))


MODELS = {
    "shared shocks": lambda: _shocks(planted=False),
    "shared shocks, planted lift": lambda: _shocks(planted=True),
}
