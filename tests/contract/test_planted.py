"""Errors that `make mutants` plants are in lines that exist, three and more a chapter."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from mutations import PLANTED

from helpers.bookmaking.book import Book
from helpers.bookmaking.cli import CHECKOUT


@pytest.mark.parametrize("planted", [pytest.param(p, id=p.what) for p in PLANTED])
def test_the_line_is_there_once(planted):
    text = (CHECKOUT / "helpers" / planted.file).read_text()
    assert text.count(planted.right) == 1
    assert text.replace(planted.right, planted.wrong) != text
    assert all((CHECKOUT / tests).exists() for tests in planted.tests)


def test_each_chapter_has_three():
    count = Counter(planted.chapter for planted in PLANTED)
    own = {14, 15}  # these plant theirs in data and posteriors
    numbers = set(range(1, len(Book(CHECKOUT).chapters) + 1)) - own
    assert {chapter for chapter, n in count.items() if n >= 3} >= numbers


def test_the_page_shows_that_each_was_caught():
    rows = json.loads((CHECKOUT / "book" / "planted.json").read_text())
    assert {(row["chapter"], row["error"]) for row in rows} == {
        (planted.chapter, planted.what) for planted in PLANTED
    }
    assert all(row["caught by"] for row in rows)
