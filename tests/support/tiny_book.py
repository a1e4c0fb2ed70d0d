"""A book of a few cells, to try the machine on."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import nbformat
import pandas as pd
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers.bookmaking.book import Book
from helpers.bookmaking.cli import CHECKOUT
from helpers.bookmaking.own import Part
from helpers.data.columns import DataError, DataNote, DataWarning, numbers
from helpers.data.readers import read_table

PARAMETERS = "DRAWS = 1000  # published\nDATA_PATH = None\nENFORCE_CLAIMS = True"


def load(path: Path) -> pd.DataFrame:
    """Load sales as a chapter's loader does, with a note, a warning and a refusal."""
    frame = read_table(path)
    if numbers(frame, "sales", ()).min() < 0:
        raise DataError("sales: 1 negative value (first -1); set refunds to 0")
    warnings.warn("read with <care>", DataNote, stacklevel=2)
    warnings.warn("few rows", DataWarning, stacklevel=2)
    return frame


#: What chapters of a tiny book read, for `own.CHAPTERS`.
TINY = Part(load, {}, size=len, example=lambda: pd.DataFrame({"sales": [40, 2]}))


def tiny_book(root: Path, **chapters: str) -> Book:
    """Make a book with one code cell a chapter; `one="1 + 1"` becomes `one.ipynb`."""
    (root / "helpers").mkdir(parents=True)
    (root / "helpers" / "__init__.py").touch()
    (root / "helpers" / "model.py").write_text("LIFT = 1\n")
    (root / "notebooks" / "part").mkdir(parents=True)
    (root / "requirements.lock").write_text("numpy==2\n")
    for name, source in chapters.items():
        write_chapter(root / "notebooks" / "part" / f"{name}.ipynb", source)
    (root / "book").mkdir()
    (root / "book" / "index.md").write_text("# A tiny book\n")
    (root / "book" / "status.md").write_text("# Status\n\n<!-- status tables -->\n")
    (root / "book" / "references.bib").write_text("")
    shutil.copy(CHECKOUT / "_config.yml", root)
    shutil.copytree(CHECKOUT / "book" / "_static", root / "book" / "_static")
    parts = [
        {"caption": "Pages", "chapters": [{"file": "book/status"}]},
        {
            "caption": "Part",
            "numbered": True,
            "chapters": [{"file": f"notebooks/part/{name}"} for name in chapters],
        },
    ]
    contents = {"format": "jb-book", "root": "book/index", "parts": parts}
    (root / "_toc.yml").write_text(yaml.safe_dump(contents))
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
