"""MyST of a report's prose as HTML, without Sphinx: words, tables, numbers from code, links.

MyST's own parser reads the text. Its docutils renderer would not do: it knows neither glossary
nor citations, and links to chapters of the book would lead nowhere.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import partial
from html import escape
from itertools import chain
from pathlib import Path
from typing import Any, cast

import nbformat
import yaml
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from pybtex.database import Entry, parse_file

from helpers.bookmaking.book import read_notebook, title

TARGETED = re.compile(r"(?P<text>.*?)\s*<(?P<target>[^<>]+)>", re.DOTALL)
PAGE = re.compile(r"(?:.*/)?([\w-]+\.(?:ipynb|md))(#[\w-]+)?")
MISSING = "(not computed here)"
AROUND = {  # of tokens whose text needs no more; formulas stay as they were typed
    "math_inline": "<code>{}</code>",
    "math_block": "<pre>{}</pre>\n",
    "myst_target": "",
    "myst_line_comment": "",
    "myst_block_break": "",
    "heading_open": "<h3>",  # below those of the report, whatever the chapter has
    "heading_close": "</h3>\n",
}


class Myst:
    """HTML of a notebook's MyST, given what the notebook published."""

    def __init__(self, notebook: nbformat.NotebookNode, bibliography: Path) -> None:
        extensions = MdParserConfig(enable_extensions={"dollarmath"})
        self.parser = create_md_parser(extensions, RendererHTML)
        self.renderer = cast(Any, self.parser.renderer)
        self.renderer.rules |= {name: partial(_around, html) for name, html in AROUND.items()} | {
            "myst_role": self._role,
            "link_open": self._link_open,
            "link_close": self._link_close,
        }
        self.glued = glued(notebook)
        self.root = bibliography.parent.parent
        self.works = parse_file(bibliography).entries if bibliography.exists() else {}

    def html(self, text: str) -> str:
        """HTML of a text."""
        return self.parser.render(text)

    def role(self, name: str, content: str) -> str:
        """HTML of a role."""
        targeted = TARGETED.fullmatch(content)
        text, target = targeted.groups() if targeted else (None, content)
        if name.startswith("glue"):
            return escape(self.glued.get(content.rpartition("::")[2].partition(":")[0], MISSING))
        if name.startswith("cite"):
            works = "; ".join(self._cited(key.strip(), name) for key in content.split(","))
            return escape(f"({works})" if name == "cite:p" else works)
        place = target.rpartition("/")[2].removesuffix(".md").removesuffix(".ipynb")
        return escape(text or place)

    def page(self, address: str) -> tuple[str, str]:
        """Published address and title of a page of the book, by the path that a chapter links."""
        found = PAGE.fullmatch(address)
        pages = [self.root.glob(f"{room}/{found[1]}") for room in ("book", "notebooks/*") if found]
        if not found or not (path := next(chain(*pages), None)):
            return "", address
        base = yaml.safe_load((self.root / "_config.yml").read_text())["sphinx"]["config"]
        local = path.relative_to(self.root).with_suffix(".html").as_posix()
        named = title(read_notebook(path)) if path.suffix == ".ipynb" else path.stem
        return f"{base['html_baseurl']}{local}{found[2] or ''}", named

    def _cited(self, key: str, role: str) -> str:
        if key not in self.works:
            return key
        authors, year = _authors(self.works[key]), self.works[key].fields.get("year", "n.d.")
        return f"{authors}, {year}" if role == "cite:p" else f"{authors} ({year})"

    def _role(self, tokens, idx, options, env):
        return self.role(tokens[idx].meta["name"], tokens[idx].content)

    def _link_open(self, tokens, idx, options, env):
        address = tokens[idx].attrGet("href")
        named = ""
        if not address.startswith(("http:", "https:", "mailto:", "#")):
            address, named = self.page(address)
        env["links"] = [*env.get("links", []), bool(address)]
        shown = escape(named) if tokens[idx + 1].type == "link_close" else ""
        return (f'<a href="{escape(address)}">' if address else "") + shown

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
