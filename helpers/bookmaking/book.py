"""The book as files: its chapters, its profiles, and how files are read and written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat
import yaml

from helpers.bookmaking.errors import UsageError
from helpers.bookmaking.parameters import check_names, read_parameters, with_parameters

PROFILES = ("full", "smoke")


@dataclass(frozen=True)
class Book:
    """A checkout of the book."""

    root: Path

    @property
    def build_directory(self) -> Path:
        """Everything generated lives here."""
        return self.root / "_build"

    @cached_property
    def parts(self) -> dict[str, list[Path]]:
        """The notebooks in reading order, by the caption of their Part."""
        contents = yaml.safe_load((self.root / "_toc.yml").read_text())
        found = {}
        for part in contents.get("parts", [contents | {"caption": ""}]):
            files = [entry["file"] for entry in part["chapters"]]
            paths = [self.root / f"{f}.ipynb" for f in files if f.startswith("notebooks/")]
            if paths:
                found[part["caption"]] = paths
        return found

    @property
    def chapters(self) -> list[Path]:
        """The notebooks in reading order."""
        return [path for paths in self.parts.values() for path in paths]

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Numbers that the pages show, by name; the appendix has none."""
        contents = yaml.safe_load((self.root / "_toc.yml").read_text())
        numbered = {p["caption"] for p in contents.get("parts", []) if p.get("numbered")}
        chapters = [path for part in self.parts if part in numbered for path in self.parts[part]]
        return {path.stem: number for number, path in enumerate(chapters, start=1)}

    def chapter(self, name: str) -> Path:
        """Find one chapter by the number its page shows, or by a unique beginning of its name."""
        wanted = Path(name).name.removesuffix(".ipynb")
        if wanted.isdecimal():
            found = [p for p in self.chapters if self.numbers.get(p.stem) == int(wanted)]
        else:
            exact = [path for path in self.chapters if path.stem == wanted]
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
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def title(notebook: nbformat.NotebookNode) -> str:
    """First heading of a notebook."""
    texts = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    lines = (line for text in texts for line in text.splitlines())
    return next((line[2:].strip() for line in lines if line.startswith("# ")), "")


def parameterised(path: Path, values: dict[str, object]) -> nbformat.NotebookNode:
    """Read a chapter and put values into its parameters cell."""
    notebook = read_notebook(path)
    try:
        check_names(values, known=read_parameters(notebook))
    except UsageError as error:
        raise UsageError(f"{path.stem}: {error}") from None
    return with_parameters(notebook, values)
