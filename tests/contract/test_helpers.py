"""The helpers pass every check, and every check catches the fault planted for it."""

from __future__ import annotations

import helper_checks as checks
import pytest
from tiny_book import tiny_book

from helpers.bookmaking.cli import CHECKOUT

GOOD = '''"""Prices."""

def price_model(price):
    """Build it.

    Parameters
    ----------
    price : array
        The price.

    Returns
    -------
    pymc.Model
        The model.
    """
    return pm.Model()


def _walk():
    numpyro.sample()
'''
CHAPTER = "from helpers.prices import price_model\nprice_model(1)\nshow(price_model)"


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_helpers_pass(check):
    assert check(CHECKOUT) == []


def book_of(tmp_path, helper, chapter=CHAPTER):
    book = tiny_book(tmp_path, one=chapter)
    (book.root / "helpers" / "model.py").unlink()
    (book.root / "helpers" / "prices.py").write_text(helper)
    return book.root


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_good_helpers_have_no_problem(check, tmp_path):
    assert check(book_of(tmp_path, GOOD)) == []


CLASS = "class Walk(X):\n    x = MMM()\n\n\ndef _walk"


@pytest.mark.parametrize(
    ("check", "was", "becomes", "message"),
    [
        (checks.models_are_shown, "def _walk", "def walk", "no chapter shows walk"),
        (
            checks.models_are_shown,
            "def _walk",
            "class Walk:\n    x = MMM()\n\ndef _f",
            "shows Walk",
        ),
        (checks.models_are_shown, "def _walk", "def f():\n    _walk()\n\ndef _walk", "shows f"),
        (checks.what_chapters_import_is_described, "Parameters\n", "P\n", "no Parameters in"),
        (checks.what_chapters_import_is_described, "Returns\n", "R\n", "no Returns in"),
        (checks.public_names_have_users, "def _walk", "def walk", "walk has no user"),
        (
            checks.public_names_have_users,
            "def _walk",
            "class Walk(a): ...\n\ndef _w",
            "Walk has no",
        ),
    ],
)
def test_a_planted_fault_is_caught(tmp_path, check, was, becomes, message):
    assert was in GOOD
    problems = check(book_of(tmp_path, GOOD.replace(was, becomes)))
    assert len(problems) == 1
    assert message in problems[0]


def test_a_model_that_is_only_used_is_not_shown(tmp_path):
    root = book_of(tmp_path, GOOD, CHAPTER.replace("show(price_model)", "show(prices)"))
    assert checks.models_are_shown(root) == ["helpers/prices.py: no chapter shows price_model"]


def test_a_class_describes_what_it_holds(tmp_path):
    holds = 'class price_model:\n    """Prices."""\n\n    mean: float\n'
    root = book_of(tmp_path, holds, "from helpers.prices import price_model")
    assert "no Attributes" in checks.what_chapters_import_is_described(root)[0]


def test_what_a_public_function_returns_needs_no_other_user(tmp_path):
    root = book_of(tmp_path, GOOD.replace("(price):", "(price) -> Prices:") + "class Prices: ...")
    assert checks.public_names_have_users(root) == []


def test_the_own_unit_test_is_no_user(tmp_path):
    root = book_of(tmp_path, GOOD, "1")
    tests = root / "tests" / "unit" / "helpers"
    tests.mkdir(parents=True)
    (tests / "test_prices.py").write_text("from helpers.prices import price_model")
    assert len(checks.public_names_have_users(root)) == 1
    (tests / "test_others.py").write_text("from helpers.prices import price_model")
    assert checks.public_names_have_users(root) == []
