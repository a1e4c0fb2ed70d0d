"""Execute a chapter on the reader's own data, and write a report of one self-contained file."""

from __future__ import annotations

import copy
import logging
import os
import tempfile
from html import escape
from importlib.util import find_spec
from pathlib import Path

import nbformat
from jinja2 import FileSystemLoader
from nbconvert import HTMLExporter
from nbformat.v4 import new_markdown_cell

from helpers.bookmaking.book import (
    Book,
    BuildError,
    UsageError,
    has_tag,
    parameterised,
    parse_assignments,
    read_notebook,
    read_parameters,
    title,
    write_atomically,
)
from helpers.bookmaking.execute import execute_one, raise_for_failures
from helpers.bookmaking.myst import Myst, scrap_of
from helpers.bookmaking.page import figure_of, name_folded


def run_on_data(
    book: Book, chapter: Path, data: Path, out: Path, assignments: list[str]
) -> list[Path]:
    """Execute a chapter on a file of the reader; returns the notebook and the report written.

    Cells tagged `simulated` concern the book's own study and are left out. Nothing is written
    unless everything succeeds.
    """
    notebook = for_own_data(chapter, data, assignments)
    check_output_directory(out)
    book.build_directory.mkdir(exist_ok=True)
    print(f"{chapter.stem} on {data}", flush=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=book.build_directory) as scratch:
        target = Path(scratch) / f"{chapter.stem}.ipynb"
        work = Path(scratch) / "work"
        result = execute_one(book, chapter.stem, notebook, target, about={}, scratch=work)
        if result.error and result.error["type"] == "DataError":
            # The loader names the file too where it cannot be read at all.
            message = result.error["message"].removeprefix(f"{data.name}: ")
            raise BuildError(f"{data}: {message}")
        raise_for_failures([result])
        executed = read_notebook(target)
    html = as_html(executed, bibliography=book.root / "book" / "references.bib")
    html = html.replace(escape(str(data.resolve())), data.name)  # it may be sent to somebody
    written = [out / f"{chapter.stem}.ipynb", out / f"{chapter.stem}.html"]
    for path, text in zip(written, [nbformat.writes(executed) + "\n", html], strict=True):
        write_atomically(path, text)
    return written


def for_own_data(chapter: Path, data: Path, assignments: list[str]) -> nbformat.NotebookNode:
    """Prepare a chapter to run on the reader's file, or say why it cannot."""
    known = read_parameters(read_notebook(chapter))
    if "DATA_PATH" not in known:
        raise UsageError(f"{chapter.stem} takes no data: it has no parameter DATA_PATH")
    if not data.is_file():
        raise UsageError(f"{data}: no such file")
    given = parse_assignments(assignments)
    values = {"ENFORCE_CLAIMS": False, **given, "DATA_PATH": str(data.resolve())}
    notebook = parameterised(chapter, values)
    heading = title(notebook)
    notebook.cells = [cell for cell in notebook.cells if not has_tag(cell, "simulated")]
    if title(notebook) != heading:  # its cell tells of the book's own study
        notebook.cells.insert(0, new_markdown_cell(f"# {heading}", id="title"))
    return notebook


def check_output_directory(out: Path) -> None:
    """Refuse a place that cannot be written to before minutes are spent."""
    existing = next(path for path in [out, *out.absolute().parents] if path.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK)):
        raise UsageError(f"{existing} is not a directory that can be written to")


def as_html(notebook: nbformat.NotebookNode, *, bibliography: Path) -> str:
    """One HTML file with its images, styles and mathematics inside."""
    page, myst = with_captions(notebook), Myst(notebook, bibliography)
    page.metadata["title"] = title(page)
    exporter = HTMLExporter(
        template_file="report.html.j2",
        extra_loaders=[FileSystemLoader(Path(__file__).parent)],
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        filters={"markdown2html": myst.html},
    )
    exporter.log.setLevel(logging.ERROR)
    # MathJax as one script with its glyphs inside
    package = Path(str(find_spec("sphinx-mathjax-offline").origin)).parent
    script = (package / "static" / "mathjax" / "tex-svg.js").read_text(encoding="utf-8")
    return exporter.from_notebook_node(page, {"mathjax": script})[0]


def with_captions(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return a copy with a caption under each figure, and without outputs that nobody sees."""
    page, cells, figures = copy.deepcopy(notebook), [], 0
    for cell in page.cells:
        cells.append(cell)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not scrap_of(output)]
            name_folded(cell)
        if figure := figure_of(cell):
            figures += 1
            name = f'<a id="{figure["name"]}"></a>**Figure {figures}.**'
            cells.append(new_markdown_cell(f"{name} {figure.get('caption', '')}"))
    page.cells = cells
    return page
