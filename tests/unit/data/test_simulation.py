"""Tests of `helpers.data.simulation`."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.data.simulation import persistent


def test_a_path_follows_its_recursion_and_leaves_its_shocks_alone():
    shocks = np.random.default_rng(1).normal(size=(50, 3))
    path = shocks.copy()
    for t in range(1, 50):
        path[t] = 0.8 * path[t - 1] + np.sqrt(1 - 0.8**2) * shocks[t]
    kept = shocks.copy()
    assert np.array_equal(persistent(shocks, 0.8), path) and np.array_equal(shocks, kept)


def test_a_path_is_stationary():
    paths = persistent(np.random.default_rng(2).normal(size=(20, 40_000)), 0.9)
    assert paths.std(axis=1) == pytest.approx(np.ones(20), abs=0.02)
    assert np.corrcoef(paths[4], paths[5])[0, 1] == pytest.approx(0.9, abs=0.01)
