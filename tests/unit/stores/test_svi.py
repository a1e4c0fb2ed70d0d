"""Tests of `helpers.stores.svi`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer.util import log_density
from scipy.stats import poisson

from helpers.stores.cells import count_cells
from helpers.stores.model import collapsed_model, mean_field, plain_model, transform
from helpers.stores.svi import (
    cosine,
    evaluate_elbo,
    mean_field_start,
    run_svi,
    sample_nuts,
)

pytestmark = pytest.mark.usefixtures("single_precision")


def random_values(start, seed):
    """Parameters around a fit, wider than its posterior."""
    rng = np.random.default_rng(seed)
    values = {}
    for name in ("coef_mean", "coef_sd", "coef_z"):
        loc = np.asarray(start[f"{name}_loc"])
        values[name] = loc + 0.03 * rng.standard_normal(loc.shape)
    values["coef_sd"] = np.exp(values["coef_sd"])
    values["dispersion_mean"] = np.asarray(start["dispersion_mean_loc"]) + 0.3 * rng.normal()
    values["dispersion_sd"] = np.exp(start["dispersion_sd_loc"])
    z = np.asarray(start["dispersion_z_loc"])
    values["dispersion_z"] = z + 0.1 * rng.standard_normal(z.shape)
    return values


@pytest.mark.parametrize("family", ["nb1", "nb2"])
def test_collapsed_and_plain_model_agree(panel, family):
    part = panel.take(stores=slice(6))
    cells = count_cells(part, family=family)

    def compiled(model):
        def density(values, *data):
            return log_density(model, data, {"family": family}, values)[0]

        return jax.jit(jax.value_and_grad(density))

    by_day, by_cell = compiled(plain_model), compiled(collapsed_model)
    start = mean_field_start(cells)
    for seed in range(8):
        values = random_values(start, seed)
        single = {k: jnp.asarray(v, jnp.float32) for k, v in values.items()}
        value, slope = by_cell(single, cells.arrays())
        with jax.enable_x64(True):
            double = {k: jnp.asarray(v, jnp.float32).astype(float) for k, v in values.items()}
            exact, exact_slope = by_day(
                double, jnp.asarray(part.cube(), float), jnp.asarray(part.sales, float)
            )
        # rounding of single precision, which the sums of NB2 magnify
        assert float(value) == pytest.approx(float(exact), rel=2e-6 if family == "nb1" else 1e-5)
        largest = max(np.abs(np.asarray(g)).max() for g in exact_slope.values())
        for name, exact_part in exact_slope.items():
            np.testing.assert_allclose(slope[name], exact_part, atol=1e-4 * largest)


@pytest.mark.parametrize("family", ["nb1", "nb2"])
@pytest.mark.parametrize("dispersion", [None, -8.0, 0.0, 44.0])
def test_outside_of_the_table_the_density_is_that_of_the_days(panel, family, dispersion):
    part = panel.take(stores=slice(6))
    with jax.enable_x64(True):
        arrays = count_cells(part, family=family).arrays(float)
        days = jnp.asarray(part.cube(), float), jnp.asarray(part.sales, float)
        for seed in range(4):  # draws of the source's start
            traced = numpyro.handlers.trace(numpyro.handlers.seed(mean_field, seed)).get_trace(
                arrays
            )
            sites = {k: v["value"] for k, v in traced.items() if v["type"] == "sample"}
            if dispersion is not None:
                sites |= {
                    "dispersion_mean": jnp.array(dispersion),
                    "dispersion_sd": jnp.array(1e-9),
                }
            options = {"family": family}
            plain = log_density(plain_model, days, options, sites)[0]
            if family == "nb2" and dispersion == 44:  # Poisson, which NumPyro's density rounds away
                nothing = jnp.full_like(days[1], jnp.nan)
                plain = log_density(plain_model, (days[0], nothing), options, sites)[0]
                mean = np.exp(np.einsum("stf,sf->st", days[0], transform(sites)[0]))
                plain += np.nansum(poisson.logpmf(np.asarray(part.sales, float), mean))
            for exact in (False, True):
                found = log_density(collapsed_model, (arrays,), options | {"exact": exact}, sites)
                assert float(found[0]) == pytest.approx(float(plain), rel=1e-5), (seed, exact)


def test_a_guide_must_have_the_models_sites_and_shapes(cells):
    def misspelt(data):
        mean_field(data)
        numpyro.sample("coef_zz", dist.Normal(0, 1))

    def short(data):
        with numpyro.handlers.block(hide=["dispersion_z"]):
            mean_field(data)

    def flat(data):
        n_stores = len(data["n"])
        with numpyro.handlers.block(hide=["coef_z"]):
            mean_field(data)
        numpyro.sample("coef_z", dist.Normal(jnp.zeros((n_stores, 1)), 1).to_event(2))

    arrays = cells.arrays()
    for loss in (None, numpyro.infer.Trace_ELBO()):
        options = {"steps": 1, "seed": 1, "loss": loss}
        with pytest.raises(UserWarning, match=r"vars in model but not guide: \{'dispersion_z'\}"):
            run_svi(collapsed_model, short, arrays, **options)
        with pytest.raises(UserWarning, match=r"vars in guide but not model(?s:.*)'coef_zz'"):
            run_svi(collapsed_model, misspelt, arrays, **options)
        with pytest.raises(ValueError, match="disagree at site 'coef_z'"):
            run_svi(collapsed_model, flat, arrays, **options)
    with pytest.raises(ValueError, match="steps=0, chunk=100: at least 1 each"):
        run_svi(collapsed_model, mean_field, arrays, steps=0, seed=1)


def test_a_killed_run_resumes_where_it_was(cells, tmp_path):
    options = {"steps": 40, "chunk": 10, "seed": 1, "rate": cosine(0.01, 40)}
    start = mean_field_start(cells)
    arrays = cells.arrays()
    whole = run_svi(collapsed_model, mean_field, arrays, start=start, **options)

    class Killed(Exception):
        pass

    def kill(step, loss):
        if step == 20:
            raise Killed

    path = tmp_path / "run.npz"
    with pytest.raises(Killed):
        run_svi(
            *(collapsed_model, mean_field, arrays),
            **options,
            start=start,
            checkpoint=path,
            progress=kill,
        )
    steps = []
    resumed = run_svi(
        *(collapsed_model, mean_field, arrays),
        **options,
        start=start,
        checkpoint=path,
        progress=lambda step, loss: steps.append(step),
    )
    assert steps == [30, 40]
    np.testing.assert_array_equal(resumed.losses, whole.losses)
    for name, value in whole.params.items():
        np.testing.assert_array_equal(resumed.params[name], value)
    with pytest.raises(ValueError, match="checkpoint of another fit"):
        run_svi(
            collapsed_model,
            mean_field,
            arrays,
            **(options | {"seed": 2}),
            start=start,
            checkpoint=path,
        )


def test_a_resumed_run_in_double_precision_keeps_its_losses(cells, tmp_path):
    options = {"chunk": 5, "seed": 1, "rate": 0.01, "start": mean_field_start(cells)}
    with jax.enable_x64(True):
        whole = run_svi(collapsed_model, mean_field, cells.arrays(float), steps=10, **options)
        for steps in (5, 10):
            options["checkpoint"] = tmp_path / "run"
            resumed = run_svi(
                collapsed_model, mean_field, cells.arrays(float), steps=steps, **options
            )
    np.testing.assert_array_equal(resumed.losses, whole.losses)


def test_a_schedule_runs_where_other_samplers_switched_to_double_precision(cells):
    start = mean_field_start(cells)
    options = {"steps": 4, "seed": 1, "rate": cosine(1e-3, 4), "start": start}
    with jax.enable_x64(True):
        fit = run_svi(collapsed_model, mean_field, cells.arrays(), **options)
    assert {value.dtype for value in fit.params.values()} == {np.dtype("float32")}
    np.testing.assert_allclose(fit.params["coef_mean_loc"], start["coef_mean_loc"], atol=0.01)


def test_the_start_is_close_to_the_best_mean_field(cells, structured):
    arrays = cells.arrays()
    start = mean_field_start(cells)
    elbo = evaluate_elbo(collapsed_model, mean_field, start, arrays, n_draws=50, seed=1)
    best = structured.elbo(50, seed=1)
    a_store = (best.mean() - elbo.mean()) / len(cells.n)
    assert 0 < a_store < 12
    worse = start | {"coef_z_scale": 3 * start["coef_z_scale"]}
    other = evaluate_elbo(collapsed_model, mean_field, worse, arrays, n_draws=50, seed=1)
    assert other.mean() < elbo.mean()


def test_nuts_agrees_with_the_structured_posterior(structured):
    fit = structured
    idata = sample_nuts(fit, draws=40, tune=60, chains=1, seed=1)
    assert int(idata["sample_stats"]["diverging"].sum()) == 0
    exact = idata["posterior"]["coef"].to_numpy()[0]
    near = fit.sample(200, seed=1)["coef"]
    off = np.abs(exact.mean(0) - near.mean(0)) / exact.std(0)
    assert np.median(off) < 0.5
