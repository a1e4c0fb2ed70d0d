"""Ranks, their histograms, and the band that uniform ranks keep to."""

import re

import numpy as np
import pytest

from helpers.calibration import RANK_DRAWS, plot_ranks, rank_band, rank_counts, rank_of
from helpers.plots import COLOURS


def test_ranks_of_exchangeable_draws_are_uniform():
    rng = np.random.default_rng(1)
    draws = rng.normal(size=(20_000, RANK_DRAWS + 1))
    ranks = np.array([rank_of(one[0], one[1:]) for one in draws])
    assert ranks.min() == 0 and ranks.max() == RANK_DRAWS
    low, high = rank_band(20_000, probability=0.999)
    counts = rank_counts(ranks)
    assert counts.sum() == 20_000 and low <= counts.min() and counts.max() <= high


def test_a_rank_counts_thinned_draws_of_all_chains():
    draws = np.arange(1000.0).reshape(2, 500)
    assert rank_of(-1, draws) == 0 and rank_of(1000, draws) == RANK_DRAWS
    assert rank_of(500, draws) == pytest.approx(RANK_DRAWS / 2, abs=0.5)


@pytest.mark.parametrize("n_histograms", [1, 12])
def test_the_band_holds_all_bins_with_its_probability(n_histograms):
    low, high = rank_band(200, n_histograms=n_histograms)
    counts = np.random.default_rng(7).multinomial(200, [0.1] * 10, size=(4000, n_histograms))
    inside = ((low <= counts) & (counts <= high)).all(axis=(1, 2)).mean()
    assert 0.94 < inside < 0.985  # counts are whole: the band rounds outwards


def test_wrong_posteriors_leave_the_band():
    rng = np.random.default_rng(3)
    truth = rng.normal(size=300)
    low, high = rank_band(300)
    for shift, scale in [(0.5, 1.0), (0.0, 0.5), (0.0, 2.0)]:
        ranks = [rank_of(t, shift + scale * rng.normal(size=RANK_DRAWS)) for t in truth]
        counts = rank_counts(ranks)
        assert counts.min() < low or counts.max() > high


def test_the_plot_marks_bars_outside_the_band():
    figure = plot_ranks({"good": np.arange(100), "bad": np.zeros(100, int)}, (2, 20), columns=2)
    colours = [[bar.get_facecolor()[:3] for bar in axes.patches[:10]] for axes in figure.axes]
    assert len(set(colours[0])) == 1
    assert len(set(colours[1])) == 1 and colours[0][0] != colours[1][0]
    half = plot_ranks({"half": np.arange(50)}, (2, 20)).axes[0]
    assert [bar.get_hatch() for bar in half.patches[:10]] == [None] * 5 + ["//"] * 5
    assert COLOURS["decision"] != COLOURS["posterior"]


def test_refusals():
    with pytest.raises(ValueError, match=re.escape("5 draws, at least 99 are needed; draw more")):
        rank_of(0.0, np.arange(5))
    with pytest.raises(ValueError, match="n_bins=7 does not divide 100 ranks"):
        rank_counts(np.arange(5), n_bins=7)
