"""Tests of `helpers.inference.convergence`."""

from __future__ import annotations

import arviz as az
import numpy as np
import pandas as pd
import pytest

from helpers.inference.convergence import diagnostics, require_converged
from helpers.notebook.claims import ClaimError, Claims, NotConverged


def test_diagnostics_are_the_worst_over_the_named_variables():
    rng = np.random.default_rng(0)
    good, pair = rng.normal(size=(4, 500)), rng.normal(size=(4, 500, 2))
    pair[0, :, 1] += 1  # one chain elsewhere
    stuck = np.repeat(rng.normal(size=(4, 5)), 100, axis=1)
    diverging = np.zeros((4, 500), dtype=bool)
    diverging[1, :3] = True
    idata = az.from_dict(
        {
            "posterior": {"good": good, "pair": pair, "stuck": stuck},
            "sample_stats": {"diverging": diverging},
        }
    )
    checks = diagnostics(idata, ["good", "pair"])
    assert checks["rhat"] == pytest.approx(float(az.rhat(pair[..., 1])))
    assert checks["ess_bulk"] == pytest.approx(float(az.ess(pair[..., 1], method="bulk")))
    tails = az.ess(idata["posterior"].to_dataset(), method="tail")
    assert checks["ess_tail"] == pytest.approx(min(tails["good"].min(), tails["pair"].min()))
    assert checks["divergences"] == 3
    assert checks["rhat"] > 1.05 and diagnostics(idata, ["good"])["rhat"] < 1.01
    assert diagnostics(idata, ["stuck"])["ess_bulk"] < checks["ess_bulk"]


@pytest.mark.parametrize(("name", "value"), [("rhat", 1.02), ("ess_tail", 300), ("divergences", 1)])
def test_a_fit_that_does_not_pass_stops_the_chapter(name, value):
    good = pd.Series({"rhat": 1.0, "ess_bulk": 900.0, "ess_tail": 800.0, "divergences": 0})
    bad = good.where(good.index != name, value)
    assert require_converged(good, "model", claim=Claims(True)) is good
    for enforced in (True, "sampler"):
        with pytest.raises(ClaimError, match=r"model: .*divergences, R-hat") as raised:
            require_converged(bad, "model", claim=Claims(enforced))
        assert raised.type is NotConverged
    require_converged(bad, "model", claim=Claims(False))


def test_divergences_are_borne_up_to_a_bound_and_nothing_else_with_them():
    checks = pd.Series({"rhat": 1.0, "ess_bulk": 900.0, "ess_tail": 800.0, "divergences": 9})
    assert require_converged(checks, "panel", claim=Claims(True), most_divergences=9) is checks
    for worse in ({"divergences": 10}, {"rhat": 1.02}):
        bad = pd.Series(checks.to_dict() | worse)
        with pytest.raises(NotConverged):
            require_converged(bad, "panel", claim=Claims(True), most_divergences=9)
