"""Tests of `helpers.stores.posterior`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer import Predictive

from helpers.notebook.claims import NotConverged
from helpers.stores.cells import contrasts, count_cells
from helpers.stores.load import as_store_panel
from helpers.stores.model import mean_field, transform
from helpers.stores.posterior import (
    _expand,
    _start,
    fit_mean_field,
    fit_structured,
    newton,
)
from helpers.stores.posterior import log_density as joint_density
from helpers.stores.simulate import simulate_stores
from helpers.stores.svi import mean_field_start, whitened_log_density

pytestmark = pytest.mark.usefixtures("single_precision")


def test_the_structured_posterior_holds_the_truth(market, cells, structured):
    draws = structured.sample(400, seed=1)
    features = cells.features
    found = contrasts(draws["coef"], cells.attributes, features)["promo"]
    truth = contrasts(market.truth["coef"], cells.attributes, features)["promo"]
    low, high = np.quantile(found, [0.05, 0.95], axis=0)
    assert ((low < truth) & (truth < high)).mean() > 0.75
    z = (draws["dispersion"].mean(0) - market.truth["dispersion"]) / draws["dispersion"].std(0)
    assert np.abs(z).mean() < 1.5


def test_a_search_that_does_not_end_gives_no_posterior(cells):
    with pytest.raises(NotConverged, match="still moved after 1 steps"):
        fit_structured(cells, max_steps=1)


def test_other_stores_keep_the_population(panel, cells, structured):
    few = count_cells(panel.observed(np.arange(400) < 7).take(stores=slice(5)))
    new = structured.stores(few)
    assert new.mean is structured.mean
    promo = cells.features.index("promo")
    known = structured.stores(cells.take(slice(5)))
    width = [np.sqrt(fit.given(fit.mean, fit.log_sd)[1][:, promo, promo]) for fit in (new, known)]
    assert (width[1] < width[0]).all()
    with pytest.raises(ValueError, match="features"):
        structured.stores(count_cells(as_store_panel(_bare(panel))))


def _bare(panel):
    market = simulate_stores(6, seed=1, n_days=50)
    return market.data[["date", "store", "sales", "open", "promo"]]


def test_whitened_density_has_the_right_jacobian(structured, cells):
    fit = structured.stores(cells.take(slice(3)))
    size, rng = fit.mean.size, np.random.default_rng(1)
    with jax.enable_x64(True):
        density = whitened_log_density(fit)

        def parameters(q):
            found = density(q[: 2 * size], q[2 * size :].reshape(3, size))[1]
            return jnp.concatenate([found[k].ravel() for k in ("mean", "log_sd", "beta")])

        turn, off = jax.jit(jax.jacfwd(parameters)), []
        for _ in range(3):
            q = rng.standard_normal(5 * size)
            mean, log_sd, beta = np.split(np.asarray(parameters(q)), [size, 2 * size])
            value = float(density(q[: 2 * size], q[2 * size :].reshape(3, size))[0])
            joint = joint_density(fit.cells, beta.reshape(3, size), mean, log_sd)
            off.append(value - joint - np.linalg.slogdet(np.asarray(turn(q)))[1])
    np.testing.assert_allclose(off, off[0], atol=1e-5)


def test_draws_of_the_guide_have_the_sites_of_the_model(cells):
    start = mean_field_start(cells)
    draw = Predictive(mean_field, params=start, num_samples=50)
    coef, dispersion = transform(draw(jax.random.PRNGKey(1), cells.arrays()))
    assert coef.shape == (50, 24, 23) and dispersion.shape == (50, 24)
    beta = fit_mean_field(cells)["beta"]
    np.testing.assert_allclose(coef.mean(0)[:, :6], beta[:, :6], atol=0.1)


@pytest.mark.parametrize("reach", [np.inf, 2.0])
def test_newton_ends_at_a_peak(cells, reach):
    beta = _start(cells)
    mean, precision = beta.mean(0), np.eye(24)
    found = newton(cells, beta, mean, precision, 100, reach=reach)
    slope = _expand(cells, found)[1] - (found - mean) @ precision
    assert np.abs(slope).max() < 1e-3
