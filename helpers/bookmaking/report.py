"""A report on the reader's own data: one self-contained file."""

from __future__ import annotations

import csv
import io
import math
import re
from base64 import b64encode
from itertools import chain
from pathlib import Path
from typing import Any

import nbformat
import nh3
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from helpers.bookmaking.book import has_tag, title, with_parameters
from helpers.bookmaking.myst import Myst, scrap_of
from helpers.bookmaking.page import figure_of
from helpers.notebook.answer import ANSWER, figures
from helpers.notebook.claims import INTERVAL

#: What HTML of a kernel may hold: tables as pandas writes them, and sentences. All else is text.
TAGS = {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "p", "small", "br"}
ATTRIBUTES = {"th": {"scope", "colspan", "rowspan"}, "td": {"colspan", "rowspan"}}
MOST_ROWS = 40  # of the estimates; results.csv holds the rest


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
        file=shown("report-file"),
        fit="" if failure else shown("report-fit"),
        heading=answer["question"] if answer else title(executed),
        left_out=max(0, len(rows) - MOST_ROWS),
        level=f"{INTERVAL:.0%}",
        method=Markup(re.sub("^<h3>.*?</h3>", "", shown("report-method"))),
        notes=notes,
        picture="" if failure else shown("report-picture"),
        results="" if failure else shown("report-results"),
        rows=rows[:MOST_ROWS],
        warnings=list(dict.fromkeys([*warnings, *(answer["warnings"] if answer else [])])),
    )


def pieces(cell: nbformat.NotebookNode, myst: Myst) -> list[Markup]:
    """What a cell shows: the author's Markdown; pictures, tables and text of its outputs."""
    if cell.cell_type == "markdown":
        return [Markup(framed(myst.html(cell.source), " words"))]
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


def framed(html: str, kind: str = "") -> str:
    """Tables that scroll on a phone, and that the keyboard reaches."""
    frame = f'<div class="table{kind}" role="group" tabindex="0" aria-label="Table"><table'
    return html.replace("<table", frame).replace("</table>", "</table></div>")


def estimates(results: str) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a record's results; columns that say nothing are left out."""
    heads, *rows = csv.reader(io.StringIO(results))
    values = [[float(text or "nan") for text in row[3:]] for row in rows]
    shown = [[figures(v) if math.isfinite(v) else "–" for v in row] for row in values]
    rows = [[*row[:3], *numbers] for row, numbers in zip(rows, shown, strict=True)]
    used = [i for i in range(len(heads)) if i == 0 or any(row[i] for row in rows)]
    return [heads[i] for i in used], [[row[i] for i in used] for row in rows]
