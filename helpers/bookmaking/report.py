"""Execute a chapter on the reader's own data, and write a report of one self-contained file."""

from __future__ import annotations

import logging
import os
import tempfile
from html import escape
from importlib.util import find_spec
from pathlib import Path

import nbformat
from jinja2 import DictLoader
from nbconvert import HTMLExporter
from nbformat.v4 import new_markdown_cell

from helpers.bookmaking.book import Book, parameterised, read_notebook, title, write_atomically
from helpers.bookmaking.errors import BuildError, UsageError
from helpers.bookmaking.execute import execute_one, raise_for_failures
from helpers.bookmaking.parameters import has_tag, parse_assignments, read_parameters
from helpers.bookmaking.plain_markdown import with_plain_markdown

# Images carry the author's alternative text, code that the book hides is folded, and mathematics
# is typeset by a script inside the page.
TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}
<script>window.MathJax = {
  tex: {inlineMath: [['$', '$']], processEscapes: true},
  startup: {elements: ['.jp-MarkdownOutput']}
};</script>
<script>{{ resources.mathjax }}</script>
{%- endblock -%}
{%- block html_head_css -%}
<style>
.highlight pre { font-family: monospace }
main { max-width: 56rem; margin: auto; }
.jp-RenderedSVG img, .jp-RenderedImage img { max-width: 100%; }
summary { color: #595959; margin-left: var(--jp-cell-prompt-width); }
</style>
{%- endblock -%}
{%- block input_group scoped -%}
{%- set tags = cell.metadata.get('tags', []) -%}
{%- if 'hide-input' in tags or 'hide-cell' in tags -%}
<details><summary>Show the code</summary>{{ super() }}</details>
{%- else -%}{{ super() }}{%- endif -%}
{%- endblock -%}
{%- block output_group scoped -%}
{%- set tags = cell.metadata.get('tags', []) -%}
{%- if 'hide-output' in tags or 'hide-cell' in tags -%}
<details><summary>Show the output</summary>{{ super() }}</details>
{%- else -%}{{ super() }}{%- endif -%}
{%- endblock -%}
{%- macro image(mime, data, cell) -%}
<div class="jp-RenderedImage jp-OutputArea-output">
<img src="data:{{ mime }};base64,{{ data }}"
  alt="{{ cell.metadata.get('mystnb', {}).get('image', {}).get('alt', '') | escape_html }}">
</div>
{%- endmacro -%}
{%- block data_svg scoped -%}
{{ image('image/svg+xml', output.data['image/svg+xml'] | text_base64, cell) }}
{%- endblock -%}
{%- block data_png scoped -%}
{{ image('image/png', output.data['image/png'], cell) }}
{%- endblock -%}
"""


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
        result = execute_one(
            book, chapter.stem, notebook, target, about={}, scratch=Path(scratch) / "work"
        )
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
    if not existing.is_dir():
        raise UsageError(f"{existing} is not a directory")
    if not os.access(existing, os.W_OK):
        raise UsageError(f"{existing} is not writable")


def as_html(notebook: nbformat.NotebookNode, *, bibliography: Path) -> str:
    """One HTML file with its images, styles and mathematics inside."""
    page = with_plain_markdown(notebook, bibliography=bibliography)
    page.metadata["title"] = title(page)
    exporter = HTMLExporter(
        template_file="report.html.j2",
        extra_loaders=[DictLoader({"report.html.j2": TEMPLATE})],
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    exporter.log.setLevel(logging.ERROR)
    html, _ = exporter.from_notebook_node(page, {"mathjax": mathjax()})
    return html


def mathjax() -> str:
    """Return MathJax as one script with its glyphs inside."""
    package = Path(find_spec("sphinx-mathjax-offline").origin).parent
    return (package / "static" / "mathjax" / "tex-svg.js").read_text(encoding="utf-8")
