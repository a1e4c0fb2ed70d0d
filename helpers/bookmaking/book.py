"""The book as files: its chapters and profiles, and notebooks with their parameters."""

from __future__ import annotations

import ast
import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat
import yaml
from papermill.translators import PythonTranslator

PROFILES = ("full", "smoke")


class BuildError(Exception):
    """A notebook or a page failed (exit code 1)."""


class UsageError(Exception):
    """The command asks for what does not exist (exit code 2)."""


@dataclass(frozen=True)
class Book:
    """A checkout of the book."""

    root: Path
    elsewhere: Path | None = None  # where a checkout cannot be written to

    @property
    def build_directory(self) -> Path:
        """Everything generated lives here."""
        return self.elsewhere or self.root / "_build"

    @cached_property
    def parts(self) -> list[tuple[dict[str, Any], list[Path]]]:
        """Parts of the table of contents in reading order, each with its notebooks."""
        found = []
        for part in yaml.safe_load((self.root / "_toc.yml").read_text("utf-8"))["parts"]:
            files = [entry["file"] for entry in part["chapters"]]
            notebooks = [self.root / f"{f}.ipynb" for f in files if f.startswith("notebooks/")]
            found.append((part, notebooks))
        return found

    @property
    def chapters(self) -> list[Path]:
        """The notebooks in reading order."""
        return [path for _, paths in self.parts for path in paths]

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Numbers that the pages show, by name; the appendix has none."""
        numbered = [p for part, paths in self.parts if part.get("numbered") for p in paths]
        return {path.stem: number for number, path in enumerate(numbered, start=1)}

    def chapter(self, name: str) -> Path:
        """Find one chapter by the number its page shows, or by a unique beginning of its name."""
        wanted = Path(name).name.removesuffix(".ipynb")
        number = int(wanted) if wanted.isdecimal() else 0  # they start at 1
        exact = [p for p in self.chapters if p.stem == wanted or self.numbers.get(p.stem) == number]
        found = exact or [path for path in self.chapters if path.stem.startswith(wanted)]
        if len(found) != 1:
            problem = "could be several chapters" if found else "is no chapter; there are"
            listed = "".join(f"\n  {self.listed(path)}" for path in found or self.chapters)
            raise UsageError(f"{name} {problem}:{listed}")
        return found[0]

    def listed(self, path: Path) -> str:
        """Number and name of a chapter, as the command line takes them."""
        return f"{self.numbers.get(path.stem, ''):>2} {path.stem}"

    def overrides(self, profile: str) -> dict[str, dict[str, object]]:
        """Parameters that a profile changes, by chapter; the full profile changes none."""
        if profile not in PROFILES:
            raise UsageError(f"{profile} is no profile; there are: {', '.join(PROFILES)}")
        path = self.root / "notebooks" / "profiles.yml"
        profiles = yaml.safe_load(path.read_text()) if path.exists() else {}
        overrides = profiles.get(profile) or {}
        if unknown := overrides.keys() - {path.stem for path in self.chapters}:
            raise UsageError(f"{path}: no chapter {', '.join(sorted(unknown))}")
        return overrides


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """Read a notebook in the one format version that the book uses."""
    return nbformat.read(path, as_version=4)


def write_atomically(path: Path, text: str) -> None:
    """Write so that the file is either the old one or the whole new one."""
    write_together({path: text})


def write_together(texts: Mapping[Path, str]) -> None:
    """Write files so that either all are the old ones or all the whole new ones."""
    parts = {path: path.with_name(f".{path.name}.{os.getpid()}.part") for path in texts}
    try:
        for path, part in parts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(texts[path], encoding="utf-8")
        for path, part in parts.items():
            os.replace(part, path)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def title(notebook: nbformat.NotebookNode) -> str:
    """First heading of a notebook."""
    texts = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    lines = (line for text in texts for line in text.splitlines())
    return next((line[2:].strip() for line in lines if line.startswith("# ")), "")


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


def parameterised(path: Path, values: Mapping[str, Any]) -> nbformat.NotebookNode:
    """Read a chapter and put values into its parameters cell; papermill only logs unknown names."""
    notebook = read_notebook(path)
    known = read_parameters(notebook)
    if unknown := [name for name in values if name not in known]:
        listed = "".join(f"\n  {name} = {ast.unparse(value)}" for name, value in known.items())
        raise UsageError(f"{path.stem}: no parameter {', '.join(unknown)}; there are:{listed}")
    return with_parameters(notebook, values)


def with_parameters(
    notebook: nbformat.NotebookNode, values: Mapping[str, Any]
) -> nbformat.NotebookNode:
    """Copy with values in the parameters cell itself, so that a page shows what ran."""
    changed = copy.deepcopy(notebook)
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
