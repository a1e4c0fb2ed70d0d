"""Published sizes in Binder's memory, where this machine can limit memory.

`make binder` does so for every chapter, and `make book` fails if one needs more than Binder has.
Here it is one that takes half a minute.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from binder import NO_GROUP
from tiny_book import tiny_book

from helpers.bookmaking.cli import CHECKOUT
from helpers.bookmaking.execute import BINDER_MB

CHAPTER = "a-market-with-known-elasticities"


def binder(*arguments):
    command = [sys.executable, CHECKOUT / "tests" / "support" / "binder.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if NO_GROUP in done.stderr:
        pytest.skip(NO_GROUP)
    return done


def test_a_chapter_finishes_in_binders_memory():
    done = binder(CHAPTER)
    assert done.returncode == 0, done.stderr
    [record] = (CHECKOUT / "_build" / "executed" / "full-binder").glob(f"{CHAPTER}-*.json")
    assert json.loads(record.read_text())["peak_mb"] < BINDER_MB


def test_a_chapter_that_needs_more_is_named(tmp_path):
    fill = "import numpy as np\nkept = np.ones({} * 2**27)\nprint(kept.size)"
    tiny_book(tmp_path, modest=fill.format(1), greedy=fill.format(3))
    done = binder("--book", tmp_path)
    assert done.returncode == 1
    assert "greedy: cell 3: import numpy as np: the kernel died" in done.stderr
    assert "modest:" not in done.stderr
