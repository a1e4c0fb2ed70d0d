"""Malformed files through the command line: the error, exit code 1 and nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from malformed import MALFORMED, good_frame

from helpers.bookmaking.book import Book, read_notebook
from helpers.bookmaking.cli import CHECKOUT
from helpers.bookmaking.parameters import read_parameters

TAKE_DATA = [
    path.stem
    for path in Book(CHECKOUT).chapters
    if path.exists() and "DATA_PATH" in read_parameters(read_notebook(path))
]
# A dozen, for each starts a kernel; the loader's own tests see them all. Chapters take turns.
FILES = [*list(MALFORMED)[::2], "empty file"] if TAKE_DATA else []
CASES = {name: TAKE_DATA[i % len(TAKE_DATA)] for i, name in enumerate(FILES)}


def refusal(directory, name):
    """Run a chapter on one malformed file."""
    data, out = directory / "sales.csv", directory / "out"
    if name == "empty file":
        data.touch()
    else:
        MALFORMED[name][0](good_frame()).to_csv(data, index=False)
    command = [sys.executable, "-m", "helpers.bookmaking.cli", "run", CASES[name]]
    done = subprocess.run(
        [*command, "--data", data, "--out", out],
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


@pytest.mark.parametrize("name", CASES)
def test_a_malformed_file_is_refused(name, refusals):
    message = MALFORMED[name][1] if name in MALFORMED else "the file is empty; export it again"
    done, data, out = refusals[name]
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith(f"{data}: {message}")
    assert len(done.stderr.splitlines()) == 1
    assert not out.exists()
