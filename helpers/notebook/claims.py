"""What a chapter shows besides its figures: claims, published numbers and versions."""

from __future__ import annotations

import inspect
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

#: Probability inside every interval of the book; all of them are equal-tailed.
INTERVAL = 0.90

# Glued output is stored in the notebook and hidden on the page, as myst_nb.glue does it.
_GLUE_PREFIX = "application/papermill.record/"

_published: dict[str, tuple[str, str]] = {}


class ClaimError(AssertionError):
    """A comparison made in prose does not hold."""


class NotConverged(ClaimError):
    """A sampler has not passed, so nothing may be read from it."""


@dataclass(frozen=True)
class Shown:
    """Output with a plain and an HTML form."""

    text: str
    html: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html


class Claims:
    """Check the comparisons that a chapter's prose makes: ``claim(2 > 1, "two exceeds one")``.

    Parameters
    ----------
    enforce : bool or "sampler"
        Whether a false claim raises. Smoke runs draw too little for that: they only show it.
        On a reader's own data, ``"sampler"``, only a sampler that has not passed does.
    """

    def __init__(self, enforce: bool | str):
        self.enforce = enforce is True
        self.sampler = enforce in (True, "sampler")

    def __call__(self, condition: bool, message: str) -> None:
        """Show the claim and whether it holds; raise a ``ClaimError`` if false and enforced."""
        if not isinstance(condition, bool | np.bool_):
            raise TypeError(
                f"a claim is one bool, not {type(condition).__name__}; "
                "reduce it with .all() or .any()"
            )
        if not condition and self.enforce:
            raise ClaimError(message)
        line = f"{'✓' if condition else '✗'} {message}"
        display(Shown(line, f'<p class="claim"><small>{escape(line)}</small></p>'))


def named_seeds(seed: int, *names: str) -> SimpleNamespace:
    """Seeds by name, all from one; a name added at the end changes no other.

    Parameters
    ----------
    seed, *names : int and str
        The chapter's ``SEED``, and what each is for.

    Returns
    -------
    types.SimpleNamespace
        One integer a name, as in ``named_seeds(SEED, "market", "fit").fit``.

    Examples
    --------
    >>> named_seeds(1, "market").market == named_seeds(1, "market", "fit").market
    True
    """
    words = np.random.SeedSequence(seed).generate_state(len(names))
    return SimpleNamespace(**dict(zip(names, map(int, words), strict=True)))


def interval(draws: np.ndarray, axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Equal-tailed interval that holds ``INTERVAL`` of the draws.

    Parameters
    ----------
    draws, axis : array and int
        Draws in any units, and the axis along which they lie.

    Returns
    -------
    tuple of array
        Lower and upper bound, each without ``axis``.
    """
    tail = (1 - INTERVAL) / 2
    lower, upper = np.quantile(draws, [tail, 1 - tail], axis=axis)
    return lower, upper


def mean_interval(draws: np.ndarray, axis: int = 0) -> np.ndarray:
    """Mean and equal-tailed interval of draws, the form that the plots take.

    Parameters
    ----------
    draws, axis : array and int
        As for :func:`interval`.

    Returns
    -------
    array
        Mean, lower and upper bound along a new first axis of length 3.
    """
    return np.stack([np.mean(draws, axis=axis), *interval(draws, axis)])


def _cell() -> str:
    """Name of the code that called this module; a notebook cell keeps it when it runs again."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__") == __name__:
        frame = frame.f_back
    return "" if frame is None else frame.f_code.co_filename


def publish(name: str, text: str) -> None:
    """Make a formatted number available to the prose as ``{glue:text}`name```.

    Parameters
    ----------
    name, text : str
        Key, unique within the chapter (else a ``ValueError``), and the number as prose prints it.
    """
    if not isinstance(text, str):
        raise TypeError(f"{name}: publish a formatted string, not {type(text).__name__}")
    if not text.strip():
        raise ValueError(f"{name}: the text is empty")
    cell = _cell()
    known, publisher = _published.get(name, (None, cell))
    if text == known:
        return  # the second output under one key would break the page
    if cell != publisher:
        raise ValueError(
            f"{name}: already published as {known!r}, now {text!r}; choose another name, "
            "or restart the kernel after an edit"
        )
    _published[name] = (text, cell)
    if InteractiveShell.initialized():
        display(
            {_GLUE_PREFIX + "text/plain": repr(text)},
            raw=True,
            metadata={"scrapbook": {"name": name, "mime_prefix": _GLUE_PREFIX}},
        )


def _table(rows: Mapping[str, str], caption: str | None, css_class: str) -> Shown:
    """Two columns; the first heads its row."""
    width = max(map(len, rows))
    text = "\n".join(f"{label:<{width}}  {value}" for label, value in rows.items())
    body = "".join(
        f'<tr><th scope="row">{escape(label)}</th><td>{escape(value)}</td></tr>'
        for label, value in rows.items()
    )
    head = f"<caption>{escape(caption)}</caption>" if caption else ""
    return Shown(
        f"{caption}\n{text}" if caption else text,
        f'<table class="{css_class}">{head}<tbody>{body}</tbody></table>',
    )


def key_numbers(numbers: Mapping[str, tuple[str, str]], *, caption: str = "Key numbers") -> None:
    """Publish numbers and show them in a table, for readers who see no glued prose.

    Parameters
    ----------
    numbers, caption : mapping of str to (str, str), and str
        Key to label and formatted text (labels differ, else a ``ValueError``); table's caption.
    """
    for name, (_, text) in numbers.items():
        publish(name, text)
    rows = dict(numbers.values())
    if len(rows) < len(numbers):
        raise ValueError("two key numbers carry one label; give each its own")
    display(_table(rows, caption, "key-numbers"))


def versions(*packages: str) -> None:
    """Show the versions of Python and of packages, the last cell of a chapter.

    Parameters
    ----------
    *packages : str
        Names of distributions, as pip knows them.
    """
    rows = {"Python": platform.python_version()} | {name: version(name) for name in packages}
    display(_table(rows, "Versions", "versions"))
