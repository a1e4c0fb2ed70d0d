"""What the build writes into pages: chapter cards, and tables of status and planted errors."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat

from helpers.bookmaking.book import Book, title
from helpers.bookmaking.myst import glued
from helpers.bookmaking.page import answers

QUESTION = re.compile(r"^\*\*(.+\?)\*\*$", re.MULTILINE)
SUFFIXES = {"image/svg+xml": "svg", "image/png": "png"}


def cards(book: Book, chapters: Mapping[Path, nbformat.NotebookNode], pages: Path) -> str:
    """Markdown of the cards of chapters, given by their place; pictures go below `pages`."""
    lines: list[str] = []
    for part, paths in book.parts:
        places = [path.relative_to(book.root) for path in paths]
        if shown := [place for place in places if place in chapters]:
            lines += [f"### {part['caption']}", "", "`````{grid} 1 1 2 2", ":gutter: 3", ""]
            for place in shown:
                lines += [*card(place, chapters[place], pages), ""]
            lines += ["`````", ""]
    return "\n".join(lines)


def card(place: Path, page: nbformat.NotebookNode, pages: Path) -> Iterator[str]:
    """Lines of one chapter's card; what the chapter does not have yet is left out."""
    yield f"````{{grid-item-card}} [{title(page)}](../{place})"
    for cell in page.cells:
        if answers(cell) and cell.outputs:
            yield f":img-top: {picture(cell, pages / '_cards' / place.stem).relative_to(pages)}"
            yield f":img-alt: {cell.metadata.mystnb.image.alt}"
    yield ""
    if question := QUESTION.search(page.cells[0].source):
        yield from (f"*{question[1]}*", "")
    if "answer" in glued(page):
        yield f"{{glue:text}}`/{place}::answer:s`"
    yield "````"


def picture(cell: nbformat.NotebookNode, path: Path) -> Path:
    """Write a cell's picture to a file and return it with its ending."""
    data = cell.outputs[0].data
    mime = next(mime for mime in SUFFIXES if mime in data)
    path = path.with_suffix(f".{SUFFIXES[mime]}")
    path.parent.mkdir(exist_ok=True)
    content = data[mime]
    path.write_bytes(content.encode() if mime.endswith("xml") else base64.b64decode(content))
    return path


def status_tables(records: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """Tables of time, memory and versions, from a link to each chapter and its record."""
    records = list(records)
    profile = " and ".join(sorted({record["profile"] for _, record in records}))
    lines = [f"Profile: {profile}.", "", "| Chapter | Time | Peak memory | Executed | Commit |"]
    lines += ["| :-- | --: | --: | :-- | :-- |"]
    for link, record in records:
        minutes, seconds = divmod(round(record["seconds"]), 60)
        time = f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
        memory, commit = f"{record['peak_mb']} MB", record["commit"] or "–"
        lines += [f"| {link} | {time} | {memory} | {record['date']} | {commit} |"]
    versions = {("python", record["python"]) for _, record in records}
    versions |= {package for _, record in records for package in record["versions"].items()}
    lines += ["", "| Package | Version |", "| :-- | :-- |"]
    return "\n".join([*lines, *(f"| {name} | {number} |" for name, number in sorted(versions))])


def planted_table(links: Mapping[str, str], rows: Iterable[Mapping[str, str]]) -> str:
    """Table of errors planted in the helpers and what caught each, with links by chapter."""
    lines = ["| Chapter | Error | Caught by the test | Tried |", "| :-- | :-- | :-- | :-- |"]
    for row in rows:
        chapter, test = links.get(row["chapter"], row["chapter"]), row["caught by"]
        lines += [f"| {chapter} | {row['error']} | `{test}` | {row['date']} |"]
    return "\n".join(lines)
