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
#: 95 % band once in twenty studies, and each build on each machine is another study.
LEAST_PVALUE = 0.001
_BINS = 10  # of each histogram, a divisor of RANK_DRAWS + 1


def _rank_of(truth: float, draws: np.ndarray) -> int:
    """How many of the draws, thinned evenly to ``RANK_DRAWS``, lie below a true value."""
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
    n_datasets: int, *, n_histograms: int = 1, probability: float = 0.95
) -> tuple[float, float]:
    """Counts between which *all* bins of all histograms lie if ranks are uniform.

    Parameters
    ----------
    n_datasets, n_histograms, probability : int, int and float
        Ranks in each histogram; histograms looked at together, taken as independent; probability
        that no bin at all is outside.

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
    even, rng = np.full(_BINS, 1 / _BINS), np.random.default_rng(0)
    counts = rng.multinomial(n_datasets, even, size=(4000, n_histograms))
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
    counts = (_rank_counts(ranks[name], n_bins=RANK_DRAWS + 1) for name in ranks)
    found = min(_rarest_point(tails, each) for each in counts)
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


@cache
def _tails(n_datasets: int) -> np.ndarray:
    """Smaller tail probability of each count, by rank; shape (RANK_DRAWS, n_datasets + 1)."""
    share = np.arange(1, RANK_DRAWS + 1)[:, None] / (RANK_DRAWS + 1)
    counts, uniform = np.arange(n_datasets + 1), stats.binom(n_datasets, share)
    return np.minimum(uniform.cdf(counts), uniform.sf(counts - 1))


def _rarest_point(tails, counts):
    """Tail probability of the point of a curve that is farthest off, from counts of each rank."""
    return tails[np.arange(RANK_DRAWS), counts.cumsum(axis=-1)[..., :-1]].min(axis=-1)


@cache
def _rarest(n_datasets: int, n_curves: int) -> np.ndarray:
    """The same for the farthest of all curves, in simulated studies with uniform ranks."""
    rng = np.random.default_rng(0)
    tails, even = _tails(n_datasets), np.full(RANK_DRAWS + 1, 1 / (RANK_DRAWS + 1))
    rarest = np.ones(4000)
    for _ in range(n_curves):
        counts = rng.multinomial(n_datasets, even, size=rarest.size)
        rarest = np.minimum(rarest, _rarest_point(tails, counts))
    return rarest


def plot_ranks(ranks: Mapping[str, np.ndarray], band: tuple[float, float]) -> Figure:
    """Rank histograms side by side, with the band of uniform ranks; bars that leave it are hatched.

    Parameters
    ----------
    ranks, band : mapping of str to array, shape (n_datasets,), and tuple of float
        Ranks by the title of their panel, and what :func:`rank_band` returns.

    Returns
    -------
    matplotlib.figure.Figure
        Assign it, so that the notebook shows it once.
    """
    figure, panels = plt.subplots(-(-len(ranks) // 3), 3, sharex=True, sharey=True, squeeze=False)
    where = (np.arange(_BINS) + 0.5) * (RANK_DRAWS + 1) / _BINS
    for name, axes in zip(ranks, panels.flat, strict=False):
        counts = _rank_counts(ranks[name])
        bars = axes.bar(where, counts, 8.6, color=COLOURS["posterior"])
        for bar in np.array(bars)[(counts < band[0]) | (counts > band[1])]:
            bar.set(facecolor=COLOURS["decision"], hatch="//", edgecolor="white")
        axes.axhspan(*band, color=COLOURS["prior"], alpha=0.5, zorder=0, linewidth=0)
        axes.set_title(name, loc="left", fontsize=12)
        axes.grid(visible=False)
    for axes in panels.flat[len(ranks) :]:
        axes.remove()
    return _labelled(figure, len(ranks), "rank of the truth among the draws", "data sets")


def _labelled(figure, n_panels, xlabel, ylabel):
    """A figure of three columns in the width of a page, with labels for all its panels."""
    figure.set_size_inches(WIDTH, 0.9 + 1.35 * -(-n_panels // 3))
    for axes in figure.axes[max(0, n_panels - 3) : n_panels]:  # the lowest of each column
        axes.tick_params(labelbottom=True)
    figure.supxlabel(xlabel, fontsize=13)
    figure.supylabel(ylabel, fontsize=13)
    return figure


def plot_study(ranks: Mapping[str, np.ndarray], *, probability: float = 0.95) -> Figure:
    """ArviZ's ECDFs of ranks less the even ones, with its test :cite:p:`sailynoja2022graphical`.

    Parameters
    ----------
    ranks, probability : mapping of str to array of int, shape (n_datasets,), and float
        Ranks by the title of their panel; probability that a right model has no marked point.

    Returns
    -------
    matplotlib.figure.Figure
        Assign it, so that the notebook shows it once.
    """
    shares = pd.DataFrame(ranks)  # spread within their ranks: the test takes shares without ties
    shares = (shares + np.random.default_rng(0).random(shares.shape)) / (RANK_DRAWS + 1)
    drawn = az.plot_ecdf_pit(
        az.from_dict({"prior_sbc": {name: shares[name].to_numpy()[None] for name in shares}}),
        envelope_prob=probability ** (1 / len(ranks)),
        visuals={
            "ecdf_lines": {"color": COLOURS["posterior"]},
            "suspicious_points": {"color": COLOURS["decision"]},
            "title": {"size": 12},
            **dict.fromkeys(["p_value_text", "xlabel", "ylabel"], False),
        },
        col_wrap=3,
    )
    figure = drawn.viz["figure"].item()
    height = max(np.abs(line.get_ydata()).max() for axes in figure.axes for line in axes.lines)
    height = max(1.1 * height, figure.axes[0].get_ylim()[1])  # ArviZ's fits the last panel alone
    figure.axes[0].set_ylim(-height, height)
    return _labelled(figure, len(ranks), "rank of the truth, as a share", "less the even share")


def outside(ranks: Mapping[str, np.ndarray], band: tuple[float, float]) -> list[str]:
    """Quantities whose histogram has a bar that leaves the band.

    Parameters
    ----------
    ranks, band : mapping of str to array of int, shape (n_datasets,), and tuple of float
        Ranks by quantity (a data frame will do), and what :func:`rank_band` returns.

    Returns
    -------
    list of str
        Empty if every bar of every histogram lies in the band.
    """
    counts = {name: _rank_counts(ranks[name]) for name in ranks}
    return [name for name, c in counts.items() if c.min() < band[0] or band[1] < c.max()]


def outer_share(ranks: np.ndarray) -> float:
    """Share of ranks in the two outer bars: more than expected if a posterior is too narrow.

    Parameters
    ----------
    ranks : array of int, shape (n_datasets,)
        Ranks of one quantity.

    Returns
    -------
    float
        About a fifth for a right posterior.
    """
    return float(_rank_counts(ranks)[[0, -1]].sum() / len(ranks))


@dataclass(frozen=True)
class Check:
    """A model to be held against its own simulations.

    Attributes
    ----------
    prior, simulate, fit : callable
        ``(n, seed)`` -> n dicts of parameters from the model's own prior; ``(parameters,
        generator)`` -> data, and further truths, written from the equations, not the model's code;
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
    derive: Callable[[Any, Any, int], dict[str, np.ndarray]] = lambda *_: {},
    longer: int = 1,
    **sampler: Any,
) -> Check:
    """Check of a PyMC model, whose prior is its own and which is compiled once.

    Parameters
    ----------
    build, example, sampled, ranked : callable, object, and sequences of str
        As for :func:`helpers.inference.sampling.fit_many`; data whose shape alone matters;
        variables that the simulation needs, and those of them that are diagnosed and ranked.
    simulate, derive, longer, **sampler : callable, callable, int and object
        As in :class:`Check`; ``(posterior, data, seed)`` -> draws of its further truths; how many
        times as long a fit that has not :func:`converged` is drawn once more, unless 1; draws,
        tuning, chains, and what else ``fit_many`` takes.

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
        values = pm.draw(variables, draws=max(n, 2), random_seed=seed, mode="FAST_COMPILE")
        draws = zip(*values, strict=True)  # of two at least: PyMC drops the axis of a single one
        return [dict(zip(sampled, one, strict=True)) for one in draws][:n]

    def fit(datasets, seed, start):
        from helpers.inference.convergence import diagnostics
        from helpers.inference.sampling import fit_many

        fit_seed, derive_seed, long_seed = np.random.SeedSequence(seed).generate_state(3).tolist()
        more = sampler | {name: longer * sampler[name] for name in ("draws", "tune")}
        fits = fit_many(datasets, build, seed=fit_seed, names=ranked, start=start, **sampler)
        for i, (data, idata) in enumerate(fits, start=start):
            checks = diagnostics(idata, ranked)
            if longer > 1 and not converged(pd.DataFrame([checks])).all():
                again = fit_many([data], build, seed=long_seed + i, names=ranked, **more)
                ((_, idata),) = again
                checks = diagnostics(idata, ranked)
            posterior = idata["posterior"].to_dataset()
            draws = {name: posterior[name].to_numpy() for name in ranked}
            yield draws | derive(posterior, data, derive_seed + i), checks

    return Check(prior, simulate, fit)


def calibrate(
    check: Check,
    n: int,
    *,
    seed: int,
    name: str = "study",
    spoil: Callable[[Any], Any] | None = None,
    folder: str | Path | None = None,
) -> pd.DataFrame:
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
    pandas.DataFrame
        A row a data set; first levels of its columns are ``ranks``, ``widths`` and ``checks`` (a
        vector's components are numbered, ``beta 0``).
    """
    prior_seed, data_seed, fit_seed = np.random.SeedSequence(seed).generate_state(3).tolist()
    rng = np.random.default_rng(data_seed)
    truths, datasets = [], []
    for parameters in check.prior(n, prior_seed):
        data, further = check.simulate(parameters, rng)
        truths.append(parameters | further)
        datasets.append(spoil(data) if spoil else data)
    folder = folder or os.environ.get("MARKET_BOOK_CHECKPOINTS")
    path = Path(folder) / f"{name}.jsonl" if folder else None
    rows = _finished(path, {"datasets": n, "seed": seed}) if path else []
    for draws, checks in check.fit(datasets, fit_seed, len(rows)) if len(rows) < n else ():
        scalars = list(_scalars(truths[len(rows)], draws))
        rank = {key: _rank_of(true, values) for key, true, values in scalars}
        width = {key: float(values.std()) for key, _, values in scalars}
        rows.append([rank, width, {key: float(value) for key, value in checks.items()}])
        if path:
            with path.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    parts = zip(("ranks", "widths", "checks"), zip(*rows, strict=True), strict=True)
    return pd.concat({part: pd.DataFrame(list(found)) for part, found in parts}, axis=1)


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
    ranks: pd.DataFrame, band: tuple[float, float], *, prefix: str, caption: str
) -> bool:
    """Show how far a study's histograms and ECDFs are off, as key numbers.

    Parameters
    ----------
    ranks, band, prefix, caption : pandas.DataFrame, tuple of float, str and str
        As for :func:`passes`; what :func:`rank_band` returns; beginning of the numbers' keys;
        heading of the table.

    Returns
    -------
    bool
        Whether the study :func:`passes`.
    """
    expected = len(ranks) / _BINS
    numbers = {
        "histograms": ("Histograms", f"{ranks.shape[1]}"),
        "leaving": ("of which leave the band", f"{len(outside(ranks, band))}"),
        "pvalue": ("Right models with a bar as far off", f"{rank_pvalue(ranks):.1%}"),
        "expected": ("Data sets expected in a bar", f"{expected:.0f}"),
        "farthest": ("Farthest bar from that", f"{_farthest_bar(ranks):.0f}"),
        "allowed": ("The band allows", f"{band[1] - expected:.0f}"),
        "curve-pvalue": ("Right models with an ECDF as far off", f"{ecdf_pvalue(ranks):.1%}"),
    }
    key_numbers({f"{prefix}-{key}": row for key, row in numbers.items()}, caption=caption)
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
    failed, divergent = ~converged(checks), checks["divergences"] > 0
    numbers = {
        "datasets": ("Data sets", f"{len(checks)}"),
        "divergent": ("Fits with a divergence", f"{divergent.sum()}"),
        "rhat": ("Largest R-hat", f"{checks['rhat'].max():.3f}"),
        "ess": ("Smallest effective sample size", f"{ess.min():.0f}"),
        "failed": ("Fits that did not converge", f"{failed.sum()}"),
    }
    key_numbers({f"{prefix}-{key}": row for key, row in numbers.items()}, caption=caption)
    return float(failed.mean()), float(divergent.mean())
