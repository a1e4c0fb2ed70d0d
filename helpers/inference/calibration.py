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
#: A study of which a smaller share of right models is as far off fails. A right model leaves a
#: 95 % band once in twenty studies, and each build on each machine is another study.
LEAST_PVALUE = 0.001
#: Probability that a right model has no bar outside a figure's band, and no marked point.
BAND = 0.95
_BINS = 10  # of each histogram
_STUDIES = 4000  # simulated ones, with uniform ranks

type Ranks = Mapping[str, np.ndarray] | pd.DataFrame


def _rank_of(truth: float, draws: np.ndarray) -> int:
    """How many of the draws, thinned evenly to ``RANK_DRAWS``, lie below a true value."""
    draws = np.ravel(draws)
    if draws.size < RANK_DRAWS:
        raise ValueError(f"{draws.size} draws, at least {RANK_DRAWS} are needed; draw more")
    thinned = draws[np.linspace(0, draws.size - 1, RANK_DRAWS).round().astype(int)]
    return int(np.sum(thinned < truth))


def _counts(ranks: Ranks, n_bins: int = _BINS) -> pd.DataFrame:
    """Data sets by bar (all of equal probability) and quantity."""
    table = pd.DataFrame(ranks)
    bars = table.to_numpy()[:, None] * n_bins // (RANK_DRAWS + 1)
    return pd.DataFrame((bars == np.arange(n_bins)[:, None]).sum(0), columns=table.columns)


@dataclass(frozen=True)
class Verdict:
    """How far bars and ECDFs of a study are off, all together; histograms count as independent."""

    outside: list[str]  # quantities with a bar that leaves the band
    outer: pd.Series  # share of ranks in the outer bars: a fifth, and more if a posterior is narrow
    farthest: float  # of all bars, from an even one, in data sets
    allowed: float  # by the band
    bars: float  # share of studies of a right model with a bar as far off, to about 0.0003
    curves: float  # likewise with a point of an ECDF

    @property
    def passes(self) -> bool:
        """Whether bars and ECDFs are as even as a right model's."""
        return min(self.bars, self.curves) > LEAST_PVALUE


def judge(ranks: Ranks) -> Verdict:
    """Hold a study against studies with uniform ranks :cite:p:`sailynoja2022graphical`.

    Parameters
    ----------
    ranks : mapping of str to array of int, shape (n_datasets,), or pandas.DataFrame
        Ranks by quantity.

    Returns
    -------
    Verdict
        An ECDF's point is far off if its binomial tail is small.
    """
    counts, n_datasets = _counts(ranks), len(pd.DataFrame(ranks))
    off = (counts - n_datasets / _BINS).abs().max()
    allowed = _allowed(n_datasets, off.size)
    curves = _counts(ranks, RANK_DRAWS + 1).to_numpy().T
    rarest = _rarest_point(_tails(n_datasets), curves).min()
    return Verdict(
        outside=list(off.index[off > allowed]),
        outer=counts.iloc[[0, -1]].sum() / n_datasets,
        farthest=off.max(),
        allowed=allowed,
        bars=_share(_farthest(n_datasets, off.size) >= off.max()),
        curves=_share(_rarest(n_datasets, off.size) <= rarest),
    )


def _share(as_far: np.ndarray) -> float:
    """Share of studies that are as far off, this one among them."""
    return float((1 + as_far.sum()) / (1 + as_far.size))


def _allowed(n_datasets: int, n_histograms: int) -> float:
    """How far off an even bar the band of all histograms lets one be."""
    return float(np.quantile(_farthest(n_datasets, n_histograms), BAND))


@cache
def _farthest(n_datasets: int, n_histograms: int) -> np.ndarray:
    """How far off the farthest bar is, in simulated studies with uniform ranks."""
    even, rng = np.full(_BINS, 1 / _BINS), np.random.default_rng(0)
    counts = rng.multinomial(n_datasets, even, size=(_STUDIES, n_histograms))
    return np.abs(counts - n_datasets / _BINS).max(axis=(1, 2))


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
    rarest = np.ones(_STUDIES)
    for _ in range(n_curves):
        counts = rng.multinomial(n_datasets, even, size=rarest.size)
        rarest = np.minimum(rarest, _rarest_point(tails, counts))
    return rarest


def plot_ranks(ranks: Ranks, titles: Mapping[str, str] | None = None) -> Figure:
    """Rank histograms side by side, with the band of all; bars that leave it are hatched.

    Parameters
    ----------
    ranks, titles : as for :func:`judge`, and mapping of str to str, optional
        Ranks by quantity; titles of the quantities that are drawn, by default all by their names.

    Returns
    -------
    matplotlib.figure.Figure
        Assign it, so that the notebook shows it once.
    """
    counts = _counts(ranks)
    allowed = _allowed(len(pd.DataFrame(ranks)), counts.shape[1])
    if titles:
        counts = counts[list(titles)].rename(columns=titles)
    n_rows = -(-counts.shape[1] // 3)
    figure, panels = plt.subplots(n_rows, 3, sharex=True, sharey=True, squeeze=False)
    where = (np.arange(_BINS) + 0.5) * (RANK_DRAWS + 1) / _BINS
    for (name, count), axes in zip(counts.items(), panels.flat, strict=False):
        even = count.mean()
        bars = axes.bar(where, count, 8.6, color=COLOURS["posterior"])
        for bar in np.array(bars)[(count - even).abs() > allowed]:
            bar.set(facecolor=COLOURS["decision"], hatch="//", edgecolor="white")
        band = max(even - allowed, 0.0), even + allowed
        axes.axhspan(*band, color=COLOURS["prior"], alpha=0.5, zorder=0, linewidth=0)
        axes.set_title(name, loc="left", fontsize=12)
        axes.grid(visible=False)
    for axes in panels.flat[counts.shape[1] :]:
        axes.remove()
    return _labelled(figure, counts.shape[1], "rank of the truth among the draws", "data sets")


def _labelled(figure, n_panels, xlabel, ylabel):
    """A figure of three columns in the width of a page, with labels for all its panels."""
    figure.set_size_inches(WIDTH, 0.9 + 1.35 * -(-n_panels // 3))
    for axes in figure.axes[max(0, n_panels - 3) : n_panels]:  # the lowest of each column
        axes.tick_params(labelbottom=True)
    figure.supxlabel(xlabel, fontsize=13)
    figure.supylabel(ylabel, fontsize=13)
    return figure


def plot_study(ranks: Ranks) -> Figure:
    """ArviZ's ECDFs of ranks less the even ones, with its test :cite:p:`sailynoja2022graphical`.

    Parameters
    ----------
    ranks : mapping of str to array of int, shape (n_datasets,), or pandas.DataFrame
        Ranks by the title of their panel.

    Returns
    -------
    matplotlib.figure.Figure
        Assign it, so that the notebook shows it once.
    """
    shares = pd.DataFrame(ranks)  # spread within their ranks: the test takes shares without ties
    shares = (shares + np.random.default_rng(0).random(shares.shape)) / (RANK_DRAWS + 1)
    drawn = az.plot_ecdf_pit(
        az.from_dict({"prior_sbc": {name: shares[name].to_numpy()[None] for name in shares}}),
        envelope_prob=BAND ** (1 / shares.shape[1]),
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
    return _labelled(
        figure, shares.shape[1], "rank of the truth, as a share", "less the even share"
    )


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


def rank_numbers(ranks: Ranks, *, prefix: str, caption: str) -> bool:
    """Show how far a study's histograms and ECDFs are off, as key numbers.

    Parameters
    ----------
    ranks, prefix, caption : as for :func:`judge`, str and str
        Ranks by quantity; beginning of the numbers' keys; heading of the table.

    Returns
    -------
    bool
        Whether the study passes.
    """
    found = judge(ranks)
    numbers = {
        "histograms": ("Histograms", f"{found.outer.size}"),
        "leaving": ("of which leave the band", f"{len(found.outside)}"),
        "pvalue": ("Right models with a bar as far off", f"{found.bars:.1%}"),
        "expected": ("Data sets expected in a bar", f"{len(pd.DataFrame(ranks)) / _BINS:.0f}"),
        "farthest": ("Farthest bar from that", f"{found.farthest:.0f}"),
        "allowed": ("The band allows", f"{found.allowed:.0f}"),
        "curve-pvalue": ("Right models with an ECDF as far off", f"{found.curves:.1%}"),
    }
    key_numbers({f"{prefix}-{key}": row for key, row in numbers.items()}, caption=caption)
    return found.passes


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
