"""What a notebook's code imports of `helpers`, directly or through what it imports."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager

MODULE = re.compile(r"helpers(?:\.\w+)*")


def code_of(notebook: nbformat.NotebookNode) -> list[str]:
    """Sources of the code cells."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def parsed(source: str) -> ast.Module:
    """Syntax tree of a cell, magics included."""
    return ast.parse(TransformerManager().transform_cell(source))


def imported(root: Path, cells: Iterable[str]) -> list[Path]:
    """Files of the modules that cells import, those that these import, and so on, in order.

    Imports inside functions count, and so do modules named in a string, for some are started as
    processes. The packages that a module lies in are run too.
    """
    waiting = {name for source in cells for name in modules_named(parsed(source), "")}
    files: dict[str, Path] = {}
    while waiting:
        name = waiting.pop()
        if name in files or not (path := file_of(root, name)):
            continue
        files[name] = path
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        waiting |= {*_named_in(path.read_text(), package), name.rpartition(".")[0]}
    return sorted(files.values())


@cache  # chapters share most modules
def _named_in(source: str, package: str) -> frozenset[str]:
    return frozenset(modules_named(ast.parse(source), package))


def modules_named(tree: ast.AST, package: str) -> Iterator[str]:
    """Dotted names that may be modules of `helpers`; `package` resolves relative imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            name = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            yield from (name, *(f"{name}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Constant) and MODULE.fullmatch(str(node.value)):
            yield str(node.value)


def file_of(root: Path, name: str) -> Path | None:
    """File of a module of `helpers`; none for any other name."""
    if not MODULE.fullmatch(name):
        return None
    path = root.joinpath(*name.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)
