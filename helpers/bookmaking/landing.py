"""The cards of the landing page: each chapter's picture, question and answer, by Part."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import nbformat

from helpers.bookmaking.book import Book, title
from helpers.bookmaking.page import answers

MARKER = "<!-- chapter cards -->"
QUESTION = re.compile(r"^\*\*(.+\?)\*\*$", re.MULTILINE)
SUFFIXES = {"image/svg+xml": "svg", "image/png": "png"}


def cards(book: Book, chapters: Mapping[Path, nbformat.NotebookNode], pages: Path) -> str:
    """Markdown of the cards of chapters, given by their place; pictures go below `pages`."""
    lines: list[str] = []
    for caption, paths in book.parts.items():
        places = [path.relative_to(book.root) for path in paths]
        shown = [place for place in places if place in chapters]
        lines += [f"### {caption}", "", "`````{grid} 1 1 2 2", ":gutter: 3", ""] if shown else []
        for place in shown:
            lines += [*card(place, chapters[place], pages), ""]
        lines += ["`````", ""] if shown else []
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
    if "answer" in published(page):
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


def published(page: nbformat.NotebookNode) -> set[str]:
    """Keys of what a chapter published to its prose."""
    outputs = (output for cell in page.cells for output in cell.get("outputs", []))
    scraps = (output.get("metadata", {}).get("scrapbook") for output in outputs)
    return {scrap["name"] for scrap in scraps if scrap}
