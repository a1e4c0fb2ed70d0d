"""Fixtures that several kinds of test share; figures are drawn without a screen."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import matplotlib
import pytest
from colab import furnished_session, make_release

from helpers.bookmaking.book import Book
from helpers.bookmaking.cli import CHECKOUT
from helpers.bookmaking.execute import Result, execute_book, only_build

matplotlib.use("agg")


@pytest.fixture(scope="session")
def book() -> Book:
    """The book itself."""
    return Book(CHECKOUT)


@pytest.fixture(scope="module")
def single_precision():
    """As where nothing else is loaded: PyMC's samplers switch JAX to double for the process."""
    import jax

    with jax.enable_x64(False):
        yield


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Repository whose newest tag is the book as it stands here."""
    directory = tmp_path_factory.mktemp("release")
    make_release(directory, f"v{version('bayesian-market-models')}")
    return directory


@pytest.fixture(scope="session")
def smoke_results(
    book: Book,
    release: Path,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Result]:
    """Every chapter executed with small draws, side by side, by name.

    Each runs as on Colab after its first cell: alone in an empty directory, without a checkout.
    """
    prepare = furnished_session(release, tmp_path_factory.mktemp("session"))
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled(), only_build(book):
        print()
        results = execute_book(book, profile="smoke", prepare=prepare)
        return {result.name: result for result in results}
