"""Execute a chapter on the reader's own data, and write a report of one self-contained file."""

from __future__ import annotations

import csv
import io
import math
import os
import re
import tempfile
from base64 import b64encode
from itertools import chain
from pathlib import Path
from typing import Any

import nbformat
import nh3
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
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
    with_parameters,
    write_atomically,
)
from helpers.bookmaking.execute import execute_one, raise_for_failures
from helpers.bookmaking.myst import Myst, scrap_of
from helpers.bookmaking.page import figure_of
from helpers.notebook.answer import ANSWER
from helpers.notebook.claims import INTERVAL

#: What HTML of a kernel may hold: tables as pandas writes them, and sentences. All else is text.
TAGS = {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "p", "small", "br"}
ATTRIBUTES = {"th": {"scope", "colspan", "rowspan"}, "td": {"colspan", "rowspan"}}
MOST_ROWS = 40  # of the estimates; results.csv holds the rest


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
    bibliography = book.root / "book" / "references.bib"
    html = as_html(executed, data_name=data.name, notes=[], warnings=[], bibliography=bibliography)
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


def answer_of(executed: nbformat.NotebookNode) -> dict[str, Any] | None:
    """What a chapter's `own_answer` recorded, if it came so far."""
    outputs = chain.from_iterable(cell.get("outputs", []) for cell in executed.cells)
    found = (output.get("data", {}).get(ANSWER) for output in outputs)
    return next(filter(None, found), None)


def as_html(
    executed: nbformat.NotebookNode,
    *,
    data_name: str,
    notes: list[str],
    warnings: list[str],
    failure: str | None = None,
    bibliography: Path,
) -> str:
    """One HTML file: the answer first, then what tagged cells show; nothing of a failed run."""
    myst = Myst(executed, bibliography)
    answer = None if failure else answer_of(executed)

    def shown(tag: str) -> Markup:
        cells = [cell for cell in executed.cells if has_tag(cell, tag)]
        return Markup("\n").join(piece for cell in cells for piece in pieces(cell, myst))

    columns, rows = estimates(answer["results"]) if answer else ([], [])
    parameters = {"DATA_PATH": data_name}  # no folder of the reader's: it may be sent to somebody
    known = any(has_tag(cell, "parameters") for cell in executed.cells)
    code = with_parameters(executed, parameters) if known else executed
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=folder, autoescape=True, undefined=StrictUndefined)
    return environment.get_template("report.html.j2").render(
        answer=answer,
        chapter=title(executed),
        code=[
            cell.source
            for cell in code.cells
            if cell.cell_type == "code" and not has_tag(cell, "remove-cell")
        ],
        columns=columns,
        data_name=data_name,
        failure=failure,
        fit="" if failure else shown("report-fit"),
        heading=answer["question"] if answer else title(executed),
        left_out=max(0, len(rows) - MOST_ROWS),
        level=f"{INTERVAL:.0%}",
        method=shown("report-method"),
        notes=notes,
        picture="" if failure else shown("report-picture"),
        results="" if failure else shown("report-results"),
        rows=rows[:MOST_ROWS],
        warnings=list(dict.fromkeys([*warnings, *(answer["warnings"] if answer else [])])),
    )


def pieces(cell: nbformat.NotebookNode, myst: Myst) -> list[Markup]:
    """What a cell shows: the author's Markdown; pictures, tables and text of its outputs."""
    if cell.cell_type == "markdown":
        return [Markup(framed(myst.html(cell.source)))]
    found = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        mime = next((mime for mime in ("image/svg+xml", "image/png") if mime in data), None)
        if scrap_of(output) or ANSWER in data or output.get("name") == "stderr":
            continue
        if mime:
            svg = mime.endswith("xml")
            content = b64encode(data[mime].encode()).decode() if svg else data[mime].strip()
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            caption = Markup(myst.parser.renderInline(figure_of(cell).get("caption", "")))
            image = Markup('<figure><img src="data:{};base64,{}" alt="{}">')
            below = Markup("<figcaption>{}</figcaption>").format(caption) if caption else ""
            found.append(image.format(mime, content, alt) + below + Markup("</figure>"))
        elif "text/html" in data:
            clean = nh3.clean(data["text/html"], tags=TAGS, attributes=ATTRIBUTES)
            found.append(Markup(framed(re.sub(r"<td>(NaN|-?inf)</td>", "<td>–</td>", clean))))
        elif text := output.get("text") or data.get("text/markdown") or data.get("text/plain"):
            found.append(Markup("<pre>{}</pre>").format(text.strip()))
    return found


def framed(html: str) -> str:
    """Tables that scroll on a phone, and that the keyboard reaches."""
    frame = '<div class="table" role="group" tabindex="0" aria-label="Table"><table'
    return html.replace("<table", frame).replace("</table>", "</table></div>")


def estimates(results: str) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a record's results; columns that say nothing are left out."""
    heads, *rows = csv.reader(io.StringIO(results))
    rows = [[*row[:3], *map(rounded, row[3:])] for row in rows]
    used = [i for i in range(len(heads)) if i == 0 or any(row[i] for row in rows)]
    return [heads[i] for i in used], [[row[i] for i in used] for row in rows]


def rounded(text: str) -> str:
    """A number in three digits, or more before the point."""
    value = float(text or "nan")
    if not math.isfinite(value):
        return "–"
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(max(digits, 0), 8)}f}"
