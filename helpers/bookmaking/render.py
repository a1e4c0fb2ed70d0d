"""Render the executed chapters and the pages with jupyter-book."""

from __future__ import annotations

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

from helpers.bookmaking import landing, models
from helpers.bookmaking.book import Book, BuildError, read_notebook, title
from helpers.bookmaking.execute import Result, files_below, fingerprint
from helpers.bookmaking.page import chapter_page

SOURCE = ".source"  # in the rendered book: digest of what it was rendered from


def render_book(book: Book, results: Iterable[Result], *, html: Path, work: Path) -> bool:
    """Render into `html`, unless that is there already from the same sources.

    A failed rendering leaves `html` as it was. Returns whether anything was rendered.
    """
    shutil.rmtree(work, ignore_errors=True)
    stage = work / "stage"
    stage_book(book, list(results), stage)
    inputs = [Path(__file__).with_name("sphinx_extension.py"), book.root / "requirements.lock"]
    source = fingerprint(sys.version, [*files_below(stage), *inputs])
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
    write_pages(book, results, pages, stage / "book")


def write_pages(book: Book, results: list[Result], chapters: dict, pages: Path) -> None:
    """Put what is made by code in the place of its marker, on the pages that have one."""
    links = {place.stem: f"[{title(page)}](../{place})" for place, page in chapters.items()}
    status = zip(links.values(), (result.record for result in results), strict=True)
    shown = zip(links.values(), map(models.shown, chapters.values()), strict=True)
    planted = pages / "planted.json"
    rows = json.loads(planted.read_text()) if planted.exists() else []
    made = {
        "index.md": ("chapter cards", landing.cards(book, chapters, pages)),
        "status.md": ("status tables", landing.status_tables(status)),
        "models.md": ("list of models", models.models_list(book.root, dict(shown))),
        "planted.md": ("planted errors", landing.planted_table(links, rows)),
    }
    for name, (marker, text) in made.items():
        if (page := pages / name).exists():
            page.write_text(page.read_text().replace(f"<!-- {marker} -->", text))


def jupyter_book(stage: Path, *, output: Path) -> None:
    """Build from clean doctrees; each warning is an error, and all of them are shown."""
    command = Path(sys.executable).with_name("jupyter-book")
    options = ["--path-output", str(output), "--all", "-W", "-n", "--keep-going", "--quiet"]
    run = [str(command), "build", str(stage), *options]
    built = subprocess.run(run, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if built.returncode:
        faults = strip_color(built.stdout).replace(f"{stage}/", "")
        raise BuildError(f"jupyter-book found faults:\n{faults}")
