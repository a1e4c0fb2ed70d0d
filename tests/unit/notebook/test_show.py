"""Tests of `helpers.notebook.show`."""

from __future__ import annotations

import numpy as np
import numpyro
import numpyro.distributions as dist
import pymc as pm
import pytest

from helpers.cities.draws import day_posterior
from helpers.notebook.show import priors, show


def test_a_model_is_shown_with_its_private_pieces_and_without_docstrings(capsys):
    show(day_posterior)
    shown = capsys.readouterr().out
    for piece in ("def day_posterior(", "def _day_slice("):
        assert shown.count(piece) == 1
    assert '"""' not in shown
    assert "return table" in shown
    compile(shown, "shown", "exec")


def test_priors_of_a_pymc_model():
    with pm.Model(coords={"city": ["A", "B"]}) as model:
        scale = pm.HalfNormal("scale", 2)
        pm.Normal("lift", 0, scale, dims="city")
        pm.Normal("sales", 0, 1, observed=[1.0])
    table = priors(model, notes={"lift": "orders a day"})
    assert list(table.index) == ["scale", "lift"]
    assert table.loc["scale", "prior"] == "HalfNormal(0, 2)"
    assert table.loc["lift", ["prior", "shape", "meaning"]].tolist() == [
        "Normal(0, scale)",
        "city",
        "orders a day",
    ]
    with pytest.raises(ValueError, match="no parameter lifts"):
        priors(model, notes={"lifts": ""})


def test_priors_of_a_numpyro_model():
    def model(y):
        scale = numpyro.sample("scale", dist.HalfNormal(2.0))
        with numpyro.plate("store", 3):
            numpyro.sample("level", dist.Normal(0.0, scale))
        numpyro.sample("y", dist.Normal(0.0, 1.0), obs=y)

    table = priors(model, np.ones(1))
    assert list(table.index) == ["scale", "level"]
    assert table.loc["scale", "prior"] == "HalfNormal(2)"
    assert table.loc["level", "shape"] == "3"
