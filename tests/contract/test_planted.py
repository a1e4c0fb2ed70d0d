"""Errors that `make mutants` plants are in lines that exist, three and more a chapter."""

from __future__ import annotations

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
    assert all((CHECKOUT / tests).is_file() for tests in planted.tests)


def test_each_chapter_has_three():
    count = Counter(planted.chapter for planted in PLANTED)
    own = {13, 14, 15}  # they plant their own
    numbers = {int(path.stem[:2]) for path in Book(CHECKOUT).chapters} - own
    assert {chapter for chapter, n in count.items() if n >= 3} >= numbers
