"""Tests of `helpers.notebook.plots`."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import numpyro
import numpyro.distributions as dist
import pymc as pm
import pytest
from matplotlib.colors import same_color, to_rgb
from matplotlib.text import Annotation

from helpers.notebook.plots import plot_model_graph, plot_two_series
from helpers.notebook.style import COLOURS

N = 20

DATES = np.arange("2024-01-01", "2024-01-21", dtype="datetime64[D]")

SALES = np.random.default_rng(0).normal(500, 20, (N, 2))


def labels(axes):
    return axes.get_legend_handles_labels()[1]


def test_figures_are_opaque_white_and_the_same_bytes_twice():
    def svg():
        buffer = io.BytesIO()
        figure = plot_two_series(DATES, SALES, ads=np.eye(N)[:, :2])
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        return buffer.getvalue()

    assert to_rgb(mpl.rcParams["figure.facecolor"]) == (1, 1, 1)
    assert svg() == svg()


def test_two_series_shades_each_run_of_ads():
    ads = np.zeros((N, 2))
    ads[[0, 1, 5], 0] = 1
    first, second = plot_two_series(DATES, SALES, ads=ads, cities=("Ulm", "Bonn")).axes
    assert [len(first.patches), len(second.patches)] == [2, 0]
    edges = mpl.dates.num2date(first.patches[0].get_x() + first.patches[0].get_width())
    assert edges.strftime("%Y-%m-%d %H") == "2024-01-02 12"
    assert labels(first) == ["ads run"] and labels(second) == []
    np.testing.assert_array_equal(second.lines[0].get_ydata(), SALES[:, 1])
    assert second.get_title(loc="left") == "Bonn" and second.get_ylabel() == "orders a day"


@pytest.mark.parametrize("name", ["sales", "ads"])
def test_two_series_refuses_another_shape(name):
    arguments = {"sales": SALES} | {name: SALES[:, :1]}
    with pytest.raises(ValueError, match=r"sales, ads: \(20, .*, not \(20, 2\)"):
        plot_two_series(DATES, **arguments)


def city_model():
    with pm.Model(coords={"city": ["A", "B"], "day": range(5)}) as model:
        ads = pm.Data("ads", np.ones((5, 2)), dims=("day", "city"))
        sales = pm.Data("sales_data", np.ones((5, 2)), dims=("day", "city"))
        spread = pm.HalfNormal("spread", 1)
        level = pm.Normal("level", 0, spread, dims="city")
        lift = pm.Normal("lift", 0, spread, dims="city")
        noise = pm.HalfNormal("noise", 1)
        mean = pm.Deterministic("mean", level + lift * ads, dims=("day", "city"))
        pm.Deterministic("ratio", lift / level, dims="city")
        pm.Normal("sales", mean, noise, observed=sales, dims=("day", "city"))
    return model


def drawn(figure):
    """Texts of quantities, centres by text, rectangles of plates, and number of arrows."""
    (axes,) = figure.axes
    texts = {t.get_text(): t for t in axes.texts if t.get_bbox_patch()}
    plates = {patch.get_gid(): patch.get_bbox() for patch in axes.patches if patch.get_gid()}
    return texts, plates, sum(isinstance(text, Annotation) for text in axes.texts)


def test_model_graph_has_causes_above_effects_and_marks_what_is_observed():
    texts, _, arrows = drawn(plot_model_graph(city_model()))
    assert set(texts) == {"ads", "spread", "level", "lift", "noise", "mean", "sales"}
    height = {name: text.get_position()[1] for name, text in texts.items()}
    for above, below in [
        ("spread", "level"),
        ("level", "mean"),
        ("ads", "mean"),
        ("noise", "sales"),
    ]:
        assert height[above] > height[below]
    assert height["mean"] > height["sales"] and arrows == 7
    fill = {name: text.get_bbox_patch().get_facecolor() for name, text in texts.items()}
    assert [n for n in fill if same_color(fill[n], COLOURS["prior"])] == ["sales"]
    line = {name: text.get_bbox_patch().get_linestyle() for name, text in texts.items()}
    assert [n for n in line if line[n] == "--"] == ["mean"]


def test_model_graph_puts_plates_around_what_repeats_and_around_nothing_else():
    texts, plates, _ = drawn(plot_model_graph(city_model()))
    within = {
        plate: {name for name, text in texts.items() if box.contains(*text.get_position())}
        for plate, box in plates.items()
    }
    assert within == {"city": {"level", "lift"}, "day × city": {"ads", "mean", "sales"}}


def test_model_graph_merges_like_causes_and_leaves_out_what_it_shall():
    texts, _, arrows = drawn(
        plot_model_graph(city_model(), labels={"noise": r"noise $\sigma$"}, skip=["mea*", "spread"])
    )
    assert set(texts) == {"ads", "level\nlift", r"noise $\sigma$", "sales"} and arrows == 3


def test_model_graph_refuses_what_the_model_has_not():
    with pytest.raises(ValueError, match="no quantity sigma, tau in this model; it has ads, "):
        plot_model_graph(city_model(), labels={"tau": "t"}, skip=["sigma"])


def test_model_graph_of_a_numpyro_model():
    def model(sales):
        scale = numpyro.sample("scale", dist.HalfNormal(1.0))
        with numpyro.plate("stores", 3, dim=-2):
            level = numpyro.sample("level", dist.Normal(0.0, scale))
            with numpyro.plate("days", 4, dim=-1):
                numpyro.sample("sales", dist.Normal(level, 1.0), obs=sales)

    texts, plates, arrows = drawn(plot_model_graph(model, np.ones((3, 4))))
    assert set(texts) == {"scale", "level", "sales"} and arrows == 2
    assert set(plates) == {"stores", "stores × days"}
    assert same_color(texts["sales"].get_bbox_patch().get_facecolor(), COLOURS["prior"])
