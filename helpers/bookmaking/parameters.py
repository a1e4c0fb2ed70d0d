"""The parameters cell: read it, check names against it, write values into it."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Mapping
from typing import Any

import nbformat
import yaml
from papermill.translators import PythonTranslator

from helpers.bookmaking.errors import UsageError


def has_tag(cell: nbformat.NotebookNode, tag: str) -> bool:
    """Whether a cell carries a tag."""
    return tag in cell.metadata.get("tags", [])


def parameters_cell(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return the one cell tagged `parameters`."""
    cells = [cell for cell in notebook.cells if has_tag(cell, "parameters")]
    if len(cells) != 1:
        raise UsageError(f"{len(cells)} cells are tagged parameters, there must be one")
    return cells[0]


def read_parameters(notebook: nbformat.NotebookNode) -> dict[str, ast.expr]:
    """Names and defaults, in the order of the cell."""
    return {
        statement.targets[0].id: statement.value
        for statement in ast.parse(parameters_cell(notebook).source).body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }


def check_names(names: Iterable[str], *, known: Mapping[str, Any]) -> None:
    """Refuse a parameter that a chapter does not have (papermill would only log it)."""
    if unknown := [name for name in names if name not in known]:
        listed = "".join(f"\n  {name} = {ast.unparse(value)}" for name, value in known.items())
        raise UsageError(f"no parameter {', '.join(unknown)}; there are:{listed}")


def with_parameters(
    notebook: nbformat.NotebookNode, values: Mapping[str, Any]
) -> nbformat.NotebookNode:
    """Copy with values in the parameters cell itself, so that a page shows what ran."""
    changed = copy.deepcopy(notebook)
    if not values:
        return changed
    cell = parameters_cell(changed)
    lines = cell.source.encode().splitlines(keepends=True)  # ast counts columns in bytes
    for name, old in reversed(read_parameters(changed).items()):
        if name in values:
            new = PythonTranslator.translate(values[name]).encode()
            first, last = old.lineno - 1, (old.end_lineno or old.lineno) - 1
            line = lines[first][: old.col_offset] + new + lines[last][old.end_col_offset :]
            lines[first : last + 1] = [line]
    cell.source = b"".join(lines).decode()
    return changed


def parse_assignments(texts: Iterable[str]) -> dict[str, Any]:
    """Parse `NAME=VALUE` texts; values are YAML, and dates stay text."""
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (equals and name.isidentifier()):
            raise UsageError(f"{text} is not NAME=VALUE")
        try:
            values[name] = yaml.load(value, Loader=_DatesAsText)
        except yaml.YAMLError as error:
            raise UsageError(f"{text}: {error}") from None
    return values


class _DatesAsText(yaml.SafeLoader):
    yaml_implicit_resolvers = {
        letter: [(tag, rule) for tag, rule in rules if not tag.endswith(":timestamp")]
        for letter, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
