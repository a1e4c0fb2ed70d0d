"""Each chapter runs from its first cell to its last with small draws and real samplers."""

from __future__ import annotations

import ast
import re

import pytest

from helpers.bookmaking.book import Book, read_notebook
from helpers.bookmaking.cli import CHECKOUT
from helpers.bookmaking.page import figure_of, is_image

MEMORY_BUDGET_MB = 1500  # Binder gives about two gigabytes

chapters = pytest.mark.parametrize("name", [path.stem for path in Book(CHECKOUT).chapters])


@pytest.fixture
def executed(name, smoke_results):
    result = smoke_results[name]
    if result.error:
        pytest.skip("it failed, as another test says")
    return read_notebook(result.path)


@chapters
def test_chapter_runs(name, smoke_results):
    error = smoke_results[name].error
    assert not error, f"{error['where']}\n{error['type']}: {error['message']}"


@chapters
def test_nothing_is_written_to_stderr(name, smoke_results, executed):
    assert smoke_results[name].record["stderr"] == []


@chapters
def test_memory_stays_in_budget(name, smoke_results, executed):
    assert smoke_results[name].record["peak_mb"] <= MEMORY_BUDGET_MB


@chapters
def test_claims_are_shown(executed):
    shown = [text for text in map(plain_text, outputs(executed)) if text[:2] in ("✓ ", "✗ ")]
    # those inside a condition may concern data that are not here
    made = sum(len(re.findall(r"^claim\(", c.source, re.MULTILINE)) for c in executed.cells)
    assert made > 0
    assert len(shown) >= made


@chapters
def test_each_figure_is_described(executed):
    for number, cell in enumerate(executed.cells, start=1):
        images = sum(is_image(output) for output in cell.get("outputs", []))
        described = bool(figure_of(cell))
        if not cell.source.startswith("if DATA_PATH:\n"):  # drawn of a reader's file alone
            assert images == described, f"cell {number}: {images} figures, {described:d} described"


@chapters
@pytest.mark.parametrize(("key", "most"), [("answer", 3), ("action", 2)])
def test_answer_and_action_are_words_with_few_numbers(executed, key, most):
    (text,) = published(executed, key)
    assert len(numbers(text)) <= most, text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Spend 1,200.5 EUR on TV4, -3 % of 2021; R² of one.", ["1,200.5", "3", "2021"]),
        ("Between 5 and 10.", ["5", "10"]),
    ],
)
def test_numbers_of_a_text(text, found):
    assert numbers(text) == found


def numbers(text):
    return re.findall(r"(?<![A-Za-z\d])\d+(?:[.,]\d+)*", text)


def published(notebook, key):
    scraps = ((o.get("metadata", {}).get("scrapbook"), o) for o in outputs(notebook))
    return [
        ast.literal_eval(o["data"][f"{scrap['mime_prefix']}text/plain"])
        for scrap, o in scraps
        if scrap and scrap["name"] == key
    ]


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def plain_text(output):
    return output.get("data", {}).get("text/plain", "")
