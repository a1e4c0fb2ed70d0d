"""Simulation-based calibration: ranks of true values among posterior draws."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from helpers.plots import COLOURS, WIDTH

#: Draws that a true value is ranked among; the ranks run from 0 to this number.
RANK_DRAWS = 99


def rank_of(truth: float, draws: np.ndarray) -> int:
    """Rank of a true value among draws, thinned evenly to ``RANK_DRAWS``.

    Parameters
    ----------
    truth : float
        Value that generated the data.
    draws : array
        Posterior draws in the order of the chains, at least ``RANK_DRAWS``.

    Returns
    -------
    int
        How many of the thinned draws lie below the truth, 0 to ``RANK_DRAWS``.

    Raises
    ------
    ValueError
        If there are fewer draws.

    References
    ----------
    :cite:`talts2018validating`

    Examples
    --------
    >>> rank_of(0.25, np.linspace(0, 1, 500))
    25
    """
    draws = np.ravel(draws)
    if draws.size < RANK_DRAWS:
        raise ValueError(f"{draws.size} draws, at least {RANK_DRAWS} are needed; draw more")
    thinned = draws[np.linspace(0, draws.size - 1, RANK_DRAWS).round().astype(int)]
    return int(np.sum(thinned < truth))


def rank_counts(ranks: np.ndarray, *, n_bins: int = 10) -> np.ndarray:
    """Histogram of ranks, in bins of equal probability.

    Parameters
    ----------
    ranks : array of int, shape (n_datasets,)
        What :func:`rank_of` returns, one for each data set.
    n_bins : int
        Number of bins, a divisor of ``RANK_DRAWS + 1``.

    Returns
    -------
    array of int, shape (n_bins,)
        Data sets in each bin.

    Raises
    ------
    ValueError
        If the bins cannot be equal.

    Examples
    --------
    >>> rank_counts(np.arange(100), n_bins=4).tolist()
    [25, 25, 25, 25]
    """
    if (RANK_DRAWS + 1) % n_bins:
        raise ValueError(f"n_bins={n_bins} does not divide {RANK_DRAWS + 1} ranks into equal bins")
    return np.bincount(np.asarray(ranks) * n_bins // (RANK_DRAWS + 1), minlength=n_bins)


def rank_band(
    n_datasets: int,
    *,
    n_histograms: int = 1,
    n_bins: int = 10,
    probability: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Counts between which *all* bins of all histograms lie if ranks are uniform.

    Histograms are taken as independent; where they go together, the band is a little too wide.

    Parameters
    ----------
    n_datasets : int
        Ranks in each histogram.
    n_histograms : int
        Number of histograms looked at together.
    n_bins : int
        Bins of each.
    probability : float
        Probability that no bin at all is outside.
    seed : int
        Seed of the simulation that finds the band.

    Returns
    -------
    tuple of float
        Lower and upper count.

    Examples
    --------
    >>> one, many = rank_band(200), rank_band(200, n_histograms=12)
    >>> many[0] < one[0] < 20 < one[1] < many[1]
    True
    """
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n_datasets, np.full(n_bins, 1 / n_bins), size=(4000, n_histograms))
    expected = n_datasets / n_bins
    farthest = float(np.quantile(np.abs(counts - expected).max(axis=(1, 2)), probability))
    return max(expected - farthest, 0.0), expected + farthest


def plot_ranks(
    ranks: Mapping[str, np.ndarray],
    band: tuple[float, float],
    *,
    n_bins: int = 10,
    columns: int = 3,
) -> Figure:
    """Rank histograms side by side, with the band of uniform ranks.

    Bars that leave the band are hatched.

    Parameters
    ----------
    ranks : mapping of str to array of int, shape (n_datasets,)
        Ranks by the title of their panel.
    band : tuple of float
        What :func:`rank_band` returns.
    n_bins : int
        Number of bins.
    columns : int
        Panels in a row.

    Returns
    -------
    matplotlib.figure.Figure
        Assign it, so that the notebook shows it once.

    Examples
    --------
    >>> figure = plot_ranks({"beta": np.arange(100), "sd": np.zeros(100, int)}, (5, 15))
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['beta', 'sd']
    """
    rows = -(-len(ranks) // columns)
    figure, panels = plt.subplots(
        rows, columns, figsize=(WIDTH, 0.9 + 1.35 * rows), sharex=True, sharey=True, squeeze=False
    )
    where = (np.arange(n_bins) + 0.5) * (RANK_DRAWS + 1) / n_bins
    for axes, (name, values) in zip(panels.flat, ranks.items(), strict=False):
        counts = rank_counts(values, n_bins=n_bins)
        outside = (counts < band[0]) | (counts > band[1])
        bars = axes.bar(
            where,
            counts,
            width=0.86 * (RANK_DRAWS + 1) / n_bins,
            color=np.where(outside, COLOURS["decision"], COLOURS["posterior"]),
        )
        for bar in np.array(bars)[outside]:
            bar.set(hatch="//", edgecolor="white")
        axes.axhspan(*band, color=COLOURS["prior"], alpha=0.5, zorder=0, linewidth=0)
        axes.set_title(name, loc="left", fontsize=12)
        axes.grid(visible=False)
        axes.set_xticks([0, (RANK_DRAWS + 1) // 2, RANK_DRAWS + 1])
    for axes in panels.flat[len(ranks) :]:
        axes.remove()
    for axes in panels.flat[max(0, len(ranks) - columns) : len(ranks)]:
        axes.tick_params(labelbottom=True)
    figure.supxlabel("rank of the truth among the draws", fontsize=13)
    figure.supylabel("data sets", fontsize=13)
    return figure
