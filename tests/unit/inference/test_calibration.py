"""Ranks, their histograms, and the band that uniform ranks keep to."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from scipy import stats

from helpers.inference.calibration import (
    LEAST_PVALUE,
    RANK_DRAWS,
    Check,
    _rank_of,
    calibrate,
    converged,
    judge,
    plot_ranks,
    plot_study,
    pymc_check,
    rank_numbers,
    sampler_numbers,
)
from helpers.notebook import claims as notebook
from helpers.notebook.style import COLOURS


def test_ranks_of_exchangeable_draws_are_uniform():
    rng = np.random.default_rng(1)
    draws = rng.normal(size=(20_000, RANK_DRAWS + 1))
    ranks = np.array([_rank_of(one[0], one[1:]) for one in draws])
    assert ranks.min() == 0 and ranks.max() == RANK_DRAWS
    assert judge({"mean": ranks}).bars > 0.001


def test_a_rank_counts_thinned_draws_of_all_chains():
    draws = np.arange(1000.0).reshape(2, 500)
    assert _rank_of(-1, draws) == 0 and _rank_of(1000, draws) == RANK_DRAWS
    assert _rank_of(500, draws) == pytest.approx(RANK_DRAWS / 2, abs=0.5)


def uniform(n_histograms, n_datasets=104, n_studies=300, seed=5):
    rng = np.random.default_rng(seed)
    size = n_datasets, n_histograms
    return [pd.DataFrame(rng.integers(0, RANK_DRAWS + 1, size=size)) for _ in range(n_studies)]


@pytest.mark.parametrize("n_histograms", [1, 12])
def test_the_band_holds_all_bins_with_its_probability(n_histograms):
    allowed = judge(uniform(n_histograms, 200, 1)[0]).allowed
    counts = np.random.default_rng(7).multinomial(200, [0.1] * 10, size=(4000, n_histograms))
    inside = (np.abs(counts - 20) <= allowed).all(axis=(1, 2)).mean()
    assert 0.94 < inside < 0.985  # counts are whole: the band rounds outwards


def test_a_study_leaves_the_band_where_its_p_value_is_small():
    verdicts = [judge(ranks) for ranks in uniform(20)]
    p_values = np.array([verdict.bars for verdict in verdicts])
    inside = np.array([not verdict.outside for verdict in verdicts])
    assert p_values[inside].min() > 0.05 > p_values[~inside].max()
    assert 0.01 < np.mean(~inside) < 0.08 and p_values.min() > LEAST_PVALUE
    assert 0.1 < np.mean(p_values < 0.25) < 0.35


def test_one_crowded_bar_among_many_histograms_fails_a_study():
    ranks = pd.DataFrame(np.tile(np.arange(100), (20, 1)).T)
    ranks.loc[:15, 3] = 55  # sixteen more in a bar of ten
    crowded, even = judge(ranks), judge(ranks.drop(columns=3))
    assert crowded.bars < LEAST_PVALUE < even.bars
    assert not crowded.passes and even.passes


@pytest.mark.parametrize("n_curves", [1, 20])
def test_the_p_value_of_ecdfs_is_uniform_if_ranks_are(n_curves):
    studies = uniform(n_curves)
    p_values = np.array([judge(ranks).curves for ranks in studies])
    assert 0.01 < np.mean(p_values < 0.05) < 0.08 and p_values.min() > LEAST_PVALUE
    assert 0.15 < np.mean(p_values < 0.25) < 0.35
    # studies stand in the order of their rarest points, which are found here without a table
    share = np.arange(1, RANK_DRAWS + 1) / (RANK_DRAWS + 1)
    rarest = []
    for ranks in studies[:40]:
        at_most = (ranks.to_numpy()[..., None] <= np.arange(RANK_DRAWS)).sum(axis=0)
        low, high = stats.binom.cdf(at_most, 104, share), stats.binom.sf(at_most - 1, 104, share)
        rarest.append(min(low.min(), high.min()))
    assert (np.diff(p_values[:40][np.argsort(rarest)]) >= 0).all()


def test_a_lean_that_no_bar_shows_is_seen_in_the_ecdf():
    halves = [np.linspace(0, 50, 210, endpoint=False), np.linspace(50, 100, 290, endpoint=False)]
    ranks = pd.DataFrame({"beta": np.concatenate(halves).astype(int)})
    leans = judge(ranks)
    assert leans.bars > 0.5 and leans.curves < 0.01 and leans.passes
    much = pd.DataFrame({"beta": [*ranks["beta"], *[70] * 12, *range(50, 90)]})
    leans = judge(much)
    assert leans.bars > LEAST_PVALUE > leans.curves and not leans.passes


def test_a_study_shows_how_far_its_ranks_are_off(monkeypatch):
    texts = {}
    monkeypatch.setattr(notebook, "_published", texts)
    ranks = pd.DataFrame({"beta": np.arange(100), "sd": np.arange(100)})
    ranks.loc[:15, "sd"] = 55
    found = judge(ranks)
    assert found.outside == ["sd"] and judge({"beta": ranks["beta"]}).outside == []
    assert found.outer.to_dict() == {"beta": 0.2, "sd": 0.1}
    assert not rank_numbers(ranks, prefix="t", caption="Bars")
    assert found.bars < LEAST_PVALUE
    ends = ("histograms", "leaving", "expected", "farthest", "pvalue", "allowed")
    shown = [texts[f"t-{end}"][0] for end in ends]
    assert shown == ["2", "1", "10", "16", "0.0%", f"{found.allowed:.0f}"]
    assert texts["t-curve-pvalue"][0] == f"{found.curves:.1%}"
    assert rank_numbers(ranks[["beta"]], prefix="t", caption="Bars")


def test_wrong_posteriors_leave_the_band():
    rng = np.random.default_rng(3)
    truth = rng.normal(size=300)
    for shift, scale in [(0.5, 1.0), (0.0, 0.5), (0.0, 2.0)]:
        ranks = [_rank_of(t, shift + scale * rng.normal(size=RANK_DRAWS)) for t in truth]
        assert judge({"mean": ranks}).outside == ["mean"]


def test_the_plot_marks_bars_outside_the_band():
    figure = plot_ranks({"good": np.arange(100), "bad": 50 * (np.arange(100) % 2)})
    colours = [[bar.get_facecolor()[:3] for bar in axes.patches[:10]] for axes in figure.axes]
    assert len(set(colours[0])) == 1
    assert colours[1][0] == colours[1][5] != colours[0][0]
    half = {"half": np.arange(200) // 4, "even": np.arange(200) % 100}
    (axes,) = plot_ranks(half, {"half": "lower half"}).axes
    assert axes.get_title(loc="left") == "lower half"
    assert [bar.get_hatch() for bar in axes.patches[:10]] == ["//"] * 10
    low, high = axes.patches[10].get_extents().transformed(axes.transData.inverted()).intervaly
    assert (low, high) == pytest.approx(20 + np.array([-1, 1]) * judge(half).allowed)
    assert COLOURS["decision"] != COLOURS["posterior"]


def test_arviz_marks_a_quantity_that_is_off():
    rng = np.random.default_rng(0)
    ranks = {"good": rng.permutation(np.arange(100)), "bad": np.arange(100) // 2}
    good, bad = (axes for axes in plot_study(ranks).axes if axes.get_title())
    assert [good.get_title(), bad.get_title()] == ["good", "bad"]

    def marks(axes):
        return sum(len(points.get_offsets()) for points in axes.collections)

    assert marks(good) == 0 < marks(bad)
    assert np.abs(good.lines[-1].get_ydata()).max() < 0.02 < np.abs(bad.lines[-1].get_ydata()).max()
    turned = plot_study({"bad": ranks["bad"], "good": ranks["good"]}).axes
    assert all(-axes.get_ylim()[0] == axes.get_ylim()[1] > 0.5 for axes in (good, bad, *turned[:2]))


def test_refusals():
    with pytest.raises(ValueError, match=re.escape("5 draws, at least 99 are needed; draw more")):
        _rank_of(0.0, np.arange(5))


def conjugate(fitted, width=1.0):
    """A normal mean seen once, its posterior known; each fit is noted in `fitted`."""

    def prior(n, seed):
        return [{"mean": one} for one in np.random.default_rng(seed).normal(size=(n, 2))]

    def simulate(theta, rng):
        data = theta["mean"] + rng.normal(size=2)
        return data, {"sum": theta["mean"].sum()}

    def fit(datasets, seed, start):
        for i, data in enumerate(datasets[start:], start=start):
            fitted.append(i)
            noise = np.random.default_rng([seed, i]).normal(size=(2, 200, 2))
            draws = data / 2 + width * np.sqrt(0.5) * noise
            yield {"mean": draws, "sum": draws.sum(axis=-1)}, {"rhat": 1.0}

    return Check(prior, simulate, fit)


def test_a_right_posterior_stays_in_the_band_and_a_narrow_one_leaves_it():
    study = calibrate(conjugate([]), 400, seed=1)
    assert list(study.ranks) == ["mean 0", "mean 1", "sum"]
    assert study.widths["mean 0"].mean() == pytest.approx(np.sqrt(0.5), rel=0.02)
    assert judge(study.ranks).outside == []
    narrow = calibrate(conjugate([], width=0.5), 400, seed=1)
    assert judge(narrow.ranks).outside == list(study.ranks)
    moved = calibrate(conjugate([]), 400, seed=1, spoil=lambda data: data + 1)
    assert "sum" in judge(moved.ranks).outside


def test_a_study_that_was_stopped_goes_on_and_ends_as_if_it_had_not_been(tmp_path, monkeypatch):
    whole = calibrate(conjugate([]), 9, seed=2)
    fitted = []
    check = conjugate(fitted)

    def four(datasets, seed, start):
        yield from (row for row, _ in zip(check.fit(datasets, seed, start), range(4), strict=False))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        calibrate(Check(check.prior, check.simulate, four), 9, seed=2, folder=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text()[:-9])  # killed while it wrote the fourth
    fitted.clear()
    monkeypatch.setenv("MARKET_BOOK_CHECKPOINTS", str(tmp_path))
    study = calibrate(check, 9, seed=2)
    assert fitted == [3, 4, 5, 6, 7, 8]
    for name in ("ranks", "widths", "checks"):
        assert getattr(study, name).equals(getattr(whole, name))
    fitted.clear()
    assert calibrate(check, 9, seed=2).ranks.equals(whole.ranks)
    assert fitted == []
    with pytest.raises(ValueError, match=r"study.jsonl: belongs to a study with .*9.*not .*10"):
        calibrate(check, 10, seed=2)


def level_model(data):
    with pm.Model() as model:
        level = pm.Normal("level", 0, 1)
        pm.Normal("y", level, 1, observed=pm.Data("data_y", data.arrays["y"]))
    return model


def level_check(**sampler):
    def simulate(theta, rng):
        y = theta["level"] + rng.normal(size=20)
        return SimpleNamespace(arrays={"y": y}), {"twice": 2 * theta["level"]}

    return pymc_check(
        level_model,
        SimpleNamespace(arrays={"y": np.zeros(20)}),
        sampled=["level"],
        ranked=["level"],
        simulate=simulate,
        derive=lambda posterior, data, seed: {"twice": 2 * posterior["level"].to_numpy()},
        **{"tune": 200, "chains": 2, "backend": "numba"} | sampler,
    )


def test_too_few_draws_are_drawn_once_more():
    short = calibrate(level_check(draws=60), 3, seed=3)
    assert not converged(short.checks).any()
    redone = calibrate(level_check(draws=60, longer=20), 3, seed=3)
    assert converged(redone.checks).all()
    assert (redone.ranks["twice"] == redone.ranks["level"]).all()
    enough = [calibrate(level_check(draws=400, longer=i), 3, seed=3) for i in (1, 20)]
    assert enough[0].ranks.equals(enough[1].ranks)


def test_a_pymc_model_goes_on_with_the_draws_it_would_have_had(tmp_path):
    check = level_check(draws=200)
    assert len(check.prior(1, 0)) == 1
    study = calibrate(check, 4, seed=3, folder=tmp_path)
    assert (study.ranks["twice"] == study.ranks["level"]).all()
    assert study.widths["level"].mean() == pytest.approx(1 / np.sqrt(21), rel=0.3)
    (path,) = tmp_path.iterdir()
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    again = calibrate(check, 4, seed=3, folder=tmp_path)
    assert again.ranks.equals(study.ranks)
    assert again.widths.equals(study.widths)
    failed, divergent = sampler_numbers(study.checks, prefix="t", caption="Sampler")
    assert (failed, divergent) == (0, 0)
