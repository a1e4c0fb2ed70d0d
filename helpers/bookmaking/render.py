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
from helpers.bookmaking.page import chapter_page
from helpers.bookmaking.status import MARKER, status_tables

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
        seconds = result.record["seconds"]
        page = chapter_page(read_notebook(book.root / place), read_notebook(result.path), seconds)
        (stage / place).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(page, stage / place)
        chapters.append((title(page), place, result.record))
    status = stage / "book" / "status.md"
    if status.exists():
        status.write_text(status.read_text().replace(MARKER, status_tables(chapters)))
    for name, (marker, table) in (performance.TABLES | planted.TABLES).items():
        record = stage / "book" / f"{name}.json"
        if record.exists():
            page = record.with_name(f"{name.partition('_')[0]}.md")
            shown = table(json.loads(record.read_text()))
            page.write_text(page.read_text().replace(marker, shown))


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
