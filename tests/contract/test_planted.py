"""Errors that `make mutants` plants are in code that exists, three and more a chapter."""

from __future__ import annotations

import ast
import json
from collections import Counter

import pytest
from mutations import PLANTED, Planted, places, plant

from helpers.bookmaking.book import Book
from helpers.bookmaking.cli import CHECKOUT


@pytest.mark.parametrize("planted", [pytest.param(p, id=p.what) for p in PLANTED])
def test_the_code_is_there_once_and_the_wrong_one_parses(planted):
    (place,) = places(planted)
    source = place.file.read_bytes()
    wrong = source[: place.start] + place.text.encode() + source[place.end :]
    assert ast.dump(ast.parse(wrong)) != ast.dump(ast.parse(source))
    assert all((CHECKOUT / tests).exists() for tests in planted.tests(place.file))


def test_each_chapter_has_three():
    count = Counter(planted.chapter for planted in PLANTED)
    own = {"calibrated-media-mixes", "calibrated-stores"}  # plant theirs in data and posteriors
    names = {path.stem for path in Book(CHECKOUT).chapters} - own
    assert {chapter for chapter, n in count.items() if n >= 3} >= names
    assert set(count) <= names


CODE = """\
def other(x):
    return 1 + x * 2

class Mix:
    def lift(self, x):
        if x:
            y = (
                # why
                1 + x * 2
            )
            z = "x*2"
        return y
"""


@pytest.mark.parametrize(
    ("right", "wrong", "becomes"),
    [
        ("_ + x * 2", "_ - x * 2", "(1) - x * 2"),
        ("x*2", "x", "1 + x\n"),
        ('z = "x*2"', "z = 1\nz = 2", "            z = 1\n            z = 2\n"),
        ("return y", "return 0", "        return 0\n"),
    ],
)
def test_code_is_found_whatever_its_form_and_place(tmp_path, right, wrong, becomes):
    file = tmp_path / "helpers" / "media" / "new.py"
    file.parent.mkdir(parents=True)
    file.write_text(CODE)
    (place,) = places(Planted("a", "b", "lift", right, wrong), tmp_path)
    plant(place)
    assert becomes in file.read_text()
    assert file.read_text().startswith(CODE[:40])
    assert places(Planted("a", "b", "lift", right.replace("x", "w"), wrong), tmp_path) == [] or (
        "x" not in right
    )


def test_the_page_shows_that_each_was_caught():
    rows = json.loads((CHECKOUT / "book" / "planted.json").read_text())
    assert {(row["chapter"], row["error"]) for row in rows} == {
        (planted.chapter, planted.what) for planted in PLANTED
    }
    assert all(row["caught by"] for row in rows)
