"""A small chain, its cells and its posterior."""

from __future__ import annotations

import pytest

from helpers.stores.cells import count_cells
from helpers.stores.load import as_store_panel
from helpers.stores.posterior import fit_structured
from helpers.stores.simulate import simulate_stores


@pytest.fixture(scope="module")
def market():
    return simulate_stores(24, seed=3, n_days=400)


@pytest.fixture(scope="module")
def panel(market):
    return as_store_panel(market.data)


@pytest.fixture(scope="module")
def cells(panel):
    return count_cells(panel)


@pytest.fixture(scope="module")
def structured(cells):
    return fit_structured(cells)
