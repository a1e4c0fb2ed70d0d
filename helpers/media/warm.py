"""Models to compile ahead of the chapters on several markets."""

import pymc as pm

from helpers.media.hierarchy import HierarchicalMMM
from helpers.media.load import load_two_markets
from helpers.media.simulate import simulate_markets


def _markets(data, channels, *, shared=(), controls=None, modes=None) -> pm.Model:
    model = HierarchicalMMM(
        *("date", channels, "market", 6),
        global_channels=shared,
        target_column="sales",
        control_columns=controls,
        yearly_seasonality=modes,
    )
    model.build_model(data.drop(columns="sales"), data["sales"], unequal="mask")
    return model.mmm.model


MODELS = {
    "hierarchical markets": lambda: _markets(
        simulate_markets(6, seed=1, n_weeks=104, weeks=[104] * 5 + [26]).data,
        ["tv", "radio", "online"],
        shared=["online"],
    ),
    "two markets": lambda: _markets(
        load_two_markets()[0], ["x1", "x2"], controls=["event_1", "event_2"], modes=2
    ),
}
