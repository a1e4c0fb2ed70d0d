"""Tests of `helpers.inference.scores`."""

from __future__ import annotations

import numpy as np
import pytest
from pymc_marketing.metrics import per_observation_crps

from helpers.inference.scores import crps


@pytest.mark.parametrize("n", [2, 5, 400])
def test_marketings_score_divides_the_spread_by_n_squared_and_ours_by_the_pairs(n):
    rng = np.random.default_rng(n)
    draws, value = rng.gamma(2, size=(n, 7)), rng.gamma(2, size=7)
    error = np.abs(draws - value).mean(axis=0)
    of_all_pairs = error - per_observation_crps(value, draws)
    np.testing.assert_allclose(error - crps(draws, value), of_all_pairs * n / (n - 1))


def test_the_score_does_not_depend_on_the_number_of_draws():
    rng = np.random.default_rng(1)
    means = [crps(rng.normal(size=(n, 200_000 // n)), np.zeros(1)).mean() for n in (2, 10, 1000)]
    assert means == pytest.approx([(np.sqrt(2) - 1) / np.sqrt(np.pi)] * 3, abs=0.01)
