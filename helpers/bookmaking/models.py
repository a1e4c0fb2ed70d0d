"""The page of models: what builds one, which chapter shows it, where it stands, what it is for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat

from helpers.bookmaking.closure import parsed

MARKER = "<!-- list of models -->"
NAMES = re.compile(r"\w+_model|build_\w+")
BUILDS = re.compile(r"(?:pm|pymc)\.Model|(?:\w+\.)*MMM|numpyro\.sample")


@dataclass(frozen=True)
class Model:
    """A public function or class of the helpers that builds a model."""

    name: str
    place: str
    line: int
    purpose: str


def models(root: Path) -> Iterator[Model]:
    """All of them, by their place; a private piece of the same module may do the building."""
    for path in sorted((root / "helpers").rglob("*.py")):
        if "bookmaking" not in path.parts:
            tree = ast.parse(path.read_text())
            nodes = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
            for name, node in nodes.items():
                if name.startswith("_"):
                    continue
                if NAMES.fullmatch(name) or builds(node, nodes):
                    purpose = (ast.get_docstring(node) or "").partition("\n\n")[0]
                    place = str(path.relative_to(root))
                    yield Model(name, place, node.lineno, " ".join(purpose.split()))


def builds(node: ast.AST, nodes: Mapping[str, ast.AST]) -> bool:
    """Whether a definition calls what makes a model, itself or in a private piece that it names."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and BUILDS.fullmatch(ast.unparse(inner.func)):
            return True
        if isinstance(inner, ast.Name) and inner.id.startswith("_"):
            others = {name: other for name, other in nodes.items() if name != inner.id}
            if inner.id in nodes and builds(nodes[inner.id], others):
                return True
    return False


def shown(notebook: nbformat.NotebookNode) -> set[str]:
    """Names that a chapter passes to `show`, of a method that of its class."""
    names = set()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            tree = parsed(cell.source)
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "show":
                    names |= {ast.unparse(one).partition(".")[0] for one in node.args}
    return names


def models_list(root: Path, links: Iterable[tuple[str, set[str]]]) -> str:
    """Markdown list of the models, with a link to each chapter that shows one."""
    links, entries = list(links), []
    for model in models(root):
        chapters = ", ".join(link for link, names in links if model.name in names)
        purpose = re.sub(r":\w+:(?=`)", "", model.purpose)
        shown = f"; shown in {chapters}" if chapters else ""
        entries += [
            f"`{model.name}`",
            f": {purpose}",
            f"  `{model.place}:{model.line}`{shown}.",
            "",
        ]
    return "\n".join(entries)
