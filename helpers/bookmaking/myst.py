"""MyST of one notebook as HTML, without Sphinx: glued numbers, references, citations, directives.

MyST's own parser reads the text. Its docutils renderer would not do: it knows neither glossary,
numbered references nor citations, and it cannot fold code.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, cast

import nbformat
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from pybtex.database import Entry, parse_file

from helpers.bookmaking.page import figure_of

EXTENSIONS = {"amsmath", "colon_fence", "deflist", "dollarmath"}
DIRECTIVE = re.compile(r"\{([\w:-]+)\}\s*(.*)")
OPTION = re.compile(r":[\w-]+:")
TARGETED = re.compile(r"(?P<text>.*?)\s*<(?P<target>[^<>]+)>", re.DOTALL)
UNSHOWN = {"bibliography", "contents", "tableofcontents"}
TITLED = {"admonition", "dropdown", "exercise", "solution"}
MISSING = "(not computed here)"
AROUND = {  # of tokens whose text needs no more
    "math_inline": "${}$",
    "math_block": "<p>$${}$$</p>\n",
    "amsmath": "<p>{}</p>\n",
    "myst_target": '<a id="{}"></a>\n',
    "myst_line_comment": "",
    "myst_block_break": "",
}


class Myst:
    """HTML of a notebook's MyST, given what the notebook published, drew and numbered."""

    def __init__(self, notebook: nbformat.NotebookNode, bibliography: Path) -> None:
        self.parser = create_md_parser(MdParserConfig(enable_extensions=EXTENSIONS), RendererHTML)
        self.renderer = cast(Any, self.parser.renderer)
        self.renderer.rules |= {name: partial(_around, html) for name, html in AROUND.items()} | {
            "myst_role": self._role,
            "math_block_label": self._numbered,
            "fence": self._fence,
            "colon_fence": self._fence,
            "link_open": self._link_open,
            "link_close": self._link_close,
        }
        self.glued = glued(notebook)
        named = [figure["name"] for cell in notebook.cells if (figure := figure_of(cell))]
        self.figures = {name: number for number, name in enumerate(named, start=1)}
        tokens = [
            token
            for cell in notebook.cells
            if cell.cell_type == "markdown"
            for token in self.parser.parse(cell.source)
        ]
        labels = [token.info for token in tokens if token.type == "math_block_label"]
        self.equations = {label: number for number, label in enumerate(labels, start=1)}
        self.works = parse_file(bibliography).entries if bibliography.exists() else {}

    def html(self, text: str) -> str:
        """HTML of a text."""
        return self.parser.render(text)

    def role(self, name: str, content: str) -> str:
        """HTML of a role."""
        targeted = TARGETED.fullmatch(content)
        text, target = targeted.groups() if targeted else (None, content)
        if name == "math":
            return f"${escape(content)}$"
        if name.startswith("glue"):
            return escape(self.glued.get(content.rpartition("::")[2].partition(":")[0], MISSING))
        if name in ("numref", "ref") and target in self.figures:
            number = str(self.figures[target])
            shown = (text or "Figure %s").replace("%s", number).replace("{number}", number)
            return f'<a href="#{target}">{escape(shown)}</a>'
        if name == "eq":
            return f"({self.equations.get(target, '?')})"
        if name.startswith("cite"):
            works = "; ".join(self._cited(key.strip(), name) for key in content.split(","))
            return escape(f"({works})" if name == "cite:p" else works)
        place = target.rpartition("/")[2].removesuffix(".md").removesuffix(".ipynb")
        return escape(text or place)

    def directive(self, name: str, argument: str, content: str) -> str:
        """HTML of a directive: a quotation under its title, or what is in it."""
        lines = content.splitlines()
        while lines and OPTION.match(lines[0]):
            del lines[0]
        body = "\n".join(lines)
        if name == "math":
            return f"<p>$${escape(body)}$$</p>\n"
        if name in ("code", "code-block"):
            return f"<pre><code>{escape(body)}</code></pre>\n"
        if name in UNSHOWN:
            return ""
        title = argument if argument and name in TITLED else name.partition(":")[0].capitalize()
        shown = body if name in TITLED else f"{argument}\n{body}"
        heading = self.parser.renderInline(title)
        return f"<blockquote><p><strong>{heading}</strong></p>\n{self.html(shown)}</blockquote>\n"

    def _cited(self, key: str, role: str) -> str:
        if key not in self.works:
            return key
        authors, year = _authors(self.works[key]), self.works[key].fields.get("year", "n.d.")
        return f"{authors}, {year}" if role == "cite:p" else f"{authors} ({year})"

    def _role(self, tokens, idx, options, env):
        return self.role(tokens[idx].meta["name"], tokens[idx].content)

    def _numbered(self, tokens, idx, options, env):
        number = self.equations.get(tokens[idx].info)
        return f"<p>$${escape(tokens[idx].content)}\\tag{{{number}}}$$</p>\n"

    def _fence(self, tokens, idx, options, env):
        if found := DIRECTIVE.fullmatch(tokens[idx].info.strip()):
            return self.directive(found[1], found[2], tokens[idx].content)
        return self.renderer.fence(tokens, idx, options, env)

    def _link_open(self, tokens, idx, options, env):
        address = tokens[idx].attrGet("href")
        outside = address.startswith(("http:", "https:", "mailto:", "#"))
        env["links"] = [*env.get("links", []), outside]
        if outside:
            return self.renderer.renderToken(tokens, idx, options, env)
        return escape(address) if tokens[idx + 1].type == "link_close" else ""

    def _link_close(self, tokens, idx, options, env):
        return "</a>" if env["links"].pop() else ""


def _around(html, tokens, idx, options, env):
    return html.format(escape(tokens[idx].content))


def glued(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """What a notebook published to its prose, by key."""
    found = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if scrap := scrap_of(output):
                text = output["data"][f"{scrap['mime_prefix']}text/plain"]
                found[scrap["name"]] = ast.literal_eval(text)
    return found


def scrap_of(output: nbformat.NotebookNode) -> Mapping[str, str] | None:
    """What an output publishes to the prose, if that is what it is for."""
    return output.get("metadata", {}).get("scrapbook")


def _authors(work: Entry) -> str:
    # BibTeX keeps a name that is not a person's together in braces.
    names = [" ".join(person.last_names).strip("{}") for person in work.persons.get("author", [])]
    if len(names) > 2:
        return f"{names[0]} et al."
    return " and ".join(names) or work.fields.get("title", "")
