"""A book of a few cells, to try the machine on."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers.bookmaking.book import Book
from helpers.bookmaking.cli import CHECKOUT

PARAMETERS = "DRAWS = 1000  # published\nDATA_PATH = None\nENFORCE_CLAIMS = True"


def tiny_book(root: Path, **chapters: str) -> Book:
    """Make a book with one code cell a chapter; `one="1 + 1"` becomes `01-one.ipynb`."""
    (root / "helpers").mkdir(parents=True)
    (root / "helpers" / "model.py").write_text("LIFT = 1\n")
    (root / "notebooks").mkdir()
    (root / "requirements.lock").write_text("numpy==2\n")
    for number, (name, source) in enumerate(chapters.items(), start=1):
        write_chapter(root / "notebooks" / f"{number:02d}-{name}.ipynb", source)
    (root / "book").mkdir()
    (root / "book" / "index.md").write_text("# A tiny book\n")
    (root / "book" / "status.md").write_text("# Status\n\n<!-- status tables -->\n")
    (root / "book" / "references.bib").write_text("")
    shutil.copy(CHECKOUT / "_config.yml", root)
    shutil.copytree(CHECKOUT / "book" / "_static", root / "book" / "_static")
    files = ["book/status", *(f"notebooks/{p.stem}" for p in Book(root).chapters)]
    entries = "".join(f"  - file: {file}\n" for file in files)
    (root / "_toc.yml").write_text(f"format: jb-book\nroot: book/index\nchapters:\n{entries}")
    return Book(root)


def write_chapter(path: Path, source: str, *more: nbformat.NotebookNode) -> None:
    """Write a chapter of a title, the parameters and one code cell."""
    cells = [
        new_markdown_cell(f"# Chapter {path.stem}", id="title"),
        new_code_cell(PARAMETERS, id="parameters", metadata={"tags": ["parameters"]}),
        new_code_cell(source, id="work"),
        *more,
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(new_notebook(cells=cells, metadata=kernel), path)
