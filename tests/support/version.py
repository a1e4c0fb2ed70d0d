"""Bring the version of `pyproject.toml` to whatever repeats it: `make version`."""

from __future__ import annotations

import re

import nbformat
from colab import COLAB_CELL, VERSION

from helpers.bookmaking.book import Book, read_notebook
from helpers.bookmaking.cli import CHECKOUT


def main() -> None:
    """Write the Colab cell of every chapter, and the version to cite."""
    for path in Book(CHECKOUT).chapters:
        notebook = read_notebook(path)
        next(c for c in notebook.cells if c.cell_type == "code").source = COLAB_CELL
        path.write_text(nbformat.writes(notebook) + "\n")
    citation = CHECKOUT / "CITATION.cff"
    dated = re.sub(r"^version: .*$", f"version: {VERSION}", citation.read_text(), flags=re.M)
    citation.write_text(dated)


if __name__ == "__main__":
    main()
