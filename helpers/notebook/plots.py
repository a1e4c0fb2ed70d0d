"""The book's figure style and the plots that more than one chapter draws."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from helpers.notebook.claims import INTERVAL
from helpers.notebook.style import CITY_STYLES, COLOURS, WIDTH


def _date_axis(axes) -> None:
    locator = AutoDateLocator(maxticks=7)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _runs(on: np.ndarray) -> np.ndarray:
    """First and last position of each run of true days, shape (runs, 2)."""
    edges = np.flatnonzero(np.diff(np.r_[False, on, False].astype(int)))
    return edges.reshape(-1, 2) - [0, 1]


def plot_two_series(
    dates: Sequence,
    sales: np.ndarray,
    *,
    ads: np.ndarray | None = None,
    fitted: np.ndarray | None = None,
    cities: Sequence[str] = ("A", "B"),
    unit: str = "orders a day",
) -> Figure:
    """Sales of two cities, one panel each, with the days on which ads ran.

    Parameters
    ----------
    dates : sequence of datetime, length n
        Days.
    sales : array, shape (n, 2)
        Sales; NaN leaves a gap.
    ads : array, shape (n, 2), optional
        Ads; a day is shaded where it is above zero.
    fitted : array, shape (n, 2), optional
        Fitted mean, drawn over the sales.
    cities : sequence of str
        Names of the two cities.
    unit : str
        Unit of the sales.

    Returns
    -------
    matplotlib.figure.Figure
        Assign it, so that the notebook shows it once.

    Raises
    ------
    ValueError
        If an array is not of shape (n, 2).

    Examples
    --------
    >>> days = np.arange("2024-01-01", "2024-01-11", dtype="datetime64[D]")
    >>> figure = plot_two_series(days, np.ones((10, 2)), cities=("Ulm", "Bonn"))
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['Ulm', 'Bonn']
    """
    dates = np.asarray(dates, dtype="datetime64[ns]")
    for name, values in {"sales": sales, "ads": ads, "fitted": fitted}.items():
        if values is not None and np.shape(values) != (dates.size, 2):
            raise ValueError(f"{name}: shape {np.shape(values)}, expected ({dates.size}, 2)")
    half_day = np.timedelta64(12, "h")
    figure, panels = plt.subplots(2, 1, figsize=(WIDTH, 5.4), sharex=True)
    for c, axes in enumerate(panels):
        style = CITY_STYLES[c]
        if ads is not None:
            for i, (first, last) in enumerate(_runs(np.asarray(ads)[:, c] > 0)):
                axes.axvspan(
                    dates[first] - half_day,
                    dates[last] + half_day,
                    facecolor=COLOURS["counterfactual"],
                    alpha=0.35,
                    linewidth=0,
                    label="ads run" if i == 0 else None,
                )
        if fitted is None:
            axes.plot(dates, np.asarray(sales)[:, c], color=style["color"], linewidth=1.0)
        else:
            axes.plot(
                dates,
                np.asarray(sales)[:, c],
                ".",
                color=COLOURS["data"],
                markersize=3,
                rasterized=True,
                label="sales",
            )
            axes.plot(dates, np.asarray(fitted)[:, c], color=style["color"], label="model")
        axes.set_title(cities[c], loc="left")
        axes.set_ylabel(unit)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0)
    _date_axis(panels[-1])
    return figure


def plot_path(
    dates: Sequence,
    estimate: np.ndarray,
    *,
    truth: np.ndarray | None = None,
    days: Sequence[int] = (),
    days_label: str = "flagged day",
    ylabel: str = "shared shock (orders a day)",
) -> Figure:
    """A quantity by day: mean and interval, the truth where known, some days marked.

    Parameters
    ----------
    dates : sequence of datetime, length n
        Days.
    estimate : array, shape (3, n)
        Mean, lower and upper bound (:func:`helpers.notebook.claims.mean_interval`).
    truth : array, shape (n,), optional
        True values.
    days : sequence of int
        Positions of the days to mark.
    days_label : str
        What the marked days are.
    ylabel : str
        Quantity with its unit.

    Returns
    -------
    matplotlib.figure.Figure
        Assign it, so that the notebook shows it once.

    Raises
    ------
    ValueError
        If ``estimate`` is not of shape (3, n).

    Examples
    --------
    >>> days = np.arange("2024-01-01", "2024-01-11", dtype="datetime64[D]")
    >>> figure = plot_path(days, np.zeros((3, 10)), days=[2])
    >>> figure.axes[0].get_ylabel()
    'shared shock (orders a day)'
    """
    dates = np.asarray(dates, dtype="datetime64[ns]")
    if np.shape(estimate) != (3, dates.size):
        raise ValueError(f"estimate: shape {np.shape(estimate)}, expected (3, {dates.size})")
    mean, lower, upper = estimate
    figure, axes = plt.subplots()
    axes.fill_between(
        dates,
        lower,
        upper,
        color=COLOURS["posterior"],
        alpha=0.3,
        linewidth=0,
        label=f"{INTERVAL:.0%} interval",
    )
    axes.plot(dates, mean, color=COLOURS["posterior"], label="mean")
    if truth is not None:
        axes.plot(dates, truth, "--", color=COLOURS["truth"], linewidth=1.0, label="truth")
    if len(days):
        axes.plot(
            dates[days],
            np.asarray(mean)[days],
            "v",
            color=COLOURS["decision"],
            label=days_label,
        )
    axes.set_ylabel(ylabel)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderaxespad=0)
    _date_axis(axes)
    return figure


def plot_forest(
    estimates: Mapping[str, np.ndarray],
    *,
    truth: float | Sequence[float] | None = None,
    cities: Sequence[str] = ("A", "B"),
    xlabel: str = "lift (orders a day)",
) -> Figure:
    """Estimates of several models, one row each, first model on top.

    Parameters
    ----------
    estimates : mapping of str to array, shape (3,) or (3, 2)
        Centre, lower and upper bound; with two columns, one for each city.
    truth : float or pair of float, optional
        True value, or one for each city.
    cities : sequence of str
        Names of the two cities, for the legend.
    xlabel : str
        Quantity with its unit.

    Returns
    -------
    matplotlib.figure.Figure
        Assign it, so that the notebook shows it once.

    Raises
    ------
    ValueError
        If an estimate has another shape, or the shapes differ.

    Examples
    --------
    >>> figure = plot_forest({"naive": [20, 10, 30], "joint": [58, 50, 66]}, truth=60)
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['naive', 'joint']
    """
    shapes = {np.shape(value) for value in estimates.values()}
    if len(shapes) != 1 or not shapes <= {(3,), (3, 2)}:
        raise ValueError(f"estimates: shapes {sorted(shapes)}, expected one of (3,) or (3, 2)")
    values = np.stack([np.reshape(value, (3, -1)) for value in estimates.values()])
    n_rows, _, n_cities = values.shape
    single = {"color": COLOURS["posterior"], "marker": "o"}
    figure, axes = plt.subplots(figsize=(WIDTH, 1.2 + 0.45 * n_rows * max(1, 0.75 * n_cities)))
    rows = np.arange(n_rows)
    for c in range(n_cities):
        style = single if n_cities == 1 else CITY_STYLES[c]
        centre, lower, upper = values[:, :, c].T
        position = rows + (0 if n_cities == 1 else (-0.15, 0.15)[c])
        axes.hlines(position, lower, upper, color=style["color"])
        axes.plot(
            centre,
            position,
            style["marker"],
            color=style["color"],
            label=f"{INTERVAL:.0%} interval" if n_cities == 1 else cities[c],
        )
        if truth is not None:
            name = "truth" if n_cities == 1 else f"truth {cities[c]}"
            line = np.broadcast_to(truth, n_cities)[c]
            axes.axvline(
                line,
                color=COLOURS["truth"] if n_cities == 1 else style["color"],
                linestyle="--" if c == 0 else ":",
                linewidth=1.2,
                label=name,
            )
    axes.set_yticks(rows, list(estimates))
    axes.set_ylim(n_rows - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(xlabel)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderaxespad=0)
    return figure


def plot_model_graph(
    parents: Mapping[str, Sequence[str]], *, observed: Sequence[str], known: Sequence[str] = ()
) -> Figure:
    """Graph of a model: what depends on what, causes above effects.

    Parameters
    ----------
    parents : mapping of str to sequence of str
        Each quantity that depends on others, with those others; names may hold mathematics.
    observed : sequence of str
        Quantities that the data give, on a grey ground.
    known : sequence of str
        Quantities that are set or recorded and have no distribution, in boxes.

    Returns
    -------
    matplotlib.figure.Figure
        Assign it, so that the notebook shows it once.

    Raises
    ------
    ValueError
        If quantities depend on each other in a circle.

    Examples
    --------
    >>> figure = plot_model_graph({"sales": ["level", "ads"]}, observed=["sales"], known=["ads"])
    >>> sorted(text.get_text() for text in figure.axes[0].texts if text.get_text())
    ['ads', 'level', 'sales']
    """
    try:
        order = list(TopologicalSorter(parents).static_order())
    except CycleError as error:
        raise ValueError(f"parents: a circle, {' -> '.join(error.args[1])}") from None
    children = {name: [c for c, above in parents.items() if name in above] for name in order}
    height: dict[str, int] = {}
    for name in reversed(order):
        height[name] = 1 + max((height[child] for child in children[name]), default=-1)
    place: dict[str, tuple[float, float]] = {}
    for level in range(max(height.values()) + 1):  # each row in the order of what it leads to
        row = [name for name in order if height[name] == level]
        row.sort(
            key=lambda n: (
                np.mean([place[child][0] for child in children[n]] or [0]),
                [list(parents[child]).index(n) for child in children[n]],
            )
        )
        room = np.array([3 + max(map(_letters, name.split("\n"))) for name in row])
        middle = (np.cumsum(room) - room / 2) / room.sum()
        place |= {n: (float(x), float(level)) for n, x in zip(row, middle, strict=True)}
    levels = max(height.values())
    figure, axes = plt.subplots(figsize=(WIDTH, 0.9 + 1.05 * levels))
    for child, above in parents.items():
        for parent in above:
            axes.annotate(
                "",
                xy=place[child],
                xytext=place[parent],
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": COLOURS["data"],
                    "shrinkA": 8 + 8 * len(parent.split("\n")),
                    "shrinkB": 8 + 8 * len(child.split("\n")),
                },
            )
    for name, position in place.items():
        box = {
            "boxstyle": "square,pad=0.35" if name in known else "round,pad=0.35,rounding_size=0.8",
            "facecolor": COLOURS["prior"] if name in observed else "white",
            "edgecolor": COLOURS["data"],
        }
        axes.text(*position, name, ha="center", va="center", fontsize=12, bbox=box)
    axes.set(xlim=(0, 1), ylim=(-0.4, levels + 0.4))
    axes.axis("off")
    return figure


def _letters(line: str) -> int:
    """Length of a line as it is drawn: of a formula's commands only one letter each."""
    return len(re.sub(r"\\[a-z]+", "x", line).translate(str.maketrans("", "", "${}_^\\")))
