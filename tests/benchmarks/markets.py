"""The hierarchical media mix model fitted to more and more markets, each in its own process.

Without `--way` it runs all sizes, those under a minute `--repeats` times, and writes what
the performance page shows.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from measuring import checked, clocked, conditions, in_cold_process, interleaved, main, quiet

from helpers.media.hierarchy import HierarchicalMMM
from helpers.media.simulate import MarketsTruth, simulate_markets

#: Markets, weeks, channels.
SIZES = {"small": (6, 104, 3), "middle": (20, 104, 3), "large": (40, 156, 5)}
DRAWS = 1000  # a chain
SEED = 1
OUTPUT = Path(__file__).parents[2] / "book" / "performance_markets.json"
PACKAGES = ("pymc", "pymc-marketing", "nutpie", "numba", "numpy")
NAMES = ["saturation_beta", "saturation_lam", "adstock_alpha", "intercept_contribution", "y_sigma"]


def truth(n_channels: int) -> MarketsTruth:
    """As the simulator assumes, with channels repeated; the last has one effect everywhere."""
    base = MarketsTruth()

    def repeated(values):
        return (*(values[i % 2] for i in range(n_channels - 1)), values[2])

    names = ("effect", "effect_sd", "carry_over", "steepness", "spend")
    return MarketsTruth(
        channels=tuple(f"channel {i}" for i in range(1, n_channels + 1)),
        **{name: repeated(getattr(base, name)) for name in names},
    )


def record(name: str) -> dict:
    """Time with compilation, effective sample size, memory, and what the sampler says."""
    quiet()
    n_markets, n_weeks, n_channels = SIZES[name]
    panel = simulate_markets(n_markets, seed=SEED, truth=truth(n_channels), n_weeks=n_weeks)
    channels = panel.truth["channels"]
    model = HierarchicalMMM(
        "date", channels, "market", 6, global_channels=channels[-1:], target_column="sales"
    )
    X, y = panel.data.drop(columns="sales"), panel.data["sales"]
    with clocked() as row:
        model.fit(X, y, draws=DRAWS, tune=DRAWS, chains=4, random_seed=SEED, quiet=True)
    return {
        "size": name,
        "markets": n_markets,
        "weeks": n_weeks,
        "channels": n_channels,
        "draws": DRAWS * 4,
        **row,
        **checked(model.idata, NAMES),
    }


def bench(n_repeats: int) -> dict:
    """Run every size, in turn."""
    load = os.getloadavg()[0]
    sizes = interleaved(
        [partial(in_cold_process, __file__, "--way", name) for name in SIZES], n_repeats
    )
    return conditions(load, PACKAGES) | {"sizes": sizes}


if __name__ == "__main__":
    main(OUTPUT, bench, record, SIZES, __doc__)
