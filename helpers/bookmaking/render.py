"""Render the executed chapters and the pages with jupyter-book."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import nbformat
import yaml
from papermill.exceptions import strip_color

from helpers.bookmaking import performance, planted
from helpers.bookmaking.book import Book, read_notebook, title
from helpers.bookmaking.errors import BuildError
from helpers.bookmaking.execute import Result, files_below
from helpers.bookmaking.status import MARKER, status_tables

WORDS_A_MINUTE = 150  # prose with code and formulas between
SOURCE = ".source"  # in the rendered book: digest of what it was rendered from


def render_book(book: Book, results: Iterable[Result], *, html: Path, work: Path) -> bool:
    """Render into `html`, unless that is there already from the same sources.

    A failed rendering leaves `html` as it was. Returns whether anything was rendered.
    """
    shutil.rmtree(work, ignore_errors=True)
    stage = work / "stage"
    stage_book(book, list(results), stage)
    source = stage_digest(book, stage)
    if (html / SOURCE).exists() and (html / SOURCE).read_text() == source:
        shutil.rmtree(work)
        return False
    jupyter_book(stage, output=work)
    fresh = work / "_build" / "html"
    (fresh / SOURCE).write_text(source)
    old = work / "old"
    html.parent.mkdir(parents=True, exist_ok=True)
    if html.exists():
        os.replace(html, old)
    os.replace(fresh, html)
    shutil.rmtree(work)
    return True


def stage_book(book: Book, results: list[Result], stage: Path) -> None:
    """Lay out a tree like the repository's, with executed notebooks and execution off."""
    shutil.copytree(book.root / "book", stage / "book")
    shutil.copy(book.root / "_toc.yml", stage)
    config = yaml.safe_load((book.root / "_config.yml").read_text())
    config["execute"] = {"execute_notebooks": "off"}
    (stage / "_config.yml").write_text(yaml.safe_dump(config))
    places = {path.stem: path.relative_to(book.root) for path in book.chapters}
    chapters = []
    for result in results:
        place = places[result.name]
        authored = read_notebook(book.root / place)
        page = with_outputs(authored, read_notebook(result.path))
        add_minutes(page, result.record["seconds"])
        (stage / place).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(page, stage / place)
        chapters.append((title(authored), place, result.record))
    status = stage / "book" / "status.md"
    if status.exists():
        status.write_text(status.read_text().replace(MARKER, status_tables(chapters)))
    for name, (marker, table) in (performance.TABLES | planted.TABLES).items():
        record = stage / "book" / f"{name}.json"
        if record.exists():
            page = record.with_name(f"{name.partition('_')[0]}.md")
            shown = table(json.loads(record.read_text()))
            page.write_text(page.read_text().replace(marker, shown))


def with_outputs(
    authored: nbformat.NotebookNode, executed: nbformat.NotebookNode
) -> nbformat.NotebookNode:
    """Prose and metadata as authored, code and outputs as executed."""
    runs = (cell for cell in executed.cells if cell.cell_type == "code")
    cells = []
    for cell in authored.cells:
        cells.append(cell)
        if cell.cell_type == "code":
            run = next(runs)
            cell.update({key: run[key] for key in ("source", "outputs", "execution_count")})
            cells += figure_apart(cell)
    authored.cells = cells
    return authored


def add_minutes(page: nbformat.NotebookNode, seconds: float) -> None:
    """End a chapter's opening with the minutes that it takes to read and took to run."""
    texts = (cell.source for cell in page.cells if cell.cell_type == "markdown")
    read = max(1, round(len(" ".join(texts).split()) / WORDS_A_MINUTE))
    run = max(1, round(seconds / 60))
    minutes = f"*About {read} {plural(read)} to read; it ran in {run} {plural(run)}.*"
    page.cells[0].source += f"\n\n{minutes}"


def plural(n: int) -> str:
    """Return the unit that agrees with a number of minutes."""
    return "minute" if n == 1 else "minutes"


def figure_apart(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Move the figure of a cell with more outputs to a cell of its own, which is returned.

    MyST-NB would give the figure's name and caption to every one of the outputs.
    """
    images = [output for output in cell.outputs if is_image(output)]
    if "mystnb" not in cell.metadata or len(images) == len(cell.outputs):
        return []
    cell.outputs = [output for output in cell.outputs if not is_image(output)]
    tags = cell.metadata.get("tags", [])
    hidden = ["hide-output"] if {"hide-cell", "hide-output"} & {*tags} else []
    metadata = {"mystnb": cell.metadata.pop("mystnb"), "tags": ["remove-input", *hidden]}
    source = f"# figure of cell {cell.id}"  # a cell without source would not be rendered
    name = f"{cell.id[:57]}-figure"  # the format allows 64 characters
    return [nbformat.v4.new_code_cell(source, id=name, metadata=metadata, outputs=images)]


def is_image(output: nbformat.NotebookNode) -> bool:
    """Whether an output is a picture."""
    return any(mime.startswith("image/") for mime in output.get("data", {}))


def stage_digest(book: Book, stage: Path) -> str:
    """Fingerprint of all that the pages depend on."""
    whole = hashlib.sha256(sys.version.encode())
    extension = Path(__file__).with_name("sphinx_extension.py")
    for path in [*files_below(stage), extension, book.root / "requirements.lock"]:
        if path.exists():
            whole.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def jupyter_book(stage: Path, *, output: Path) -> None:
    """Build from clean doctrees; each warning is an error, and all of them are shown."""
    command = Path(sys.executable).with_name("jupyter-book")
    options = ["--path-output", output, "--all", "-W", "-n", "--keep-going", "--quiet"]
    built = subprocess.run(
        [command, "build", stage, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if built.returncode:
        faults = strip_color(built.stdout).replace(f"{stage}/", "")
        raise BuildError(f"jupyter-book found faults:\n{faults}")
