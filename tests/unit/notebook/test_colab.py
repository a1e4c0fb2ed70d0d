"""The first cell of a notebook on Colab: what it installs, and what it refuses."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import nbformat
import pytest
from colab import COLAB_CELL, colab_session

from helpers.bookmaking.execute import execute_one
from helpers.notebook import colab

LAST_CELL = "import helpers, numpy\n'site-packages' in helpers.__file__, numpy.__version__"


@pytest.fixture
def requirements(monkeypatch):
    """Let the book require other versions."""

    def require(*pins):
        monkeypatch.setattr(
            colab, "requires", lambda name: [f'{p}; extra == "colab"' for p in pins]
        )

    return require


def test_the_books_own_environment_is_fit():
    colab.check_session()


def test_another_version_is_named(requirements):
    requirements("pymc==1.0")
    with pytest.raises(RuntimeError, match=r"pymc: \d\S+ is installed and ==1.0 is needed"):
        colab.check_session()


def test_an_absent_package_is_named(requirements):
    requirements("no-such-package==1.0")
    with pytest.raises(RuntimeError, match="no-such-package: no version is installed"):
        colab.check_session()


def test_a_package_loaded_too_early_asks_for_one_restart(monkeypatch):
    monkeypatch.setitem(sys.modules, "numpy", SimpleNamespace(__version__="1.26.4"))
    with pytest.raises(RuntimeError, match=r"numpy 1.26.4 is loaded and \d.*Restart session"):
        colab.check_session()


def run(book, cells, tmp_path, release):
    """Execute cells in a session as on Colab."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    variables = colab_session(release)(tmp_path / "work")
    target = tmp_path / "done.ipynb"
    scratch = tmp_path / "work"
    result = execute_one(
        book, "x", notebook, target, about={}, scratch=scratch, variables=variables
    )
    return result, target


def test_the_session_has_no_book_before_the_first_cell(book, tmp_path, release):
    result, _ = run(book, [LAST_CELL], tmp_path, release)
    assert "No module named 'helpers'" in result.error["message"]


def test_the_first_cell_installs_the_release(book, tmp_path, release):
    result, target = run(book, [COLAB_CELL, LAST_CELL], tmp_path, release)
    assert not result.error
    cells = nbformat.read(target, as_version=4).cells
    assert cells[-1].outputs[0].data["text/plain"].startswith("(True, ")


def test_a_failed_installation_stops_the_notebook(book, tmp_path):
    result, _ = run(book, [COLAB_CELL, "1"], tmp_path, tmp_path / "no-release")
    assert result.error["where"].startswith("cell 1")
