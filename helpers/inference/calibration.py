"""Simulation-based calibration: ranks of true values among posterior draws."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from helpers.notebook.claims import key_numbers
from helpers.notebook.style import COLOURS, WIDTH

#: Draws that a true value is ranked among; the ranks run from 0 to this number.
RANK_DRAWS = 99

#: A study with a smaller :func:`rank_pvalue` or :func:`ecdf_pvalue` fails. A right model leaves a
#: 95 % band once in twenty studies, and every build on every machine is another study: draws
#: differ.
LEAST_PVALUE = 0.001


_BINS = 10  # of each histogram, a divisor of RANK_DRAWS + 1


def rank_of(truth: float, draws: np.ndarray) -> int:
    """Rank of a true value among draws, thinned evenly to ``RANK_DRAWS``.

    Parameters
    ----------
    truth, draws : float and array
        Value that generated the data; draws in the order of the chains, at least ``RANK_DRAWS``.

    Returns
    -------
    int
        How many of the thinned draws lie below the truth, 0 to ``RANK_DRAWS``.
    """
    draws = np.ravel(draws)
    if draws.size < RANK_DRAWS:
        raise ValueError(f"{draws.size} draws, at least {RANK_DRAWS} are needed; draw more")
    thinned = draws[np.linspace(0, draws.size - 1, RANK_DRAWS).round().astype(int)]
    return int(np.sum(thinned < truth))


def _rank_counts(ranks: np.ndarray, *, n_bins: int = _BINS) -> np.ndarray:
    """Histogram of ranks in bins of equal probability; ``n_bins`` divides ``RANK_DRAWS + 1``."""
    if (RANK_DRAWS + 1) % n_bins:
        raise ValueError(f"n_bins={n_bins} does not divide {RANK_DRAWS + 1} ranks into equal bins")
    return np.bincount(np.asarray(ranks) * n_bins // (RANK_DRAWS + 1), minlength=n_bins)


def rank_band(
    n_datasets: int,
    *,
    n_histograms: int = 1,
    probability: float = 0.95,
) -> tuple[float, float]:
    """Counts between which *all* bins of all histograms lie if ranks are uniform.

    Parameters
    ----------
    n_datasets, n_histograms : int
        Ranks in each histogram, and histograms looked at together, taken as independent.
    probability : float
        Probability that no bin at all is outside.

    Returns
    -------
    tuple of float
        Lower and upper count.
    """
    expected = n_datasets / _BINS
    farthest = float(np.quantile(_farthest(n_datasets, n_histograms), probability))
    return max(expected - farthest, 0.0), expected + farthest


@cache
def _farthest(n_datasets: int, n_histograms: int) -> np.ndarray:
    """How far off the farthest bar is, in simulated studies with uniform ranks."""
    even = np.full(_BINS, 1 / _BINS)
    counts = np.random.default_rng(0).multinomial(n_datasets, even, size=(4000, n_histograms))
    return np.abs(counts - n_datasets / _BINS).max(axis=(1, 2))


def _farthest_bar(ranks: pd.DataFrame) -> float:
    """How far off the farthest bar of a study is."""
    return max(np.abs(_rank_counts(ranks[name]) - len(ranks) / _BINS).max() for name in ranks)


def rank_pvalue(ranks: pd.DataFrame) -> float:
    """Share of studies of a right model that have a bar as far off as the farthest one here.

    Parameters
    ----------
    ranks : pandas.DataFrame, shape (n_datasets, n_histograms)
        Ranks by data set and quantity; histograms are taken as independent.

    Returns
    -------
    float
        In (0, 1], to about 0.0003.
    """
    simulated, farthest = _farthest(len(ranks), ranks.shape[1]), _farthest_bar(ranks)
    return float((1 + (simulated >= farthest).sum()) / (1 + simulated.size))


def _ecdf_band(n_datasets: int, *, n_curves: int = 1, probability: float = 0.95) -> np.ndarray:
    """Band that *all* ECDFs keep to if ranks are uniform :cite:p:`sailynoja2022graphical`."""
    rarest = _rarest(n_datasets, n_curves)
    level = np.quantile(rarest, 1 - probability, method="lower")
    usual = _tails(n_datasets) >= level
    lower, upper = usual.argmax(axis=1), n_datasets - usual[:, ::-1].argmax(axis=1)
    return np.stack([lower, upper]) / n_datasets


def ecdf_pvalue(ranks: pd.DataFrame) -> float:
    """Share of studies of a right model that have a point of an ECDF as far off as any here.

    Parameters
    ----------
    ranks : pandas.DataFrame, shape (n_datasets, n_curves)
        As for :func:`rank_pvalue`; far off is a small tail :cite:p:`sailynoja2022graphical`.

    Returns
    -------
    float
        In (0, 1], to about 0.0003.
    """
    tails = _tails(len(ranks))
    found = min(_rarest_point(tails, _at_most(ranks[name])) for name in ranks)
    simulated = _rarest(len(ranks), ranks.shape[1])
    return float((1 + (simulated <= found).sum()) / (1 + simulated.size))


def passes(ranks: pd.DataFrame) -> bool:
    """Whether bars and ECDFs of a study, all together, are as even as a right model's.

    Parameters
    ----------
    ranks : pandas.DataFrame, shape (n_datasets, n_histograms)
        Ranks by data set and quantity.

    Returns
    -------
    bool
        Whether :func:`rank_pvalue` and :func:`ecdf_pvalue` are above ``LEAST_PVALUE``.
    """
    return min(rank_pvalue(ranks), ecdf_pvalue(ranks)) > LEAST_PVALUE


def _at_most(ranks):
    """Data sets with at most each rank but the last, at which all are."""
    return _rank_counts(ranks, n_bins=RANK_DRAWS + 1).cumsum()[:-1]


@cache
def _tails(n_datasets: int) -> np.ndarray:
    """Smaller tail probability of each count, by rank; shape (RANK_DRAWS, n_datasets + 1)."""
    share = np.arange(1, RANK_DRAWS + 1)[:, None] / (RANK_DRAWS + 1)
    counts = np.arange(n_datasets + 1)
    uniform = stats.binom(n_datasets, share)
    return np.minimum(uniform.cdf(counts), uniform.sf(counts - 1))


def _rarest_point(tails, at_most):
    """Tail probability of the point of a curve that is farthest off; curves in any shape."""
    return tails[np.arange(RANK_DRAWS), at_most].min(axis=-1)


@cache
def _rarest(n_datasets: int, n_curves: int) -> np.ndarray:
    """The same for the farthest of all curves, in simulated studies with uniform ranks."""
    rng = np.random.default_rng(0)
    tails, even = _tails(n_datasets), np.full(RANK_DRAWS + 1, 1 / (RANK_DRAWS + 1))
    rarest = np.ones(4000)
    for _ in range(n_curves):
        at_most = rng.multinomial(n_datasets, even, size=rarest.size).cumsum(axis=1)[:, :-1]
        rarest = np.minimum(rarest, _rarest_point(tails, at_most))
    return rarest


def plot_ranks(
    ranks: Mapping[str, np.ndarray],
    band: tuple[float, float],
    *,
    columns: int = 3,
) -> Figure:
    """Rank histograms side by side, with the band of uniform ranks; bars that leave it are hatched.

    Parameters
    ----------
    ranks, band : mapping of str to array of int, shape (n_datasets,), and tuple of float
        Ranks by the title of their panel, and what :func:`rank_band` returns.

    Returns
    -------
    matplotlib.figure.Figure
        Assign it, so that the notebook shows it once.
    """
    where = (np.arange(_BINS) + 0.5) * (RANK_DRAWS + 1) / _BINS

    def draw(axes, values):
        counts = _rank_counts(values)
        outside = (counts < band[0]) | (counts > band[1])
        bars = axes.bar(
            where,
            counts,
            width=0.86 * (RANK_DRAWS + 1) / _BINS,
            color=np.where(outside, COLOURS["decision"], COLOURS["posterior"]),
        )
        for bar in np.array(bars)[outside]:
            bar.set(hatch="//", edgecolor="white")
        axes.axhspan(*band, color=COLOURS["prior"], alpha=0.5, zorder=0, linewidth=0)

    return _panels(ranks, draw, columns=columns, height=1.35, label="data sets")


def plot_study(ranks: Mapping[str, np.ndarray], *, probability: float = 0.95) -> Figure:
    """ArviZ's ECDFs of ranks less the even ones, with its test :cite:p:`sailynoja2022graphical`.

    Parameters
    ----------
    ranks : mapping of str to array of int, shape (n_datasets,)
        Ranks by the title of their panel; a data frame will do.
    probability : float
        Probability that a right model has no point marked as straying at all.

    Returns
    -------
    matplotlib.figure.Figure
        Assign it, so that the notebook shows it once.
    """
    rng = np.random.default_rng(0)  # the test takes shares without ties
    shares = {
        n: (np.asarray(ranks[n]) + rng.random(len(ranks[n]))) / (RANK_DRAWS + 1) for n in ranks
    }
    drawn = az.plot_ecdf_pit(
        az.from_dict({"prior_sbc": {name: share[None] for name, share in shares.items()}}),
        envelope_prob=probability ** (1 / len(shares)),
        visuals={
            "ecdf_lines": {"color": COLOURS["posterior"]},
            "suspicious_points": {"color": COLOURS["decision"]},
            "p_value_text": False,
            "title": {"size": 12},
            "xlabel": False,
            "ylabel": False,
        },
        col_wrap=3,
        figure_kwargs={"figsize": (WIDTH, 0.9 + 1.35 * -(-len(shares) // 3))},
    )
    figure = drawn.viz["figure"].item()
    figure.supxlabel("rank of the truth among the draws, as a share", fontsize=13)
    figure.supylabel("less the even share", fontsize=13)
    return figure


def plot_ecdfs(
    studies: Mapping[str, pd.DataFrame], *, probability: float = 0.95, columns: int = 3
) -> Figure:
    """ECDFs of ranks less the even ones, a panel a study, with one band for all curves of a panel.

    Parameters
    ----------
    studies : mapping of str to pandas.DataFrame, each of shape (n_datasets, n_curves)
        Ranks by the title of their panel; of curves that leave the band the farthest is named.
    probability : float
        Probability that all curves of a right model stay in the band of their panel.

    Returns
    -------
    matplotlib.figure.Figure
        Assign it, so that the notebook shows it once.
    """
    at = np.arange(RANK_DRAWS + 2)
    uniform = at / (RANK_DRAWS + 1)

    def draw(axes, ranks):
        band = _ecdf_band(len(ranks), n_curves=ranks.shape[1], probability=probability)
        low, high = (np.concatenate([[0], edge, [1]]) - uniform for edge in band)
        axes.fill_between(at, low, high, color=COLOURS["prior"], alpha=0.5, linewidth=0)
        off, leaves = {}, {}
        for name in ranks:
            share = np.concatenate([[0], _at_most(ranks[name]) / len(ranks), [1]])
            off[name], leaves[name] = share - uniform, _curve_leaves(ranks[name], band)
            axes.plot(
                at,
                off[name],
                color=COLOURS["decision" if leaves[name] else "posterior"],
                linewidth=1.6 if leaves[name] else 0.8,
                zorder=3 if leaves[name] else 2,
            )
        farthest = max(off, key=lambda name: np.abs(off[name]).max())
        if len(off) > 1 and leaves[farthest]:
            low, high = off[farthest].min(), off[farthest].max()
            above = high > -low
            text = axes.annotate(
                farthest,
                ((RANK_DRAWS + 1) / 2, high if above else low),
                xytext=(0, 3 if above else -3),
                textcoords="offset points",
                ha="center",
                va="bottom" if above else "top",
                fontsize=11,
            )
            text.set_in_layout(False)  # else a long one would move the panels
        axes.margins(y=0.15)

    return _panels(
        studies,
        draw,
        columns=min(columns, len(studies)),
        height=2.4,
        label="share up to it, less the even share",
    )


def _panels(contents, draw, *, columns, height, label):
    """Figure with a panel of ranks for each title; `draw` fills its axes with the content."""
    rows = -(-len(contents) // columns)
    figure, panels = plt.subplots(
        rows, columns, figsize=(WIDTH, 0.9 + height * rows), sharex=True, sharey=True, squeeze=False
    )
    for axes, (title, content) in zip(panels.flat, contents.items(), strict=False):
        draw(axes, content)
        axes.set_title(title, loc="left", fontsize=12)
        axes.grid(visible=False)
        axes.set_xticks([0, (RANK_DRAWS + 1) // 2, RANK_DRAWS + 1])
    for axes in panels.flat[len(contents) :]:
        axes.remove()
    for axes in panels.flat[max(0, len(contents) - columns) : len(contents)]:
        axes.tick_params(labelbottom=True)
    figure.supxlabel("rank of the truth among the draws", fontsize=13)
    figure.supylabel(label, fontsize=13)
    return figure


def _curve_leaves(ranks, band):
    """Whether a point of the ranks' ECDF is outside of what `_ecdf_band` returns."""
    share = _at_most(ranks) / len(ranks)
    return bool(((share < band[0]) | (share > band[1])).any())


def stays(ranks: np.ndarray, band: tuple[float, float]) -> bool:
    """Whether every bar of a histogram lies in the band.

    Parameters
    ----------
    ranks, band : array of int, shape (n_datasets,), and tuple of float
        Ranks of one quantity, and what :func:`rank_band` returns.

    Returns
    -------
    bool
        False as soon as one bar is outside.
    """
    counts = _rank_counts(ranks)
    return bool(band[0] <= counts.min() and counts.max() <= band[1])


def outside(ranks: Mapping[str, np.ndarray], band: tuple[float, float]) -> list[str]:
    """Histograms with a bar that leaves the band.

    Parameters
    ----------
    ranks, band : mapping of str to array of int, shape (n_datasets,), and tuple of float
        Ranks by quantity (a data frame will do), and what :func:`rank_band` returns.

    Returns
    -------
    list of str
        Their quantities.
    """
    return [name for name in ranks if not stays(ranks[name], band)]


def outer_share(ranks: np.ndarray) -> float:
    """Share of ranks in the two outer bars: more than expected if a posterior is too narrow.

    Parameters
    ----------
    ranks : array of int, shape (n_datasets,)
        Ranks of one quantity.

    Returns
    -------
    float
        About ``2 / n_bins`` for a right posterior.

    Examples
    --------
    >>> outer_share(np.arange(100)), outer_share(np.zeros(100, int))
    (0.2, 1.0)
    """
    return float(_rank_counts(ranks)[[0, -1]].sum() / len(ranks))


@dataclass(frozen=True)
class Check:
    """A model to be held against its own simulations.

    Attributes
    ----------
    prior, simulate : callable
        ``(n, seed)`` -> n dicts of parameters from the model's own prior; ``(parameters,
        generator)`` -> data, and further truths, written from the equations, not the model's code.
    fit : callable
        ``(datasets, seed, start)`` -> for each data set from ``start`` on, on which its seed does
        not depend: draws of what is ranked, (chains, draws, ...), and diagnostics.
    """

    prior: Callable[[int, int], list[dict[str, Any]]]
    simulate: Callable[[dict[str, Any], np.random.Generator], tuple[Any, dict[str, Any]]]
    fit: Callable[[list[Any], int, int], Iterator[tuple[dict[str, np.ndarray], Mapping]]]


def pymc_check(
    build: Callable[[Any], Any],
    example: Any,
    *,
    sampled: Sequence[str],
    ranked: Sequence[str],
    simulate: Callable[[dict[str, Any], np.random.Generator], tuple[Any, dict[str, Any]]],
    derive: Callable[[Any, Any, int], dict[str, np.ndarray]] | None = None,
    longer: int = 1,
    **sampler: Any,
) -> Check:
    """Check of a PyMC model, whose prior is its own and which is compiled once.

    Parameters
    ----------
    build, example : callable and object
        As for :func:`helpers.inference.sampling.fit_many`; data whose shape alone matters.
    sampled, ranked : sequence of str
        Variables that the simulation needs, and those of them that are diagnosed and ranked.
    simulate, derive : callable
        As in :class:`Check`; ``(posterior, data, seed)`` -> draws of its further truths.
    longer, **sampler : int and object
        How many times as long a fit that has not :func:`converged` is drawn once more, unless 1;
        draws, tuning, chains, and what else ``fit_many`` takes.

    Returns
    -------
    Check
        For :func:`calibrate`.
    """

    def prior(n, seed):
        import pymc as pm

        model = build(example)
        variables = [model[name] for name in sampled]
        # in Python: compiling would take longer
        values = pm.draw(variables, draws=n, random_seed=seed, mode="FAST_COMPILE")
        if n == 1:  # PyMC drops the axis of a single draw
            values = [np.asarray(value)[None] for value in values]
        return [dict(zip(sampled, one, strict=True)) for one in zip(*values, strict=True)]

    def fit(datasets, seed, start):
        from helpers.inference.convergence import diagnostics
        from helpers.inference.sampling import fit_many

        streams = map(int, np.random.SeedSequence(seed).generate_state(3))
        fit_seed, derive_seed, longer_seed = streams
        more = sampler | {name: longer * sampler[name] for name in ("draws", "tune")}
        fits = fit_many(datasets, build, seed=fit_seed, names=ranked, start=start, **sampler)
        for i, (data, idata) in enumerate(fits, start=start):
            checks = diagnostics(idata, ranked)
            if longer > 1 and not converged(pd.DataFrame([checks])).all():
                again = fit_many([data], build, seed=longer_seed + i, names=ranked, **more)
                ((_, idata),) = again
                checks = diagnostics(idata, ranked)
            posterior = idata["posterior"].to_dataset()
            draws = {name: posterior[name].to_numpy() for name in ranked}
            if derive is not None:
                draws |= derive(posterior, data, derive_seed + i)
            yield draws, checks

    return Check(prior, simulate, fit)


@dataclass(frozen=True)
class Study:
    """What :func:`calibrate` finds, a row a data set: ranks, posteriors' widths, diagnostics."""

    ranks: pd.DataFrame
    widths: pd.DataFrame
    checks: pd.DataFrame


def calibrate(
    check: Check,
    n: int,
    *,
    seed: int,
    name: str = "study",
    spoil: Callable[[Any], Any] | None = None,
    folder: str | Path | None = None,
) -> Study:
    """Rank the truth among posterior draws of n data sets :cite:p:`talts2018validating`.

    Parameters
    ----------
    check, n : Check and int
        Model and simulation, and the number of data sets from its prior.
    name, spoil, folder : str, callable and path, optional
        Name of the study's file; a mistake to plant in the data that the model sees; where
        finished data sets are noted (else ``MARKET_BOOK_CHECKPOINTS``), so that a stopped study
        goes on, with a ``ValueError`` if the file there belongs to another size or seed.

    Returns
    -------
    Study
        Ranks (a vector's components are numbered, ``beta 0``), widths and diagnostics.
    """
    streams = map(int, np.random.SeedSequence(seed).generate_state(3))
    prior_seed, data_seed, fit_seed = streams
    rng = np.random.default_rng(data_seed)
    truths, datasets = [], []
    for parameters in check.prior(n, prior_seed):
        data, further = check.simulate(parameters, rng)
        truths.append(parameters | further)
        datasets.append(spoil(data) if spoil else data)
    folder = folder or os.environ.get("MARKET_BOOK_CHECKPOINTS")
    path = Path(folder) / f"{name}.jsonl" if folder else None
    rows = _finished(path, {"datasets": n, "seed": seed}) if path else []
    fits = check.fit(datasets, fit_seed, len(rows)) if len(rows) < n else ()
    for draws, checks in fits:
        rank, width = {}, {}
        for key, true, values in _scalars(truths[len(rows)], draws):
            rank[key] = rank_of(true, values)
            width[key] = float(values.std())
        rows.append([rank, width, {k: float(v) for k, v in checks.items()}])
        if path:
            with path.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    return Study(*(pd.DataFrame(list(part)) for part in zip(*rows, strict=True)))


def _finished(path, header):
    """Rows that an earlier run noted; a last line cut short is dropped from the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = [line for line in path.open() if line.endswith("\n")] if path.exists() else []
    found = [json.loads(line) for line in whole] or [header]
    if found[0] != header:
        raise ValueError(f"{path}: belongs to a study with {found[0]}, not {header}; remove it")
    if whole:
        os.truncate(path, len("".join(whole).encode()))
    else:
        path.write_text(json.dumps(header) + "\n")
    return found[1:]


def _scalars(truth, draws):
    """Name, true value and draws of each ranked number."""
    for name, values in draws.items():
        values = values.reshape(*values.shape[:2], -1)
        for j, true in enumerate(np.ravel(truth[name])):
            yield (name if np.ndim(truth[name]) == 0 else f"{name} {j}"), true, values[..., j]


def rank_numbers(
    ranks: pd.DataFrame,
    band: tuple[float, float],
    *,
    prefix: str,
    caption: str,
    probability: float = 0.95,
) -> bool:
    """Show how far a study's histograms and ECDFs are off, as key numbers.

    Parameters
    ----------
    ranks, band : pandas.DataFrame, shape (n_datasets, n_histograms), and tuple of float
        Ranks by data set and quantity, and what :func:`rank_band` returns.
    prefix, caption : str
        Beginning of the numbers' keys, and heading of the table.
    probability : float
        Probability that all ECDFs of a right model stay in their band.

    Returns
    -------
    bool
        Whether the study :func:`passes`.
    """
    n, k = ranks.shape
    curve_band = _ecdf_band(n, n_curves=k, probability=probability)
    expected = n / 10
    farthest = _farthest_bar(ranks)
    curves = sum(_curve_leaves(ranks[name], curve_band) for name in ranks)
    key_numbers(
        {
            f"{prefix}-histograms": ("Histograms", f"{k}"),
            f"{prefix}-leaving": ("of which leave the band", f"{len(outside(ranks, band))}"),
            f"{prefix}-pvalue": ("Right models with a bar as far off", f"{rank_pvalue(ranks):.1%}"),
            f"{prefix}-expected": ("Data sets expected in a bar", f"{expected:.0f}"),
            f"{prefix}-farthest": ("Farthest bar from that", f"{farthest:.0f}"),
            f"{prefix}-allowed": ("The band allows", f"{band[1] - expected:.0f}"),
            f"{prefix}-curves": ("ECDFs that leave their band", f"{curves}"),
            f"{prefix}-curve-pvalue": (
                "Right models with one so far off",
                f"{ecdf_pvalue(ranks):.1%}",
            ),
        },
        caption=caption,
    )
    return passes(ranks)


def converged(checks: pd.DataFrame) -> pd.Series:
    """Which fits converged, with as many effective draws as ranks need.

    Parameters
    ----------
    checks : pandas.DataFrame
        What :func:`helpers.inference.convergence.diagnostics` returns, a row a fit.

    Returns
    -------
    pandas.Series of bool
        R-hat below 1.05, and more than ``RANK_DRAWS`` effective draws.
    """
    ess = checks[["ess_bulk", "ess_tail"]].min(axis=1)
    return (checks["rhat"] < 1.05) & (ess > RANK_DRAWS)


def sampler_numbers(checks: pd.DataFrame, *, prefix: str, caption: str) -> tuple[float, float]:
    """Show how the sampler of a study did, as key numbers.

    Parameters
    ----------
    checks, prefix, caption : pandas.DataFrame, str and str
        As for :func:`converged`; beginning of the numbers' keys; heading of the table.

    Returns
    -------
    tuple of float
        Share of fits that have not :func:`converged`, and share with a divergence.
    """
    ess = checks[["ess_bulk", "ess_tail"]].min(axis=1)
    failed = ~converged(checks)
    divergent = checks["divergences"] > 0
    key_numbers(
        {
            f"{prefix}-datasets": ("Data sets", f"{len(checks)}"),
            f"{prefix}-divergent": ("Fits with a divergence", f"{divergent.sum()}"),
            f"{prefix}-rhat": ("Largest R-hat", f"{checks['rhat'].max():.3f}"),
            f"{prefix}-ess": ("Smallest effective sample size", f"{ess.min():.0f}"),
            f"{prefix}-failed": ("Fits that did not converge", f"{failed.sum()}"),
        },
        caption=caption,
    )
    return float(failed.mean()), float(divergent.mean())
