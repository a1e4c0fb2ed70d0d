"""What the helpers must be as text; a check takes a checkout and returns its problems."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from helpers.bookmaking.book import Book, read_notebook
from helpers.bookmaking.closure import code_of, file_of, parsed
from helpers.bookmaking.models import models, shown

DEFINITIONS = (ast.FunctionDef, ast.ClassDef)


def models_are_shown(root: Path) -> list[str]:
    """Each public model of the helpers is shown by a chapter, where its code is in view."""
    seen = set().union(*(shown(read_notebook(path)) for path in Book(root).chapters))
    found = ((name, place.partition(":")[0]) for name, place, _ in models(root))
    return [f"{file}: no chapter shows {name}" for name, file in found if name not in seen]


def what_chapters_import_is_described(root: Path) -> list[str]:
    """What a chapter imports says what it takes and what it returns."""
    problems = {}
    for path in Book(root).chapters:
        for source in code_of(read_notebook(path)):
            for module, name in imported_names(parsed(source)):
                file = file_of(root, module)
                node = definitions(file).get(name) if file else None
                if node and (missing := undescribed(node)):
                    place = f"{file.relative_to(root)}: {name}"
                    problems[place] = f"{place} has no {' and no '.join(missing)} in its docstring"
    return sorted(problems.values())


def imported_names(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Pairs of module and name that code imports of `helpers`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("helpers"):
            yield from ((node.module, alias.name) for alias in node.names)


def definitions(file: Path) -> dict[str, ast.FunctionDef | ast.ClassDef]:
    """Functions and classes of a module, by name."""
    body = ast.parse(file.read_text()).body
    return {node.name: node for node in body if isinstance(node, DEFINITIONS)}


def undescribed(node: ast.FunctionDef | ast.ClassDef) -> list[str]:
    """Sections that a docstring lacks."""
    text = ast.get_docstring(node) or ""
    if isinstance(node, ast.ClassDef):
        if any("Error" in ast.unparse(base) for base in node.bases):
            return []
        fields = any(isinstance(inner, ast.AnnAssign) for inner in node.body)
        takes = any(getattr(inner, "name", "") == "__init__" for inner in node.body)
        described = "Attributes\n--" in text or "Parameters\n--" in text
        return [] if described or not (fields or takes) else ["Attributes"]
    a = node.args
    missing = []
    if [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg] != [None, None]:
        missing += [] if "Parameters\n--" in text else ["Parameters"]
    if gives(node):
        missing += [] if "Returns\n--" in text or "Yields\n--" in text else ["Returns"]
    return missing


def gives(node: ast.FunctionDef) -> bool:
    """Whether a function returns something."""
    if node.returns is not None:
        return ast.unparse(node.returns) not in ("None", "NoReturn")
    return any(isinstance(inner, ast.Return) and inner.value for inner in ast.walk(node))


def public_names_have_users(root: Path) -> list[str]:
    """Each public name is used outside its module, by more than its own unit test."""
    used = {path: names_in(ast.parse(path.read_text())) for path in python_files(root)}
    for path in Book(root).chapters:
        cells = map(parsed, code_of(read_notebook(path)))
        used[path] = set().union(*(names_in(tree) for tree in cells))
    problems = []
    for path in sorted((root / "helpers").rglob("*.py")):
        if "bookmaking" in path.parts:
            continue
        own = root / "tests" / "unit" / path.parent.name / f"test_{path.name}"
        elsewhere = set().union(*(names for p, names in used.items() if p not in (path, own)))
        problems += [
            f"{path.relative_to(root)}: {name} has no user outside its module and its own test"
            for name in sorted(public_names(path) - elsewhere)
        ]
    return problems


def python_files(root: Path) -> Iterator[Path]:
    """Modules of the helpers and of the tests."""
    yield from (root / "helpers").rglob("*.py")
    yield from (root / "tests").rglob("*.py")


def public_names(file: Path) -> set[str]:
    """Functions and classes that a module defines for others, but for the types of what it gives.

    What a public function takes or returns is public with it, even where nobody writes its name.
    """
    found = definitions(file)
    public = {name for name in found if not name.startswith("_")} - {"main"}
    notes = [
        note
        for name in public
        for node in ast.walk(found[name])
        for note in (getattr(node, "returns", None), getattr(node, "annotation", None))
        if note is not None
    ]
    return public - set().union(*map(names_in, notes))


def names_in(tree: ast.AST) -> set[str]:
    """Every name, attribute and imported name of some code."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.name for alias in node.names}
    return names


CHECKS = (models_are_shown, what_chapters_import_is_described, public_names_have_users)
