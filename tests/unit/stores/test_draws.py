"""Tests of `helpers.stores.draws`."""

from __future__ import annotations

import numpy as np
import pytest
from chapter_code import from_chapter

from helpers.stores.draws import pattern_means
from helpers.stores.load import as_store_panel
from helpers.stores.simulate import simulate_stores

sales_of_day, score_days = from_chapter("a-thousand-stores", "sales_of_day", "score_days")


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
    scores = score_days(panel, draws, family="nb1", seed=1, days=True)
    assert len(scores) == np.isfinite(panel.sales).sum()
    assert scores["in50"].mean() == pytest.approx(0.5, abs=0.03)
    assert scores["in90"].mean() == pytest.approx(0.88, abs=0.03)  # 60 draws: a little narrow
    assert np.histogram(scores["pit"], 5)[0] == pytest.approx(np.full(5, len(scores) / 5), rel=0.1)
    shifted = score_days(
        panel, draws | {"coef": draws["coef"] + 0.02}, family="nb1", seed=1, days=True
    )
    assert shifted["log_score"].mean() < scores["log_score"].mean()


def test_the_families_have_their_mean_and_variance():
    mean, d = np.array([8.0, 20.0]), np.log(2.0)
    for family, variance in (("nb1", mean * 3), ("nb2", mean + mean**2 / 2)):
        of_day = sales_of_day(mean, d, family)
        np.testing.assert_allclose(of_day.mean(), mean)
        np.testing.assert_allclose(of_day.var(), variance)
