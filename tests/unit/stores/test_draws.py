"""Tests of `helpers.stores.draws`."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.stores.draws import coverage, pattern_means, score_days
from helpers.stores.load import as_store_panel
from helpers.stores.simulate import simulate_stores


@pytest.fixture(scope="module")
def market():
    return simulate_stores(12, seed=3, n_days=760)


@pytest.fixture(scope="module")
def panel(market):
    return as_store_panel(market.data)


def test_means_follow_from_the_features(market, panel):
    means = pattern_means(panel, market.truth["coef"])
    store, day = np.nonzero(panel.pattern >= 0)
    np.testing.assert_allclose(
        means[store, panel.pattern[store, day]], market.expected["mean"][store, day], rtol=1e-5
    )


def test_scores_of_the_true_model_are_calibrated(market, panel):
    truth = market.truth
    draws = {
        "coef": np.repeat(truth["coef"][None], 60, axis=0),
        "dispersion": np.repeat(truth["dispersion"][None], 60, axis=0),
    }
    scores = score_days(panel, draws, family="nb1", seed=1)
    assert len(scores) == np.isfinite(panel.sales).sum()
    held = coverage(scores)
    assert held["50"] == pytest.approx(0.5, abs=0.03)
    assert held["90"] == pytest.approx(0.88, abs=0.03)  # 60 draws: a little narrow
    assert np.histogram(scores["pit"], 5)[0] == pytest.approx(np.full(5, len(scores) / 5), rel=0.1)
    shifted = score_days(panel, draws | {"coef": draws["coef"] + 0.02}, family="nb1", seed=1)
    assert shifted["log_score"].mean() < scores["log_score"].mean()
