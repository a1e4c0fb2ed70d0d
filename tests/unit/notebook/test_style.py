"""Tests of `helpers.notebook.style`."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from matplotlib.colors import same_color

from helpers.notebook.plots import plot_two_series
from helpers.notebook.style import CITY_STYLES, set_style, short_name

N = 20

DATES = np.arange("2024-01-01", "2024-01-21", dtype="datetime64[D]")

SALES = np.random.default_rng(0).normal(500, 20, (N, 2))


def test_cities_differ_in_more_than_colour():
    one, other = CITY_STYLES
    assert not same_color(one["color"], other["color"])
    assert one["linestyle"] != other["linestyle"] and one["marker"] != other["marker"]


HOSTILE = ("cost_{x", "US$ (A$)", "😀 $\\frac{$", "مدينة", "x" * 300)


@pytest.fixture
def own_style():
    set_style("their file")
    yield
    set_style()


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_of_a_readers_file_can_be_drawn(own_style, name):
    figure = plot_two_series(DATES, SALES, cities=(name, "$$"))
    figure.savefig(BytesIO(), format="svg")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [short_name(name, 60), "$$"]


def test_a_long_name_keeps_both_ends():
    assert short_name("store 12") == "store 12"
    assert short_name("a" * 40 + "b" * 40, 11) == "aaaaa…bbbbb"
