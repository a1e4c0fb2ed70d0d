"""What a chapter defines for itself, for tests of it."""

from __future__ import annotations

import ast
from typing import Any

from helpers.bookmaking.book import Book, read_notebook
from helpers.bookmaking.cli import CHECKOUT
from helpers.bookmaking.closure import code_of, parsed


def from_chapter(chapter: str, *names: str) -> list[Any]:
    """Functions of a chapter's cells, with its imports and nothing else that it runs."""
    cells = code_of(read_notebook(Book(CHECKOUT).chapter(chapter)))
    body = [node for source in cells for node in parsed(source).body]
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    functions = [node for node in body if getattr(node, "name", None) in names]
    module = ast.Module([*imports, *functions], type_ignores=[])
    found: dict[str, Any] = {"__name__": "chapter"}
    exec(compile(module, chapter, "exec", dont_inherit=True), found)
    return [found[name] for name in names]
