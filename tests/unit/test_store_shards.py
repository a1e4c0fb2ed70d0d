"""One device, two devices and two processes fit the same; a killed run ends where it would."""

import numpy as np
import pytest

from helpers.store_shards import fit_shards, run_shards, save_cells
from helpers.stores import as_store_panel, count_cells, simulate_stores


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("shards")
    market = simulate_stores(12, seed=3, n_days=370)
    save_cells(path / "cells.npz", count_cells(as_store_panel(market.data)))
    return path


@pytest.fixture(scope="module")
def alone(folder):
    return run_shards(folder / "cells.npz", folder / "alone.npz", steps=150)


def same(found, wanted):
    np.testing.assert_allclose(found["losses"], wanted["losses"], rtol=1e-4)
    for name in wanted.keys() - {"losses", "report"}:
        np.testing.assert_allclose(found[name], wanted[name], atol=2e-3, err_msg=name)


@pytest.mark.parametrize(("devices", "processes"), [(2, 1), (1, 2)])
def test_shards_fit_the_same(folder, alone, devices, processes):
    found = run_shards(
        folder / "cells.npz",
        folder / f"{devices}-{processes}.npz",
        devices=devices,
        processes=processes,
        steps=150,
    )
    assert found["report"]["devices"] == 2
    same(found, alone)


def test_killed_run_ends_where_it_would(folder, alone):
    place = {"checkpoint": folder / "state", "steps": 150}
    killed = run_shards(folder / "cells.npz", folder / "k.npz", kill_after=50, **place)
    assert killed is None
    assert not (folder / "k.npz").exists()
    found = run_shards(folder / "cells.npz", folder / "k.npz", **place)
    same(found, alone)


def test_uneven_shards_are_refused(monkeypatch):
    import jax

    monkeypatch.setattr(jax, "devices", lambda: [None] * 5)
    with pytest.raises(ValueError, match="evenly"):
        fit_shards({"n": np.ones((12, 2))}, family="nb1", steps=1, seed=0)


def test_failure_shows_what_it_wrote(folder):
    with pytest.raises(RuntimeError, match="no-such"):
        run_shards(folder / "no-such.npz", folder / "n.npz", steps=50)
