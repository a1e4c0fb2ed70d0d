"""Show a model where it is used: its source, and its table of priors."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from IPython.display import display


def show(*functions: Callable) -> None:
    """Show the source of functions or classes without docstrings, and the private pieces called.

    Parameters
    ----------
    *functions : callable
        Functions or classes of `helpers`. Private ones of the same module that they call follow.
    """
    pieces: dict[str, str] = {}
    waiting = list(functions)
    while waiting:
        piece = waiting.pop(0)
        if piece.__qualname__ not in pieces:
            pieces[piece.__qualname__] = _source_of(piece)
            waiting[:0] = _private_pieces(piece)
    display(_Source("\n\n\n".join(pieces.values())))


class _Source(str):
    """Python code that is highlighted where Markdown is rendered."""

    def __repr__(self) -> str:
        return str(self)

    def _repr_markdown_(self) -> str:
        return f"```python\n{self}\n```"


def without_docstrings(source: str) -> str:
    """Python source without its docstrings; comments stay."""
    dropped: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef):
            continue
        if ast.get_docstring(node) is not None:
            first = node.body[0]
            dropped.update(range(first.lineno - 1, first.end_lineno or first.lineno))
    lines = enumerate(source.splitlines())
    return "\n".join(line for i, line in lines if i not in dropped).strip("\n")


def _source_of(piece: Callable) -> str:
    return without_docstrings(textwrap.dedent(inspect.getsource(piece)))


def _private_pieces(piece: Callable) -> list[Callable]:
    """Private functions and classes of a piece's own module that it names, in that order."""
    module = inspect.getmodule(piece)
    tree = ast.parse(textwrap.dedent(inspect.getsource(piece)))
    names = dict.fromkeys(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    found = (getattr(module, name, None) for name in names if name.startswith("_"))
    return [one for one in found if one and getattr(one, "__module__", None) == piece.__module__]


def priors(model: Any, *data: Any, notes: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Table of a model's priors, made from the model itself.

    Parameters
    ----------
    model, *data : pymc.Model or callable, and object
        A PyMC model, or a NumPyro model and its arguments.
    notes : mapping of str to str, optional
        What a parameter is, with its unit, by name.

    Returns
    -------
    pandas.DataFrame
        A row a free parameter, with ``prior``, ``shape`` and, with notes, ``meaning``.
    """
    rows = _pymc_priors(model) if hasattr(model, "free_RVs") else _numpyro_priors(model, *data)
    table = pd.DataFrame(rows, columns=["parameter", "prior", "shape"]).set_index("parameter")
    if notes:
        if unknown := notes.keys() - set(table.index):
            raise ValueError(f"no parameter {', '.join(sorted(unknown))} in this model")
        table["meaning"] = table.index.map(lambda name: notes.get(name, ""))
    return table


def _pymc_priors(model):
    for variable in model.free_RVs:
        if hasattr(variable, "str_repr"):
            text = variable.str_repr(formatting="plain").partition(" ~ ")[2]
        else:
            text = _with_dims(variable, model)
        dims = model.named_vars_to_dims.get(variable.name) or ()
        yield variable.name, text, " × ".join(dims)


def _with_dims(variable, model) -> str:
    """Distribution of a variable of ``pymc.dims``, which does not print itself."""
    from pytensor.graph.traversal import ancestors

    def shown(value):
        if value.name:
            return value.name
        above = [str(one.name) for one in ancestors([value]) if one in model.free_RVs]
        if above:
            return f"f({', '.join(above)})"
        return f"{value.eval():.3g}" if value.type.ndim == 0 else "one each"

    core = variable.owner.op.core_op
    values = variable.owner.inputs[-len(core.ndims_params) :]
    return f"{core._print_name[0]}({', '.join(map(shown, values))})"


def _numpyro_priors(model, *data):
    from numpyro import handlers

    trace = handlers.trace(handlers.seed(model, 0)).get_trace(*data)
    for name, site in trace.items():
        if site["type"] == "sample" and not site["is_observed"]:
            yield name, _distribution(site["fn"]), " × ".join(map(str, site["fn"].shape()))


def _distribution(fn) -> str:
    """Name and parameters of a NumPyro distribution, without what only gives it a shape."""
    while type(fn).__name__ in ("ExpandedDistribution", "Independent", "MaskedDistribution"):
        fn = fn.base_dist
    values = {name: getattr(fn, name) for name in type(fn).arg_constraints if hasattr(fn, name)}
    shown = (f"{v:.3g}" if getattr(v, "ndim", 0) == 0 else "…" for v in values.values())
    return f"{type(fn).__name__}({', '.join(shown)})"
