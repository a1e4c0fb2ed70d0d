"""The rendered book that the page tests look at, and the browser."""

from __future__ import annotations

import browser_checks as checks
import pytest

from helpers.bookmaking.execute import only_build
from helpers.bookmaking.render import render_book


@pytest.fixture(scope="session")
def site(book, smoke_results):
    """The book of the smoke run, as `make smoke` renders it."""
    if failed := [name for name, result in smoke_results.items() if result.error]:
        pytest.skip(f"not executed: {', '.join(failed)}")
    html = book.build_directory / "html-smoke"
    with only_build(book):
        render_book(book, smoke_results.values(), html=html, work=book.build_directory / "render")
    return html


@pytest.fixture(scope="module")
def browser():
    path = checks.chromium()
    if not path:
        pytest.skip("no Chromium: install Debian's package `chromium` to run the browser tests")
    with checks.offline_browser(path) as started:
        yield started
