"""Render the executed chapters and the pages with jupyter-book."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat
import yaml
from papermill.exceptions import strip_color

from helpers.bookmaking import landing, models
from helpers.bookmaking.book import Book, read_notebook, title
from helpers.bookmaking.errors import BuildError
from helpers.bookmaking.execute import Result, files_below
from helpers.bookmaking.page import chapter_page
from helpers.bookmaking.tables import PLANTED, STATUS, planted_table, status_tables

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
    pages = {}
    for result in results:
        place = places[result.name]
        authored, executed = read_notebook(book.root / place), read_notebook(result.path)
        pages[place] = chapter_page(authored, executed, result.record["seconds"])
        (stage / place).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(pages[place], stage / place)
    write_pages(book, pages, [result.record for result in results], stage / "book")


def write_pages(
    book: Book,
    chapters: Mapping[Path, nbformat.NotebookNode],
    records: Iterable[Mapping[str, Any]],
    pages: Path,
) -> None:
    """Put what is made by code in the place of its marker, on the pages that have one."""
    links = {place.stem: f"[{title(page)}](../{place})" for place, page in chapters.items()}
    fill(pages / "index.md", landing.MARKER, landing.cards(book, chapters, pages))
    fill(pages / "status.md", STATUS, status_tables(zip(links.values(), records, strict=True)))
    shown = zip(links.values(), map(models.shown, chapters.values()), strict=True)
    fill(pages / "models.md", models.MARKER, models.models_list(book.root, shown))
    record = pages / "planted.json"
    rows = json.loads(record.read_text()) if record.exists() else []
    fill(pages / "planted.md", PLANTED, planted_table(links, rows))


def fill(page: Path, marker: str, text: str) -> None:
    """Put text in the place of a page's marker, if there is such a page."""
    if page.exists():
        page.write_text(page.read_text().replace(marker, text))


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
    options = ["--path-output", str(output), "--all", "-W", "-n", "--keep-going", "--quiet"]
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
