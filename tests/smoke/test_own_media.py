"""Daily media with other names and no controls go through both chapters on one market."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from helpers.bookmaking.book import read_notebook

SMALL = ["DRAWS=60", "TUNE=100", "CHAINS=2", "ENFORCE_CLAIMS=False"]
NAMES = ["DATE=day", "TARGET=orders", "CHANNELS=search, out of home", "L_MAX=10"]


@pytest.fixture(scope="module")
def daily():
    """Some 500 days, two channels, a weekly rhythm that no column shows."""
    rng = np.random.default_rng(3)
    days = pd.date_range("2023-01-01", periods=500)
    spend = rng.gamma(3.0, [100.0, 40.0], (500, 2)).round(2)
    rhythm = 30 * np.sin(2 * np.pi * np.arange(500) / 7)
    orders = 400 + rhythm + spend @ [0.2, 0.5] + rng.normal(0, 30, 500)
    return pd.DataFrame(
        {
            "day": days.strftime("%Y-%m-%d"),
            "orders": orders.round(),
            "search": spend[:, 0],
            "out of home": spend[:, 1],
        }
    )


def report_of(chapter, data, options, tmp_path):
    table, out = tmp_path / "media.csv", tmp_path / "out"
    data.to_csv(table, index=False)
    command = [sys.executable, "-m", "helpers.bookmaking.cli", "run", chapter]
    words = [word for parameter in options for word in ("-p", parameter)]
    done = subprocess.run(
        [*command, "--data", table, "--out", out, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (report,) = out.glob("*.html")
    (notebook,) = out.glob("*.ipynb")
    cells = read_notebook(notebook).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return report.read_text(), str(outputs), pd.read_csv(out / "results.csv")


def test_daily_media_without_controls(daily, tmp_path):
    options = [*SMALL, *NAMES, "PRIOR_DRAWS=50", "HELD_OUT=60"]
    page, outputs, results = report_of("7", daily, options, tmp_path)
    assert "out of home" in page and {"search", "out of home"} <= {*results["name"]}
    assert "440 and 60 days" in outputs
    for source_only in ("A seventh of it", "the published case study", "two scales"):
        assert f">{source_only}" not in page
    assert "Direct Mail" not in outputs and "the source" not in outputs


def test_daily_media_are_questioned(daily, tmp_path):
    few = ["STUDY_DRAWS=30", "N_PLACEBOS=1", "N_SHIFTS=1", "N_FOLDS=1", "FOLD_PERIODS=60"]
    page, outputs, results = report_of("8", daily, [*SMALL, *NAMES, *few], tmp_path)
    assert "out of home" in page and len(results)
    for simulated_only in ("Markets whose truth we know", "Exercises"):
        assert simulated_only not in page
    assert "Direct Mail" not in outputs
