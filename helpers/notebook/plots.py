"""The book's figure style and the plots that more than one chapter draws."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from graphlib import TopologicalSorter
from itertools import chain
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from helpers.notebook.style import CITY_STYLES, COLOURS, WIDTH, short_name


def plot_two_series(
    dates: Sequence,
    sales: np.ndarray,
    *,
    ads: np.ndarray | None = None,
    cities: Sequence[str] = ("A", "B"),
    unit: str = "orders a day",
) -> Figure:
    """Sales of two cities, one panel each, with the days on which ads ran.

    Parameters
    ----------
    sales, ads : array, shape (n, 2)
        Sales (NaN leaves a gap), and ads, shaded where above zero.

    Returns
    -------
    matplotlib.figure.Figure
        Assign it, so that the notebook shows it once.
    """
    days, half_day = np.asarray(dates, dtype="datetime64[ns]"), np.timedelta64(12, "h")
    ads = np.zeros((days.size, 2)) if ads is None else np.asarray(ads)
    if not np.shape(sales) == ads.shape == (days.size, 2):
        raise ValueError(f"sales, ads: {np.shape(sales)}, {ads.shape}, not {(days.size, 2)}")
    figure, panels = plt.subplots(2, 1, figsize=(WIDTH, 5.4), sharex=True)
    for c, axes in enumerate(panels):
        axes.plot(days, np.asarray(sales)[:, c], color=CITY_STYLES[c]["color"], linewidth=1.0)
        edges = np.flatnonzero(np.diff(np.r_[0, ads[:, c] > 0, 0])).reshape(-1, 2)
        shade = {"facecolor": COLOURS["counterfactual"], "alpha": 0.35, "linewidth": 0}
        for first, end in edges:
            axes.axvspan(days[first] - half_day, days[end - 1] + half_day, **shade)
        if len(edges):
            axes.patches[0].set_label("ads run")
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
        axes.set_title(short_name(cities[c], 60), loc="left")
        axes.set_ylabel(unit)
    return figure


class _Node(NamedTuple):
    """A quantity of a model: what it is, the dimensions it repeats over, what it depends on."""

    kind: str
    plate: tuple[str, ...]
    parents: set[str]


def plot_model_graph(
    model: Any, *data: Any, labels: Mapping[str, str] | None = None, skip: Sequence[str] = ()
) -> Figure:
    """Graph of a model, made from the model: causes above effects, plates around what repeats.

    Parameters
    ----------
    model, *data : pymc.Model or callable, and object
        A PyMC model, or a NumPyro model and its arguments.
    labels : mapping of str to str, optional
        What stands in place of a name; may hold mathematics and line breaks.
    skip : sequence of str
        Names, or patterns such as ``"*_contribution"``, to leave out: what they depend on is then
        tied to what depends on them. Deterministic quantities that lead nowhere never show.

    Returns
    -------
    matplotlib.figure.Figure
        Plates carry the names of their dimensions, or their lengths; assign it, to show it once.
    """
    nodes = _pymc_nodes(model) if hasattr(model, "free_RVs") else _numpyro_nodes(model, *data)
    labels = dict(labels or {})
    gone = [[name for name in nodes if fnmatchcase(name, pattern)] for pattern in skip]
    unknown = [pattern for pattern, names in zip(skip, gone, strict=True) if not names]
    if unknown := unknown + sorted(labels.keys() - nodes.keys()):
        raise ValueError(
            f"no quantity {', '.join(unknown)} in this model; it has {', '.join(nodes)}"
        )
    for name in dict.fromkeys(chain(*gone)):
        above = nodes.pop(name).parents
        for node in nodes.values():
            if name in node.parents:
                node.parents.remove(name)
                node.parents.update(above)
    while ends := [
        name
        for name, node in nodes.items()
        if node.kind == "computed" and all(name not in other.parents for other in nodes.values())
    ]:
        for name in ends:
            del nodes[name]
    leading = set().union(*(node.parents for node in nodes.values()))
    nodes = {n: node for n, node in nodes.items() if node.parents or n in leading}
    texts = _merged(nodes, labels)
    return _draw_graph(nodes, _places(nodes), texts)


def _merged(nodes, labels):
    """Draw as one the causes of one kind, plate and consequence; the text of each node."""
    alike: dict = {}
    for name, node in nodes.items():
        below = frozenset(other for other in nodes if name in nodes[other].parents)
        alike.setdefault(name if node.parents else (node.kind, node.plate, below), []).append(name)
    texts = {}
    for first, *others in alike.values():
        texts[first] = "\n".join(
            labels.get(name, _wrapped(name, 16 if others else 11)) for name in (first, *others)
        )
        for name in others:
            del nodes[name]
            for node in nodes.values():
                node.parents.discard(name)
    return texts


def _pymc_nodes(model):
    from pymc.model_graph import ModelGraph, get_node_type

    kinds = {"FREE_RV": "free", "DETERMINISTIC": "computed", "DATA": "data"}
    parents = ModelGraph(model).make_compute_graph()
    nodes = {}
    for name in parents:
        kind = kinds.get(get_node_type(name, model).name, "observed")  # potentials as well
        dims = model.named_vars_to_dims.get(name)
        if dims is None and kind != "data":  # the shape of an input says little
            dims = map(str, model[name].shape.eval())
        nodes[name] = _Node(kind, tuple(dims or ()), parents[name])
    observed = {name for name, node in nodes.items() if node.kind == "observed"}
    # the values of an observed variable are a node below it, which says nothing more
    return {n: nodes[n] for n in nodes if nodes[n].kind != "data" or not parents[n] & observed}


def _numpyro_nodes(model, *data):
    from numpyro.infer.inspect import get_model_relations

    found = get_model_relations(model, model_args=data)
    nodes = {}
    for name, distribution in found["sample_dist"].items():
        plates = [p for p, names in found["plate_sample"].items() if name in names]
        kind = "computed" if distribution == "Deterministic" else "free"
        nodes[name] = _Node(
            "observed" if name in found["observed"] else kind,
            tuple(dict.fromkeys(plate.split("__CLONE")[0] for plate in plates)),
            set(found["sample_sample"][name]),
        )
    return nodes


def _places(nodes: Mapping[str, _Node], steps: int = 10_000) -> np.ndarray:
    """Column and row (from below) of each node, annealed: causes above effects, short arrows."""
    names = list(nodes)
    position = {name: i for i, name in enumerate(names)}
    edges = np.array(
        [
            (position[p], position[name])
            for name, node in nodes.items()
            for p in sorted(node.parents)
        ],
        int,
    ).reshape(-1, 2)
    # without a plate, a node is a box of its own
    of = [node.plate or name for name, node in nodes.items()]
    boxes = [np.flatnonzero([o == box for o in of]) for box in dict.fromkeys(of)]
    member = np.array([[i in box for i in range(len(names))] for box in boxes])

    height: dict[str, int] = {}
    for name in reversed(
        list(TopologicalSorter({n: nodes[n].parents for n in names}).static_order())
    ):
        below = [height[c] for c in names if name in nodes[c].parents]
        height[name] = max(below, default=-2) + 2  # every second row stays free at first
    at = np.zeros((len(names), 2), int)
    right = 0
    for box in boxes:
        used: dict[int, int] = {}
        for i in box:
            row = height[names[i]]
            at[i] = right + used.get(row, 0), row
            used[row] = used.get(row, 0) + 1
        right += max(used.values())

    def cost(at):
        start, way = at[edges[:, 0]], at[edges[:, 1]] - at[edges[:, 0]]
        if (way[:, 1] >= 0).any():
            return np.inf
        low = np.where(member[..., None], at, 99).min(1)
        high = np.where(member[..., None], at, -99).max(1)
        meet = ((low[:, None] <= high) & (low <= high[:, None])).all(-1)
        if meet.sum() > len(boxes) or len(np.unique(at, axis=0)) < len(at):
            return np.inf
        stretch = np.array([2.2, 3.0])  # nodes are about circles then
        way, off = way * stretch, (at - start[:, None]) * stretch
        along = (off * way[:, None]).sum(-1) / (way**2).sum(-1)[:, None]
        far = np.linalg.norm(off - along[..., None] * way[:, None], axis=-1)
        over = ((along > 0.02) & (along < 0.98) & (far < 1)).sum()
        empty = ((high - low + 1).prod(1) - member.sum(1)).sum()
        columns, rows = (len(np.unique(line)) for line in at.T)
        length = np.abs(at[edges[:, 0]] - at[edges[:, 1]]) @ [1.0, 0.5]
        return length.sum() + 5 * over + 0.3 * empty + 4 * max(0, columns - 5) + 1.5 * rows

    rng = np.random.default_rng(0)
    now = best = cost(at)
    kept = at
    for temperature in np.geomspace(3, 0.05, steps):
        new = at.copy()
        step = rng.integers(-2, 3, 2)
        if rng.random() < 0.4:
            new[boxes[rng.integers(len(boxes))]] += step
        else:
            i = rng.integers(len(at))
            there = np.flatnonzero((at == at[i] + step).all(1))
            new[i] += step
            new[there] = at[i]
        value = cost(new)
        if value < now or rng.random() < np.exp((now - value) / temperature):
            at, now = new, value
            if now < best:
                kept, best = at, now
    return np.stack([np.unique(line, return_inverse=True)[1] for line in kept.T], axis=1)


def _draw_graph(nodes, places, texts_of):
    """Draw in inches, so that columns are as wide as what they hold."""
    figure = plt.figure(figsize=(WIDTH, 1), layout="none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    n_columns, n_rows = places.max(0) + 1
    texts = []
    for name, node in nodes.items():
        drawn = node.kind in ("free", "observed")
        box = {
            "boxstyle": "round,pad=0.35,rounding_size=0.8" if drawn else "square,pad=0.35",
            "facecolor": COLOURS["prior"] if node.kind == "observed" else "white",
            "edgecolor": COLOURS["data"],
            "linestyle": "--" if node.kind == "computed" else "-",
        }
        text = axes.text(0, 0, texts_of[name], ha="center", va="center", bbox=box, zorder=3)
        text.set_parse_math(True)  # labels are the chapter's, never a reader's names
        texts.append(text)
    plates = {}
    for plate in dict.fromkeys(node.plate for node in nodes.values() if node.plate):
        within = places[[node.plate == plate for node in nodes.values()]]
        plates[" × ".join(plate)] = (*within.min(0), *within.max(0) + 1)
    for size in (12, 11, 10, 9, 8, 7):
        for text in texts:
            text.set_fontsize(size)
        half = np.array([text.get_window_extent().size for text in texts]) / figure.dpi / 2
        half += 0.35 * size / 72
        width = np.array([2 * half[places[:, 0] == c, 0].max(initial=0) for c in range(n_columns)])
        width += 0.24
        for label, (first, _, stop, _) in plates.items():
            room = (0.075 * len(label) + 0.2) / (stop - first)
            width[first:stop] = np.maximum(width[first:stop], room)
        if width.sum() <= WIDTH:
            break
    width += (WIDTH - width.sum()) / n_columns
    half_rows = np.array([half[places[:, 1] == r, 1].max() for r in range(n_rows)])
    left, bottom = np.r_[0, width.cumsum()], np.r_[0, (2 * half_rows + 0.55).cumsum()]
    figure.set_size_inches(WIDTH, bottom[-1])
    axes.set(xlim=(0, WIDTH), ylim=(0, bottom[-1]))
    column, row = places.T
    centre = np.stack([left[column] + width[column] / 2, bottom[row] + half_rows[row] + 0.3], 1)
    for text, middle in zip(texts, centre, strict=True):
        text.set_position(middle)
    for label, (first, low, stop, high) in plates.items():
        corner = left[first] + 0.06, bottom[low] + 0.06
        size_of = left[stop] - left[first] - 0.12, bottom[high] - bottom[low] - 0.12
        blue = COLOURS["posterior"]
        frame: dict[str, Any] = {"facecolor": "#F7F7F7", "edgecolor": blue, "linewidth": 0.9}
        frame |= {"boxstyle": "round,pad=0,rounding_size=0.1", "gid": label}
        axes.add_patch(FancyBboxPatch(corner, *size_of, **frame))
        words: dict[str, Any] = {"size": 9, "style": "italic", "color": blue}
        right, base = corner[0] + size_of[0] - 0.06, corner[1] + 0.04
        axes.text(right, base, label, ha="right", va="bottom", **words)
    named = dict(zip(nodes, texts, strict=True))
    for child, node in nodes.items():
        for parent in sorted(node.parents):
            start, end = named[parent], named[child]
            arrow = {"arrowstyle": "-|>", "color": COLOURS["data"], "shrinkA": 0, "shrinkB": 0}
            arrow |= {"patchA": start.get_bbox_patch(), "patchB": end.get_bbox_patch()}
            ends = {"xytext": start.get_position(), "xy": end.get_position()}
            axes.annotate("", **ends, arrowprops=arrow | {"linewidth": 0.8})
    return figure


def _wrapped(name: str, letters: int) -> str:
    """Name in lines of about so many letters, broken after a space or an underscore."""
    lines = [""]
    for part in re.findall(r"[^ _]+[ _]?|[ _]", name):
        if lines[-1] and len(lines[-1]) + len(part) > letters:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.strip() for line in lines)
