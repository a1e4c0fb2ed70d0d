"""One style for every figure: colours in fixed roles."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
from cycler import cycler
from IPython.core.interactiveshell import InteractiveShell

#: Okabe-Ito colours by role; a line style or marker repeats every distinction.
COLOURS = {
    "data": "#4D4D4D",
    "prior": "#BFBFBF",
    "posterior": "#0072B2",
    "counterfactual": "#E69F00",
    "truth": "#000000",
    "decision": "#D55E00",
    "city_a": "#0072B2",
    "city_b": "#009E73",
}

#: Keywords of a line or marker for the first and the second city.
CITY_STYLES = (
    {"color": COLOURS["city_a"], "linestyle": "-", "marker": "o"},
    {"color": COLOURS["city_b"], "linestyle": "--", "marker": "s"},
)

#: Keywords of a line by channel, told apart by marker and line as well; more channels start anew.
CHANNEL_STYLES = tuple(
    cycler(color=["#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#4D4D4D"])
    + cycler(marker=[*"os^DvPX"])
    + cycler(linestyle=["-", "--", "-.", "-", "--", "-.", ":"])
)

#: Figure width in inches; at phone width the text is then still readable.
WIDTH = 7.2

_STYLE: dict[Any, Any] = {
    "date.converter": "concise",
    "figure.figsize": (WIDTH, 3.6),
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "white",
    "savefig.transparent": False,
    "axes.facecolor": "white",
    "axes.prop_cycle": cycler(color=[COLOURS["data"], *list(COLOURS.values())[2:6]]),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "font.size": 13,
    "axes.titlesize": 14,
    "axes.labelsize": 13,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "legend.fontsize": 12,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "svg.hashsalt": "bayesian-market-models",
}


def set_style(data_path: object = None) -> None:
    """Set the book's figure style; in a notebook, draw SVG whose bytes do not change.

    Parameters
    ----------
    data_path : object
        A chapter's ``DATA_PATH``: names from a reader's file may hold ``$``, which is then no
        mathematics.
    """
    mpl.rcParams.update(_STYLE | {"text.parse_math": data_path is None})
    if InteractiveShell.initialized():
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", metadata={"Date": None})


def short_name(name: object, letters: int = 28) -> str:
    """Shorten a name for a plot: its middle goes, for many differ at the end.

    Parameters
    ----------
    name, letters : object and int
        A reader's name, and how many letters a label has room for.

    Returns
    -------
    str
        At most so many letters.
    """
    text = str(name)
    half = (letters - 1) // 2
    return text if len(text) <= letters else f"{text[:half]}…{text[-half:]}"
