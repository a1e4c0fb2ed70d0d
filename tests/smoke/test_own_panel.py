"""A panel of prices as long as a chain's goes through the command line, whatever its sizes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from helpers.prices.simulate import simulate_prices

SMALL = ["DRAWS=60", "TUNE=100", "CHAINS=2", "N_LEFT_OUT=1", "ENFORCE_CLAIMS=False"]


@pytest.fixture(scope="module")
def panel():
    """44 regions with names, more than 28 000 rows, no cost."""
    frame = simulate_prices(44, seed=7, n_weeks=70, stores=(3, 18)).data
    frame["region_id"] = "region " + frame["region_id"].astype(str)
    return frame.drop(columns="cost")


def test_multilevel_elasticities_of_a_long_panel(panel, tmp_path):
    assert len(panel) > 28_000
    data, out = tmp_path / "panel.csv", tmp_path / "out"
    panel.to_csv(data, index=False)
    command = [sys.executable, "-m", "helpers.bookmaking.cli", "run", "5"]
    options = [word for parameter in SMALL for word in ("-p", parameter)]
    done = subprocess.run(
        [*command, "--data", data, "--out", out, *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (report,) = out.glob("*.html")
    assert "region 43" in report.read_text() + (out / "results.csv").read_text()
