"""Fixtures that several kinds of test share; figures are drawn without a screen."""

from __future__ import annotations

import matplotlib
import pytest

from helpers.bookmaking.book import Book
from helpers.bookmaking.cli import CHECKOUT
from helpers.bookmaking.execute import Result, execute_book, only_build

matplotlib.use("agg")


@pytest.fixture(scope="session")
def book() -> Book:
    """The book itself."""
    return Book(CHECKOUT)


@pytest.fixture(scope="session")
def smoke_results(book: Book, request: pytest.FixtureRequest) -> dict[str, Result]:
    """Every chapter executed with small draws, side by side, by name."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled(), only_build(book):
        print()
        return {result.name: result for result in execute_book(book, profile="smoke")}
