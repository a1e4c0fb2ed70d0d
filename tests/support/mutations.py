"""Errors planted in the helpers, one after the other, and the test that catches each.

`make mutants` plants them all and writes what the page on planted errors shows. What is right and
what is wrong is Python that is looked for in the syntax tree of a function, wherever it stands: no
formatter and no move to another module hides it. A `_` stands for any expression.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).parents[2]
OUTPUT = CHECKOUT / "book" / "planted.json"
LEFT_OUT = shutil.ignore_patterns(".*", "_build", "*.egg-info", "__pycache__")
ANY = "_"


@dataclass(frozen=True)
class Planted:
    """One error: some code of a function, as it is and as somebody may have written it.

    `function` may be a constant of a module. `right` is an expression, or whole statements.
    """

    chapter: str
    what: str
    function: str
    right: str
    wrong: str
    further: tuple[str, ...] = ()

    def tests(self, file: Path) -> list[str]:
        """Tests: the module's own first, then those of its Part and of what stands on it."""
        part = f"tests/unit/{file.parent.name}"
        own = f"{part}/test_{file.name}"
        return [*([own] if (CHECKOUT / own).exists() else []), part, *self.further]


class Place(NamedTuple):
    """Where the code of a planted error stands, and the text that takes its place."""

    file: Path
    start: int
    end: int
    text: str


def places(planted: Planted, root: Path = CHECKOUT) -> list[Place]:
    """All places where the right code stands; one is needed."""
    found = []
    for file in sorted((root / "helpers").rglob("*.py")):
        source = file.read_bytes()
        if "bookmaking" not in file.parts and planted.function.encode() in source:
            for scope in scopes(ast.parse(source), planted.function):
                found += [Place(file, *span) for span in matches(scope, planted, source)]
    return found


def scopes(tree: ast.AST, name: str) -> Iterator[ast.AST]:
    """Functions, methods and constants of a name."""
    for node in ast.walk(tree):
        is_function = isinstance(node, ast.FunctionDef) and node.name == name
        targets = node.targets if isinstance(node, ast.Assign) else []
        if is_function or any(isinstance(t, ast.Name) and t.id == name for t in targets):
            yield node


def matches(scope: ast.AST, planted: Planted, source: bytes) -> Iterator[tuple[int, int, str]]:
    """Begin and end of what equals the right code, in bytes, and what to write there."""
    right = ast.parse(planted.right).body
    expression = right[0].value if isinstance(right[0], ast.Expr) else None
    blocks = [[scope]] if isinstance(scope, ast.Assign) else []
    for node in ast.walk(scope):
        blocks += [b for b in (getattr(node, "body", None), getattr(node, "orelse", None)) if b]
        if expression is not None and isinstance(node, ast.expr):
            captured: list[ast.expr] = []
            if same(expression, node, captured):
                yield spliced(node, node, planted.wrong, captured, source)
    for block in filter(lambda block: isinstance(block, list) and not expression, blocks):
        for start in range(len(block) - len(right) + 1):
            part, captured = block[start : start + len(right)], []
            if all(same(a, b, captured) for a, b in zip(right, part, strict=True)):
                yield spliced(part[0], part[-1], planted.wrong, captured, source)


def same(right: object, node: object, captured: list[ast.expr]) -> bool:
    """Whether code equals a pattern; what stands for `_` is captured."""
    if isinstance(right, ast.Name) and right.id == ANY and isinstance(node, ast.expr):
        captured.append(node)
        return True
    if isinstance(right, ast.AST):
        fields = [name for name in right._fields if name not in ("ctx", "kind", "type_comment")]
        return type(right) is type(node) and all(
            same(getattr(right, name, None), getattr(node, name, None), captured) for name in fields
        )
    if isinstance(right, list):
        return len(right) == len(node) and all(
            same(a, b, captured) for a, b in zip(right, node, strict=True)
        )
    return right == node


def spliced(
    first: ast.AST, last: ast.AST, wrong: str, captured: list[ast.expr], source: bytes
) -> tuple[int, int, str]:
    """Span of code in bytes, and the wrong code with its indentation and what was captured."""
    lines = source.splitlines(keepends=True)
    start = sum(map(len, lines[: first.lineno - 1])) + first.col_offset
    end = sum(map(len, lines[: last.end_lineno - 1])) + last.end_col_offset
    if captured:
        whole = ast.get_source_segment(source.decode(), captured[0])
        wrong = re.sub(rf"(?<!\w){ANY}(?!\w)", lambda _: f"({whole})", wrong)
    return start, end, wrong.replace("\n", "\n" + " " * first.col_offset)


def plant(place: Place) -> None:
    """Write the wrong code."""
    source = place.file.read_bytes()
    place.file.write_bytes(source[: place.start] + place.text.encode() + source[place.end :])


PLANTED = (
    Planted(
        "two-cities-one-pattern",
        "an advertisement lowers sales",
        "simulate_two_cities",
        "_ + ads * np.asarray(truth.lift)",
        "_ - ads * np.asarray(truth.lift)",
    ),
    Planted(
        "two-cities-one-pattern",
        "the squeeze acts on the other city's week",
        "simulate_two_cities",
        "np.outer(weekday, [truth.squeeze, 1.0])",
        "np.outer(weekday, [1.0, truth.squeeze])",
    ),
    Planted(
        "two-cities-one-pattern",
        "the drift moves both cities alike, whatever the loading",
        "simulate_two_cities",
        "np.outer(shock, loading)",
        "np.outer(shock, [1.0, 1.0])",
    ),
    Planted(
        "shocks-both-cities-share",
        "the loading is left out of the covariance of a day",
        "day_log_density",
        "_, loading**2 * shared + own_b, loading * shared",
        "_, loading**2 * shared + own_b, shared",
    ),
    Planted(
        "shocks-both-cities-share",
        "a special day of city B counts as a shared one",
        "day_types",
        "(quiet, a, b + own_sd[..., 1] ** 2)",
        "(quiet + own_sd[..., 1] ** 2, a, b)",
    ),
    Planted(
        "shocks-both-cities-share",
        "the shared walk ignores the loading",
        "shared_shock_model",
        "walk[:, None] * loadings + own",
        "walk[:, None] + own",
    ),
    Planted(
        "what-the-ads-did",
        "city B's lift in the units of city A",
        "lift_draws",
        "lift = lift * data.spread",
        "lift = lift * data.spread[0]",
    ),
    Planted(
        "what-the-ads-did",
        "a share of sales is not taken back from logarithms",
        "lift_draws",
        'np.expm1(lift) if data.scale == "log" else lift',
        "lift",
    ),
    Planted(
        "what-the-ads-did",
        "campaigns follow one another at once",
        "place_campaigns",
        "free[max(0, start - 2 * length) : start + 2 * length] = False",
        "free[start : start + length] = False",
    ),
    Planted(
        "a-market-with-known-elasticities",
        "the elasticity ignores income",
        "simulate_prices",
        "beta = truth.beta_intercept + truth.beta_slope * income",
        "beta = truth.beta_intercept + 0 * income",
    ),
    Planted(
        "a-market-with-known-elasticities",
        "incomes of regions in another order",
        "simulate_prices",
        "income[row_region]",
        "np.sort(income)[row_region]",
    ),
    Planted(
        "a-market-with-known-elasticities",
        "prices chase demand although they should not",
        "simulate_prices",
        "price_response * shock",
        "(price_response + 0.2) * shock",
    ),
    Planted(
        "multilevel-elasticities",
        "a store's level is forgotten in the precision",
        "_region_sums",
        'd["n"] - k * d["n"] ** 2',
        'd["n"]',
    ),
    Planted(
        "multilevel-elasticities",
        "the correlation of effects has the wrong sign",
        "collapsed_log_density",
        "low, diagonal = rho * beta_sd, _",
        "low, diagonal = -rho * beta_sd, _",
    ),
    Planted(
        "multilevel-elasticities",
        "the determinant is left out of the density",
        "collapsed_log_density",
        "(square - explained + pt.log(determinant)).sum()",
        "(square - explained).sum()",
    ),
    Planted(
        "new-regions-and-best-prices",
        "the population's mean in place of a new region",
        "new_region_draws",
        "draws[name] = mean + (factor @ z)[..., k, 0]",
        "draws[name] = mean",
    ),
    Planted(
        "new-regions-and-best-prices",
        "effects of a new region drawn without their correlation",
        "new_region_draws",
        "factor = _cholesky(*(population[name].to_numpy() for name in names))",
        "sds = [population[name].to_numpy() for name in names[:2]]\n"
        "factor = _cholesky(*sds, np.zeros_like(sds[0]))",
    ),
    Planted(
        "new-regions-and-best-prices",
        "the effect of a region taken at its mean, without its spread",
        "effect_draws",
        "inner @ left + np.linalg.cholesky(inner) @ z",
        "inner @ left",
    ),
    Planted(
        "media-mix-case-study",
        "adstock that does not keep the sum of spend",
        "adstock",
        "weights / weights.sum(axis=-2, keepdims=True)",
        "weights * 1.0",
    ),
    Planted(
        "media-mix-case-study",
        "spend works before it is spent",
        "adstock",
        "np.vstack([np.zeros((lag, k)), spend])[:n]",
        "np.vstack([spend, np.zeros((lag, k))])[-n:]",
    ),
    Planted(
        "media-mix-case-study",
        "a plan's carry-over after its end is dropped",
        "__init__",
        "adstock(on, draws.alpha, l_max=draws.l_max)[:, lags:]",
        "adstock(on, draws.alpha, l_max=draws.l_max)[:, lags:] * on[lags:]",
    ),
    Planted(
        "media-mix-case-study",
        "saturation of twice the spend",
        "saturated",
        "np.tanh(lam * stock / 2)",
        "np.tanh(lam * stock)",
    ),
    Planted(
        "what-to-believe-in-a-media-mix-model",
        "a lift test in units of money where the model has others",
        "arrays",
        "test.delta_y / top",
        "test.delta_y",
    ),
    Planted(
        "what-to-believe-in-a-media-mix-model",
        "a lift test adds to nothing instead of to the spend before",
        "arrays",
        "(test.x + test.delta_x) / largest[c]",
        "test.delta_x / largest[c]",
    ),
    Planted(
        "what-to-believe-in-a-media-mix-model",
        "contributions in the model's units",
        "in_table_units",
        'sales * values("saturation_beta")',
        'values("saturation_beta")',
    ),
    Planted(
        "hierarchical-markets",
        "weeks before a market opened count as weeks without sales",
        "create_likelihood_variable",
        "pmd.math.logical_or(period < first, period >= stop)",
        "period < 0",
    ),
    Planted(
        "hierarchical-markets",
        "how much markets differ is fixed and not learnt",
        "create_variable",
        'pmd.Normal(f"{name}_log", mu=centre, sigma=sd, dims=dims)',
        'pmd.Normal(f"{name}_log", mu=centre, sigma=1.0, dims=dims)',
    ),
    Planted(
        "hierarchical-markets",
        "the pooling factor the wrong way round",
        "pooling_factor",
        "np.clip(1 - between / total, 0, 1)",
        "np.clip(between / total, 0, 1)",
    ),
    Planted(
        "hierarchical-markets",
        "a new market scaled by its own largest spend",
        "predict_new_market",
        '("channel_scale", "target_scale")',
        '("target_scale",)',
    ),
    Planted(
        "a-thousand-stores",
        "NB2 in place of NB1",
        "_likelihood",
        "dist.GammaPoisson(mean * rate, rate)",
        "dist.GammaPoisson(1 / rate, 1 / (rate * mean))",
    ),
    Planted(
        "a-thousand-stores",
        "calendar patterns in another order",
        "count_cells",
        "panel.calendar.to_numpy(float)",
        "panel.calendar.to_numpy(float)[::-1]",
    ),
    Planted(
        "a-thousand-stores",
        "closed days count as days without sales",
        "count_cells",
        "store, day = np.nonzero(np.isfinite(panel.sales))",
        "store, day = np.nonzero(panel.pattern >= 0)\n"
        "panel = replace(panel, sales=np.nan_to_num(panel.sales))",
    ),
    Planted(
        "new-stores",
        "a new store without its attributes",
        "meet_stores",
        "store_contrasts(panel) @ population.regression",
        "store_contrasts(panel) @ (population.regression * 0)",
    ),
    Planted(
        "new-stores",
        "weeks that begin on Thursday, as the epoch did",
        "week_of",
        "(days + 3) // 7",
        "days // 7",
    ),
    Planted(
        "new-stores",
        "a new store's days are not expanded under its own prior",
        "_normal",
        "_times(covariance, _times(curvature, beta) + gradient + mean @ precision)",
        "_times(covariance, _times(curvature, beta) + gradient)",
    ),
    Planted(
        "beyond-one-machine",
        "an empty store has a posterior of its own",
        "_EMPTY",
        '{"coef_z_scale": 1.0, "dispersion_z_scale": 0.1, "sales": np.nan}',
        '{"coef_z_scale": 0.5, "dispersion_z_scale": 0.1, "sales": np.nan}',
    ),
    Planted(
        "beyond-one-machine",
        "all processes hold the same stores",
        "write_parts",
        "np.arange(k * own, (k + 1) * own)",
        "np.arange(own)",
    ),
    Planted(
        "beyond-one-machine",
        "a resumed run begins again",
        "run_svi",
        "(done := kept.latest_step() or 0)",
        "(done := 0)",
    ),
    Planted(
        "forecasts-to-plan-with",
        "a draw is compared with itself in the spread of a forecast",
        "crps",
        "2 * (weight * ordered).sum(0) / (n * (n - 1))",
        "2 * (weight * ordered).sum(0) / (n * n)",
    ),
    Planted(
        "forecasts-to-plan-with",
        "what is known of a store is left out of its means",
        "pattern_means",
        "coef[..., n_calendar:] * panel.attributes.to_numpy()",
        "0 * coef[..., n_calendar:] * panel.attributes.to_numpy()",
    ),
    Planted(
        "forecasts-to-plan-with",
        "days that are hidden stay in sight",
        "observed",
        "np.where(days, self.sales, np.nan)",
        "np.where(days, self.sales, self.sales)",
    ),
    Planted(
        "two-products-on-one-shelf",
        "an interval leaves out twice what it says",
        "interval",
        "(1 - INTERVAL) / 2",
        "1 - INTERVAL",
    ),
    Planted(
        "two-products-on-one-shelf",
        "the fewest effective draws are the most",
        "has_passed",
        'min(checks["ess_bulk"], checks["ess_tail"])',
        'max(checks["ess_bulk"], checks["ess_tail"])',
    ),
    Planted(
        "two-products-on-one-shelf",
        "shocks that last grow",
        "persistent",
        "np.sqrt(1 - memory**2)",
        "np.sqrt(1 + memory**2)",
    ),
    Planted(
        "other-roads-to-a-shared-shock",
        "the covariance of a pair enters its square once, not twice",
        "day_log_density",
        "2 * cov * a * b",
        "cov * a * b",
    ),
    Planted(
        "other-roads-to-a-shared-shock",
        "the determinant of a pair forgets the covariance",
        "day_log_density",
        "var_a * var_b - cov**2",
        "var_a * var_b",
    ),
    Planted(
        "other-roads-to-a-shared-shock",
        "sales in standard deviations of the other city",
        "prepare",
        "(sales - centre) / spread",
        "(sales - centre) / spread[::-1]",
    ),
    Planted(
        "is-the-inference-right",
        "ranks count the draws above the truth",
        "_rank_of",
        "np.sum(thinned < truth)",
        "np.sum(thinned > truth)",
    ),
    Planted(
        "is-the-inference-right",
        "a band for one histogram serves many",
        "_farthest",
        "(_STUDIES, n_histograms)",
        "(_STUDIES, 1)",
    ),
    Planted(
        "is-the-inference-right",
        "a study that goes on draws its first data sets' fits again",
        "fit_many",
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
        found = places(planted, root)
        if len(found) != 1:
            sys.exit(f"{planted.function}: {planted.right!r} is there {len(found)} times")
        plant(found[0])
        # the working directory comes first on the path, before the installed package
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, "--no-header", *planted.tests(found[0].file)],
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
    wanted = [p for p in PLANTED if not chapters or p.chapter in chapters]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(wanted, pool.map(caught_by, wanted), strict=True))
    for planted, test in found.items():
        print(f"{planted.chapter}: {planted.what}: {test or 'NOT CAUGHT'}")
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
