"""The media mix case study as published and as ours by three samplers, and ours on more weeks.

Without `--way` it runs all of them, each in its own process, and writes what the performance page
shows. The published data are used if MARKET_BOOK_DATA names them, else the simulated twin.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pymc as pm
from measuring import checked, clocked, conditions, in_cold_process, interleaved, main, quiet
from pymc.model.transform.optimization import freeze_dims_and_data
from pymc_extras.prior import Prior
from pymc_marketing.mmm import MMM, GeometricAdstock, LogisticSaturation

from helpers.inference.sampling import cores_for
from helpers.media.load import MediaData, load_case_study
from helpers.media.model import PARAMETERS, build_media_mix, fit_media_mix, spend_share_prior
from helpers.media.simulate import MediaTruth, simulate_media_mix

CHAINS = 4
DRAWS = 1000  # a chain, as many to tune: chapter 7's
SOURCE_DRAWS = 4000
HELD_OUT = 26
GROWTH = (1, 10)  # times as many weeks
OUTPUT = Path(__file__).parents[2] / "book" / "performance_mix.json"
PACKAGES = ("pymc", "pymc-marketing", "nutpie", "numba", "numpyro", "jax", "numpy")
SEED = 1
TARGET_ACCEPT = 0.95
#: NumPyro draws its chains at once only if told that the processor is several devices.
DEVICES = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={CHAINS}"}


def case_study(growth):
    """Weeks fitted, and where they are from; more of them are simulated, without a trend."""
    data, real = load_case_study()
    if growth:
        truth = MediaTruth(trend=(0.0,) * len(data.channels))
        n_weeks = (len(data) - HELD_OUT) * growth
        frame = simulate_media_mix(n_weeks, seed=SEED, truth=truth).data
        return MediaData(frame, data.target, data.channels, data.controls), "simulated"
    return data.between(None, -HELD_OUT), "published" if real else "simulated"


def priors(data):
    return {
        "intercept": Prior("Normal", mu=0.2, sigma=0.05),
        "adstock_alpha": Prior("Beta", alpha=1, beta=3, dims="channel"),
        "saturation_beta": spend_share_prior(data),
        "saturation_lam": Prior("Gamma", alpha=3, beta=1, dims="channel"),
        "gamma_control": Prior("Normal", mu=0, sigma=1, dims="control"),
        "gamma_fourier": Prior("Laplace", mu=0, b=1, dims="fourier_mode"),
        "likelihood": Prior(
            "TruncatedNormal", lower=0, sigma=Prior("HalfNormal", sigma=1), dims="date"
        ),
    }


def as_in_the_source(data, draws):
    """All holidays, everything kept with every draw, NumPyro: 4 chains of 4000 draws."""
    mmm = MMM(
        model_config=priors(data),
        date_column="date",
        target_column=data.target,
        channel_columns=data.channels,
        control_columns=data.controls,
        adstock=GeometricAdstock(l_max=6),
        saturation=LogisticSaturation(),
        yearly_seasonality=5,
    )
    mmm.fit(
        data.X,
        data.y,
        target_accept=0.9,
        chains=CHAINS,
        draws=draws * SOURCE_DRAWS // DRAWS,
        nuts_sampler="numpyro",
        random_seed=SEED,
        progressbar=False,
    )
    return mmm.idata


def ours(data, draws, *, sampler):
    """Without the holidays that repeat others; only the parameters kept."""
    data = data.without(list(data.repeated_controls()))
    mmm = build_media_mix(data, priors(data))
    size = {"draws": draws, "tune": draws, "chains": CHAINS, "target_accept": TARGET_ACCEPT}
    if sampler == "nutpie":
        return fit_media_mix(mmm, seed=SEED, **size)
    return pm.sample(
        model=freeze_dims_and_data(mmm.model),
        cores=cores_for(CHAINS),
        nuts_sampler=sampler,
        random_seed=SEED,
        var_names=[variable.name for variable in mmm.model.free_RVs],
        progressbar=False,
        compute_convergence_checks=False,
        **size,
    )


WAYS = {"as_in_the_source": as_in_the_source} | {
    sampler: partial(ours, sampler=sampler) for sampler in ("nutpie", "numpyro", "pymc")
}


def record(way: str, growth: int, draws: int) -> dict:
    """Clocks, memory and diagnostics of all parameters."""
    quiet()
    data, source = case_study(growth)
    with clocked() as row:
        idata = WAYS[way](data, draws)
    posterior = idata["posterior"].to_dataset()
    return {
        "way": way,
        "weeks": len(data),
        "data": source,
        **({"growth": growth} if growth else {}),
        **row,
        "draws": posterior.sizes["chain"] * posterior.sizes["draw"],
        "draws_mb": round(sum(node.to_dataset().nbytes for node in idata.subtree) / 1e6, 1),
        **checked(idata, [name for name in PARAMETERS if name in posterior]),
    }


def bench(n_repeats: int) -> dict:
    """Run every way on the case study, and ours on more and more weeks."""
    load = os.getloadavg()[0]
    runs = [
        partial(
            in_cold_process,
            *(__file__, "--way", way, "--growth", str(growth)),
            variables=DEVICES if way == "numpyro" else None,
        )
        for way, growth in [(way, 0) for way in WAYS] + [("nutpie", growth) for growth in GROWTH]
    ]
    return conditions(load, PACKAGES) | {"ways": interleaved(runs, n_repeats)}


if __name__ == "__main__":
    main(OUTPUT, bench, record, WAYS, __doc__, growth=0, draws=DRAWS)
