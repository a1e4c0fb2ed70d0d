"""Errors planted in the helpers, one after the other, and the test that catches each.

`make mutants` plants them all and writes what the page on planted errors shows.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
OUTPUT = CHECKOUT / "book" / "planted.json"
LEFT_OUT = shutil.ignore_patterns(".*", "_build", "*.egg-info", "__pycache__")


@dataclass(frozen=True)
class Planted:
    """One error: a line of a helper, as it is and as somebody may have written it."""

    chapter: int
    what: str
    file: str
    right: str
    wrong: str
    further: tuple[str, ...] = ()

    @property
    def tests(self) -> list[str]:
        """Tests: the helper's own first, then those of its Part and of what stands on it."""
        part, _, room = self.file.removesuffix(".py").partition("/")
        own = f"tests/unit/{part}/test_{room}.py"
        return [*([own] if (CHECKOUT / own).exists() else []), f"tests/unit/{part}", *self.further]


PLANTED = (
    Planted(
        1,
        "an advertisement lowers sales",
        "cities/simulate.py",
        "+ ads * np.asarray(truth.lift)",
        "- ads * np.asarray(truth.lift)",
    ),
    Planted(
        1,
        "the squeeze acts on the other city's week",
        "cities/simulate.py",
        "np.outer(weekday, [truth.squeeze, 1.0])",
        "np.outer(weekday, [1.0, truth.squeeze])",
    ),
    Planted(
        1,
        "the drift moves both cities alike, whatever the loading",
        "cities/simulate.py",
        "+ np.outer(shock, loading)",
        "+ np.outer(shock, [1.0, 1.0])",
    ),
    Planted(
        2,
        "the loading is left out of the covariance of a day",
        "cities/model.py",
        "loading**2 * shared + own_b, loading * shared",
        "loading**2 * shared + own_b, shared",
    ),
    Planted(
        2,
        "a special day of city B counts as a shared one",
        "cities/model.py",
        "(quiet, a, b + own_sd[..., 1] ** 2),",
        "(quiet + own_sd[..., 1] ** 2, a, b),",
    ),
    Planted(
        2,
        "the shared walk ignores the loading",
        "cities/model.py",
        "walk[:, None] * loadings + own]",
        "walk[:, None] + own]",
    ),
    Planted(
        3,
        "city B's lift in the units of city A",
        "cities/draws.py",
        "lift = lift * data.spread\n",
        "lift = lift * data.spread[0]\n",
    ),
    Planted(
        3,
        "a share of sales is not taken back from logarithms",
        "cities/draws.py",
        'return np.expm1(lift) if data.scale == "log" else lift',
        "return lift",
    ),
    Planted(
        3,
        "a planted lift raises every day",
        "cities/simulate.py",
        "series.sales * (1 + lift * planted)",
        "series.sales * (1 + lift)",
    ),
    Planted(
        4,
        "the elasticity ignores income",
        "prices/simulate.py",
        "    beta = truth.beta_intercept + truth.beta_slope * income\n",
        "    beta = truth.beta_intercept + 0 * income\n",
    ),
    Planted(
        4,
        "incomes of regions in another order",
        "prices/simulate.py",
        '"median_income": income[row_region],',
        '"median_income": np.sort(income)[row_region],',
    ),
    Planted(
        4,
        "prices chase demand although they should not",
        "prices/simulate.py",
        "price_response * shock",
        "(price_response + 0.2) * shock",
    ),
    Planted(
        5,
        "a store's level is forgotten in the precision",
        "prices/model.py",
        'd["n"] - k * d["n"] ** 2,',
        'd["n"],',
    ),
    Planted(
        5,
        "the correlation of effects has the wrong sign",
        "prices/model.py",
        "low, diagonal = correlation * beta_sd,",
        "low, diagonal = -correlation * beta_sd,",
    ),
    Planted(
        5,
        "the determinant is left out of the density",
        "prices/model.py",
        "(square - explained + pt.log(determinant)).sum()",
        "(square - explained).sum()",
    ),
    Planted(
        6,
        "the population's mean in place of a new region",
        "prices/draws.py",
        "draws[name] = mean + (factor @ z)[..., k, 0]",
        "draws[name] = mean",
    ),
    Planted(
        6,
        "effects of a new region drawn without their correlation",
        "prices/draws.py",
        "    factor = _cholesky(*(population[name].to_numpy() for name in names))\n",
        "    sds = [population[name].to_numpy() for name in names[:2]]\n"
        "    factor = _cholesky(*sds, np.zeros_like(sds[0]))\n",
    ),
    Planted(
        6,
        "the effect of a region taken at its mean, without its spread",
        "prices/draws.py",
        "(inner @ left + np.linalg.cholesky(inner) @ z)",
        "(inner @ left)",
    ),
    Planted(
        7,
        "adstock that does not keep the sum of spend",
        "media/transforms.py",
        "weights = weights / weights.sum(axis=-2, keepdims=True)",
        "weights = weights * 1.0",
    ),
    Planted(
        7,
        "spend works before it is spent",
        "media/transforms.py",
        "np.vstack([np.zeros((lag, k)), spend])[:n]",
        "np.vstack([spend, np.zeros((lag, k))])[-n:]",
    ),
    Planted(
        7,
        "a plan's carry-over after its end is dropped",
        "media/budget.py",
        "self._share = adstock(on, draws.alpha, l_max=draws.l_max)[:, lags:]",
        "self._share = adstock(on, draws.alpha, l_max=draws.l_max)[:, lags:] * on[lags:]",
    ),
    Planted(
        7,
        "saturation of twice the spend",
        "media/transforms.py",
        "np.tanh(lam * stock / 2)",
        "np.tanh(lam * stock)",
    ),
    Planted(
        8,
        "a lift test in units of money where the model has others",
        "media/refits.py",
        'lift["lift_gain"][c] = test.delta_y / top',
        'lift["lift_gain"][c] = test.delta_y',
    ),
    Planted(
        8,
        "a lift test adds to nothing instead of to the spend before",
        "media/refits.py",
        "(test.x + test.delta_x) / largest[c]",
        "test.delta_x / largest[c]",
    ),
    Planted(
        8,
        "contributions in the model's units",
        "media/refits.py",
        'beta=top * v["saturation_beta"]',
        'beta=v["saturation_beta"]',
    ),
    Planted(
        9,
        "weeks before a market opened count as weeks without sales",
        "media/hierarchy.py",
        "hidden = pmd.math.logical_or(period < first, period >= stop)",
        "hidden = period < 0",
    ),
    Planted(
        9,
        "how much markets differ is fixed and not learnt",
        "media/hierarchy.py",
        'own = pmd.Normal(f"{name}_log", mu=centre, sigma=sd, dims=dims)',
        'own = pmd.Normal(f"{name}_log", mu=centre, sigma=1.0, dims=dims)',
    ),
    Planted(
        9,
        "the pooling factor the wrong way round",
        "media/hierarchy.py",
        "np.clip(1 - between / total, 0, 1)",
        "np.clip(between / total, 0, 1)",
    ),
    Planted(
        9,
        "a new market scaled by its own largest spend",
        "media/hierarchy.py",
        "mmm = self._mmm(scaling=self._fixed_scaling())",
        "mmm = self._mmm()",
    ),
    Planted(
        10,
        "NB2 in place of NB1",
        "stores/model.py",
        "return dist.GammaPoisson(mean * rate, rate)",
        "return dist.GammaPoisson(1 / rate, 1 / (rate * mean))",
    ),
    Planted(
        10,
        "calendar patterns in another order",
        "stores/cells.py",
        "calendar=panel.calendar.to_numpy(float),",
        "calendar=panel.calendar.to_numpy(float)[::-1],",
    ),
    Planted(
        10,
        "closed days count as days without sales",
        "stores/cells.py",
        "    store, day = np.nonzero(np.isfinite(panel.sales))\n",
        "    store, day = np.nonzero(panel.pattern >= 0)\n"
        "    panel = replace(panel, sales=np.nan_to_num(panel.sales))\n",
    ),
    Planted(
        11,
        "a new store without its attributes",
        "stores/newcomers.py",
        "mean = store_contrasts(panel) @ population.regression",
        "mean = store_contrasts(panel) @ (population.regression * 0)",
    ),
    Planted(
        11,
        "weeks that begin on Thursday, as the epoch did",
        "stores/newcomers.py",
        "return (days + 3) // 7",
        "return days // 7",
    ),
    Planted(
        11,
        "a new store's days are not expanded under its own prior",
        "stores/newcomers.py",
        "    return _times(covariance, _times(curvature, beta) + gradient + mean @ precision)",
        "    return _times(covariance, _times(curvature, beta) + gradient)",
    ),
    Planted(
        12,
        "an empty store has a posterior of its own",
        "stores/devices.py",
        '_EMPTY = {"coef_z_scale": 1.0, "dispersion_z_scale": 0.1}',
        '_EMPTY = {"coef_z_scale": 0.5, "dispersion_z_scale": 0.1}',
    ),
    Planted(
        12,
        "all processes hold the same stores",
        "stores/devices.py",
        "slice(k * own, (k + 1) * own)",
        "slice(0, own)",
    ),
    Planted(
        12,
        "a resumed run begins again",
        "stores/svi.py",
        "    if path is not None and path.is_file():\n",
        "    if False:\n",
    ),
    Planted(
        13,
        "ranks count the draws above the truth",
        "inference/calibration.py",
        "np.sum(thinned < truth)",
        "np.sum(thinned > truth)",
    ),
    Planted(
        13,
        "a band for one histogram serves many",
        "inference/calibration.py",
        "size=(4000, n_histograms))",
        "size=(4000, 1))",
    ),
    Planted(
        13,
        "a study that goes on draws its first data sets' fits again",
        "inference/sampling.py",
        "zip(datasets[start:], streams[start:], strict=True)",
        "zip(datasets[start:], streams[: len(datasets) - start], strict=True)",
        ("tests/unit/inference/test_calibration.py",),
    ),
)


def caught_by(planted: Planted) -> str:
    """Name of the first test that fails with the error in place; empty if none does."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "book"
        shutil.copytree(CHECKOUT, root, ignore=LEFT_OUT)
        file = root / "helpers" / planted.file
        text = file.read_text()
        if text.count(planted.right) != 1:
            sys.exit(
                f"{planted.file}: {planted.right!r} is there {text.count(planted.right)} times"
            )
        file.write_text(text.replace(planted.right, planted.wrong))
        # the working directory comes first on the path, before the installed package
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, "--no-header", *planted.tests],
            cwd=root,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    failed = re.search(r"^(?:FAILED|ERROR) \S+?::(\w+)", done.stdout, re.MULTILINE)
    if done.returncode == 1 and failed:
        return failed[1]
    if done.returncode:
        said = (done.stdout + done.stderr)[-2000:]
        sys.exit(f"{planted.what}: pytest ended with {done.returncode}\n{said}")
    return ""


def main(chapters: Sequence[str]) -> None:
    """Plant the errors of the chapters named, or all, and note what caught each."""
    wanted = [p for p in PLANTED if not chapters or str(p.chapter) in chapters]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(wanted, pool.map(caught_by, wanted), strict=True))
    for planted, test in found.items():
        print(f"{planted.chapter:>2}  {planted.what}: {test or 'NOT CAUGHT'}")
    known = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else []
    before = {(row["chapter"], row["error"]): row for row in known}
    today = datetime.now(UTC).date().isoformat()
    rows = [
        {"chapter": p.chapter, "error": p.what, "caught by": found[p], "date": today}
        if p in found
        else before[p.chapter, p.what]
        for p in PLANTED
        if p in found or (p.chapter, p.what) in before
    ]
    OUTPUT.write_text(json.dumps(rows, indent=1) + "\n")
    missed = sum(not test for test in found.values())
    sys.exit(f"{missed} of {len(found)} planted errors were not caught" if missed else None)


if __name__ == "__main__":
    main(sys.argv[1:])
