"""What a chapter answers on the reader's own data: the first screen of a report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import pandas as pd
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from helpers.notebook.claims import Shown

#: The key under which a report finds an answer in an executed notebook.
ANSWER = "application/vnd.market-book.answer+json"
_RESULTS = ["name", "group", "unit", "mean", "lower", "upper"]


def say(text: str) -> None:
    """Show a sentence in which names are text, whatever characters they hold.

    Parameters
    ----------
    text : str
        Plain text; neither Markdown nor HTML nor mathematics is read in it.
    """
    display(Shown(text, f"<p>{escape(text)}</p>"))


def figures(value: float, digits: int = 3) -> str:
    """Write a number in plain figures, ``12,300`` and never ``1.23e+04``.

    Parameters
    ----------
    value, digits : float and int
        In any unit, and how many significant digits are kept.

    Returns
    -------
    str
        The number without its unit.
    """
    return f"{float(f'{value:.{digits}g}'):,.12g}"


def with_interval(mean: float, lower: float, upper: float, digits: int = 3) -> str:
    """Write a mean and its interval in words, ``2.03 (1.84 to 2.21)``.

    Parameters
    ----------
    mean, lower, upper, digits : float, float, float and int
        In any unit, and how many significant digits are kept.

    Returns
    -------
    str
        The three numbers without their unit.
    """
    return f"{figures(mean, digits)} ({figures(lower, digits)} to {figures(upper, digits)})"


def own_answer(
    *,
    question: str,
    trust: str,
    trusted: bool,
    answer: str,
    decision: str,
    results: pd.DataFrame,
    warnings: Iterable[str] = (),
) -> None:
    """Give a report its first screen, and show it.

    Parameters
    ----------
    question, trust, trusted : str, str and bool
        Plain text in the reader's names and units; one line on sampler, checks and data, and
        whether all of them passed.
    answer, decision : str
        Likewise, the answer with its intervals.
    results : pandas.DataFrame
        Columns ``name, group, unit, mean, lower, upper`` (else a ``ValueError``), a row each
        estimate; the report saves them as ``results.csv``.
    warnings : iterable of str
        What these data cannot tell, a sentence each.
    """
    if list(results.columns) != _RESULTS:
        raise ValueError(f"columns {list(results.columns)} are not {_RESULTS}")
    words: dict[str, str | bool | Sequence[str]] = {
        "question": question,
        "trust": trust,
        "trusted": bool(trusted),
        "answer": answer,
        "decision": decision,
        "warnings": list(warnings),
    }
    for text in (question, trust, answer, decision):
        say(text)
    if InteractiveShell.initialized():
        display({ANSWER: words | {"results": results.to_csv(index=False)}}, raw=True)
