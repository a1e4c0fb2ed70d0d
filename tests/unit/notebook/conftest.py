"""Figures in the book's style, closed after each test."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from helpers.notebook.style import set_style


@pytest.fixture(autouse=True)
def style():
    with mpl.rc_context():
        set_style()
        yield
    plt.close("all")
