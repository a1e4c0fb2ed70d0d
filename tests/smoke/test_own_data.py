"""Malformed files through the command line: the error, exit code 1 and nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from malformed import (
    MALFORMED,
    MALFORMED_MEDIA,
    MALFORMED_PRICES,
    MALFORMED_STORES,
    good_frame,
    good_media_frame,
    good_price_frame,
    good_store_frame,
)

from helpers.bookmaking.book import Book, read_notebook, read_parameters
from helpers.bookmaking.cli import CHECKOUT

# By loader: a good table and what spoils it. Few each, for each starts a kernel; the loaders' own
# tests see them all.
KINDS = {
    "load_two_cities": (good_frame, {name: MALFORMED[name] for name in list(MALFORMED)[::2]}),
    "load_price_panel": (
        good_price_frame,
        {
            name: MALFORMED_PRICES[name]
            for name in ("unknown column", "price of zero", "one price", "income varies")
        },
    ),
    "load_media": (
        good_media_frame,
        {name: MALFORMED_MEDIA[name] for name in ("gap", "no sales")},
    ),
    "load_stores": (good_store_frame, MALFORMED_STORES),
}
# Columns that a chapter must be told.
NAMED = {"load_media": ("CHANNELS=tv,radio", "CONTROLS=promo")}
EMPTY = (None, "the file is empty; export it again")


def cases():
    """Pairs of chapter and malformed file; the chapters that share a loader take turns."""
    chapters = {path.stem: read_notebook(path) for path in Book(CHECKOUT).chapters if path.exists()}
    for loader, (_, files) in KINDS.items():
        takers = [
            stem
            for stem, notebook in chapters.items()
            if "DATA_PATH" in read_parameters(notebook)
            and any(f"{loader}(" in cell.source for cell in notebook.cells)
        ]
        for i, name in enumerate([*files, "empty file"] if takers else []):
            yield takers[i % len(takers)], loader, name


CASES = list(cases())


def refusal(directory, case):
    """Run a chapter on one malformed file."""
    chapter, loader, name = case
    good, files = KINDS[loader]
    data, out = directory / "sales.csv", directory / "out"
    if name == "empty file":
        data.touch()
    else:
        files[name][0](good()).to_csv(data, index=False)
    command = [sys.executable, "-m", "helpers.bookmaking.cli", "run", chapter]
    options = [word for parameter in NAMED.get(loader, ()) for word in ("-p", parameter)]
    done = subprocess.run(
        [*command, "--data", data, "--out", out, *options],
        capture_output=True,
        text=True,
        check=False,
    )
    return done, data, out


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    directories = [tmp_path_factory.mktemp("own") for _ in CASES]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(CASES, pool.map(refusal, directories, CASES), strict=True))


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_a_malformed_file_is_refused(case, refusals):
    _, loader, name = case
    _, message = KINDS[loader][1].get(name, EMPTY)
    done, data, out = refusals[case]
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith(f"{data}: {message}")
    assert len(done.stderr.splitlines()) == 1
    assert not out.exists()
