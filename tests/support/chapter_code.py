"""What a chapter defines for itself, for tests of it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import nbformat

from helpers.bookmaking.book import Book
from helpers.bookmaking.closure import code_of, parsed

ROOT = Path(__file__).parents[2]


def from_chapter(chapter: str, *names: str) -> list[Any]:
    """Functions of a chapter's cells, with its imports and nothing else that it runs."""
    notebook = nbformat.read(Book(ROOT).chapter(chapter), as_version=4)
    body = [node for source in code_of(notebook) for node in parsed(source).body]
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    functions = [node for node in body if getattr(node, "name", None) in names]
    module = ast.Module([*imports, *functions], type_ignores=[])
    found: dict[str, Any] = {}
    exec(compile(module, chapter, "exec"), found)
    return [found[name] for name in names]
