"""Tests of `helpers.notebook.style`."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import same_color

from helpers.notebook.plots import plot_model_graph, plot_two_series
from helpers.notebook.style import CITY_STYLES, COLOURS

N = 20

DATES = np.arange("2024-01-01", "2024-01-21", dtype="datetime64[D]")

SALES = np.random.default_rng(0).normal(500, 20, (N, 2))


def labels(axes):
    return axes.get_legend_handles_labels()[1]


def test_cities_differ_in_more_than_colour():
    one, other = CITY_STYLES
    assert not same_color(one["color"], other["color"])
    assert one["linestyle"] != other["linestyle"] and one["marker"] != other["marker"]


def test_two_series_with_a_fit():
    first, _ = plot_two_series(DATES, SALES, fitted=SALES + 1).axes
    assert labels(first) == ["sales", "model"]
    assert same_color(first.lines[0].get_color(), COLOURS["data"])
    np.testing.assert_array_equal(first.lines[1].get_ydata(), SALES[:, 0] + 1)


def test_model_graph_has_causes_above_effects_and_marks_what_is_known():
    parents = {"sales": ["level", "ads"], "level": ["mean"]}
    figure = plot_model_graph(parents, observed=["sales"], known=["ads"])
    texts = {text.get_text(): text for text in figure.axes[0].texts if text.get_text()}
    height = {name: text.get_position()[1] for name, text in texts.items()}
    assert height["mean"] > height["level"] == height["ads"] > height["sales"]
    arrows = [text for text in figure.axes[0].texts if not text.get_text()]
    assert len(arrows) == 3
    fill = {name: text.get_bbox_patch().get_facecolor() for name, text in texts.items()}
    grey = [name for name in fill if same_color(fill[name], COLOURS["prior"])]
    assert grey == ["sales"]
