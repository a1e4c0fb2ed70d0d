"""MyST Markdown without MyST: what a plain renderer would print raw becomes readable text.

Glued numbers are filled in, references get their numbers, citations their authors, and
directives become quotations. The book itself is rendered by Sphinx and needs none of this.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import nbformat
from pybtex.database import Entry, parse_file

from helpers.bookmaking.page import figure_of, name_folded

FENCE = re.compile(r"^(?P<mark>`{3,}|:{3,})(?P<name>\{[\w:-]+\}|\w*)\s*(?P<argument>.*)$")
ROLE = re.compile(r"\{([\w:]+)\}`([^`]+)`")
TARGETED = re.compile(r"^(?P<text>.*?)\s*<(?P<target>[^<>]+)>$", re.DOTALL)
CODE = re.compile(r"((?<!\{)(?<![\w}])`[^`]+`)")
LABEL = re.compile(r"^\(([\w:-]+)\)=\s*$", re.MULTILINE)
EQUATION = re.compile(r"\$\$(.+?)\$\$[ \t]*\(([\w:-]+)\)", re.DOTALL)
LOCAL_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)\s]+)\)")
UNSHOWN = {"bibliography", "contents", "tableofcontents"}
MISSING = "(not computed here)"


def with_plain_markdown(
    notebook: nbformat.NotebookNode, *, bibliography: Path
) -> nbformat.NotebookNode:
    """Return a copy whose Markdown any renderer can show, with a caption under each figure."""
    page = copy.deepcopy(notebook)
    roles = Roles(page, bibliography)
    cells = []
    for cell in page.cells:
        if cell.cell_type == "markdown":
            cell.source = plain_markdown(cell.source, roles)
        elif cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _scrap(output)]
            name_folded(cell)
        cells.append(cell)
        if figure := figure_of(cell):
            number = roles.figures[figure["name"]]
            caption = plain_markdown(figure.get("caption", ""), roles)
            anchor = f'<a id="{figure["name"]}"></a>'
            cells.append(nbformat.v4.new_markdown_cell(f"{anchor}**Figure {number}.** {caption}"))
    page.cells = cells
    return page


class Roles:
    """Text for each MyST role, given what a notebook published, drew and numbered."""

    def __init__(self, notebook: nbformat.NotebookNode, bibliography: Path) -> None:
        self.glued = dict(_glued(notebook))
        named = [figure["name"] for cell in notebook.cells if (figure := figure_of(cell))]
        self.figures = {name: number for number, name in enumerate(named, start=1)}
        labels = [
            match[2]
            for cell in notebook.cells
            if cell.cell_type == "markdown"
            for match in EQUATION.finditer(cell.source)
        ]
        self.equations = {label: number for number, label in enumerate(labels, start=1)}
        self.works = parse_file(bibliography).entries if bibliography.exists() else {}

    def __call__(self, role: str, content: str) -> str:
        """Readable text for one role."""
        targeted = TARGETED.match(content)
        text, target = targeted.groups() if targeted else (None, content)
        if role == "math":
            return f"${content}$"
        if role.startswith("glue"):
            key = content.rpartition("::")[2].partition(":")[0]
            return self.glued.get(key, MISSING)
        if role in ("numref", "ref") and target in self.figures:
            number = self.figures[target]
            text = (text or "Figure %s").replace("%s", str(number)).replace("{number}", str(number))
            return f"[{text}](#{target})"
        if role == "eq":
            return f"({self.equations.get(target, '?')})"
        if role.startswith("cite"):
            works = [self._cited(key.strip(), role) for key in content.split(",")]
            joined = "; ".join(works)
            return f"({joined})" if role == "cite:p" else joined
        return text or target.rpartition("/")[2].removesuffix(".md").removesuffix(".ipynb")

    def _cited(self, key: str, role: str) -> str:
        if key not in self.works:
            return key
        authors, year = (_authors(self.works[key]), self.works[key].fields.get("year", "n.d."))
        return f"{authors}, {year}" if role == "cite:p" else f"{authors} ({year})"


def plain_markdown(source: str, roles: Roles) -> str:
    """Rewrite MyST as Markdown, outside code.

    Examples
    --------
    >>> roles = Roles(nbformat.v4.new_notebook(), Path("none.bib"))
    >>> plain_markdown("A {term}`prior <prior distribution>` in `{code}`.", roles)
    'A prior in `{code}`.'
    >>> print(plain_markdown(":::{tip}\\nLook.\\n:::", roles))
    > **Tip**
    >
    > Look.
    """
    return "\n".join(_blocks(source.splitlines(), lambda text: _inline(text, roles)))


def _blocks(lines: list[str], inline: Callable[[str], str]) -> Iterator[str]:
    prose: list[str] = []
    position = 0
    while position < len(lines):
        fence = FENCE.match(lines[position])
        if not fence:
            prose.append(lines[position])
            position += 1
            continue
        yield from _flushed(prose, inline)
        end = _closing(lines, position, fence["mark"])
        yield from _fenced(fence, lines[position : end + 1], inline)
        position = end + 1
    yield from _flushed(prose, inline)


def _flushed(prose: list[str], inline: Callable[[str], str]) -> Iterator[str]:
    if prose:
        yield inline("\n".join(prose))
        prose.clear()


def _closing(lines: list[str], start: int, mark: str) -> int:
    for position in range(start + 1, len(lines)):
        line = lines[position].strip()
        if len(line) >= len(mark) and set(line) == {mark[0]}:
            return position
    return len(lines) - 1


def _fenced(fence: re.Match, lines: list[str], inline: Callable[[str], str]) -> Iterator[str]:
    name, body = fence["name"].strip("{}"), lines[1:-1]
    if not fence["name"].startswith("{") and fence["mark"][0] == "`":
        yield from lines  # ordinary code
        return
    options = len([*_options(body)])
    body = body[options:]
    if name == "math":
        yield from ["$$", *body, "$$"]
    elif name in ("code", "code-block"):
        yield from [f"```{fence['argument']}", *body, "```"]
    elif name not in UNSHOWN:
        title = name.partition(":")[0].capitalize()
        argument = fence["argument"].strip()
        if name in ("admonition", "dropdown", "exercise", "solution"):
            title = argument or title
        elif argument:
            body = [argument, *body]
        yield f"> **{inline(title)}**"
        yield ">"
        quoted = "\n".join(_blocks(body, inline)).splitlines()
        yield from (f"> {line}".rstrip() for line in quoted)


def _options(body: list[str]) -> Iterator[str]:
    for line in body:
        if not re.match(r"^:[\w-]+:", line):
            return
        yield line


def _inline(text: str, roles: Roles) -> str:
    text = "\n".join(line for line in text.splitlines() if not line.startswith(("% ", "+++")))
    text = LABEL.sub(r'<a id="\1"></a>', text)
    text = EQUATION.sub(lambda m: f"$${m[1]}\\tag{{{roles.equations[m[2]]}}}$$", text)
    text = ROLE.sub(lambda m: roles(m[1], m[2]), text)
    return LOCAL_LINK.sub(lambda m: m[1] or m[2], text)


def _glued(notebook: nbformat.NotebookNode) -> Iterator[tuple[str, str]]:
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if scrap := _scrap(output):
                text = output["data"][f"{scrap['mime_prefix']}text/plain"]
                yield scrap["name"], ast.literal_eval(text)


def _scrap(output: nbformat.NotebookNode) -> Mapping[str, str] | None:
    return output.get("metadata", {}).get("scrapbook")


def _authors(work: Entry) -> str:
    # BibTeX keeps a name that is not a person's together in braces.
    names = [" ".join(person.last_names).strip("{}") for person in work.persons.get("author", [])]
    if len(names) > 2:
        return f"{names[0]} et al."
    return " and ".join(names) or work.fields.get("title", "")
