"""The list of models: what builds one, where it stands, what it is for, which chapter shows it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import nbformat

from helpers.bookmaking.closure import code_of, parsed

NAMES = re.compile(r"\w+_model|build_\w+")
BUILDS = re.compile(r"(?:pm|pymc)\.Model|(?:\w+\.)*MMM|numpyro\.sample")


def models(root: Path) -> Iterator[tuple[str, str, str]]:
    """Name, place and purpose of each public definition in the helpers that builds a model."""
    for path in sorted((root / "helpers").rglob("*.py")):
        tree = ast.parse(path.read_text())
        nodes = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        for name, node in nodes.items():
            if name[0] != "_" and (NAMES.fullmatch(name) or builds(node, nodes)):
                purpose = (ast.get_docstring(node) or "").partition("\n\n")[0]
                yield name, f"{path.relative_to(root)}:{node.lineno}", " ".join(purpose.split())


def builds(node: ast.AST, nodes: Mapping[str, ast.AST]) -> bool:
    """Whether a definition calls what makes a model, itself or in a private piece that it names."""
    inner = list(ast.walk(node))
    called = (ast.unparse(one.func) for one in inner if isinstance(one, ast.Call))
    named = {one.id for one in inner if isinstance(one, ast.Name) and one.id.startswith("_")}
    others = {name: other for name, other in nodes.items() if name not in named}
    pieces = [nodes[name] for name in named & nodes.keys()]
    return any(map(BUILDS.fullmatch, called)) or any(builds(piece, others) for piece in pieces)


def shown(notebook: nbformat.NotebookNode) -> set[str]:
    """Names that a chapter passes to `show`, of a method that of its class."""
    nodes = (node for source in code_of(notebook) for node in ast.walk(parsed(source)))
    calls = (node for node in nodes if isinstance(node, ast.Call))
    shows = (call for call in calls if ast.unparse(call.func) == "show")
    return {ast.unparse(one).partition(".")[0] for call in shows for one in call.args}


def models_list(root: Path, links: Mapping[str, Iterable[str]]) -> str:
    """Markdown list of the models; `links` has the names shown, by the link to a chapter."""
    entries = []
    for name, place, purpose in models(root):
        chapters = ", ".join(link for link, names in links.items() if name in names)
        where = f"`{place}`; shown in {chapters}" if chapters else f"`{place}`"
        purpose = re.sub(r":\w+:(?=`)", "", purpose)
        entries.append(f"`{name}`\n: {purpose}\n  {where}.\n")
    return "\n".join(entries)
