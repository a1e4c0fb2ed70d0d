"""Clocks, medians and the order of runs that all benchmarks share."""

from __future__ import annotations

import time

import numpy as np
import pymc as pm
from measuring import clocked, covered, in_cold_process, interleaved, median_row


def test_ways_take_turns_and_long_ones_run_once(capsys):
    order = []
    lengths = {"short": iter([5.0, 1.0, 3.0]), "long": iter([61.0])}

    def way(name):
        order.append(name)
        return {"way": name, "seconds": next(lengths[name]), "ess": 7, "draws": [1.0, 2.0]}

    short, long = interleaved([lambda: way("short"), lambda: way("long")], 3)
    assert order == ["short", "long", "short", "short"]
    assert short["seconds"] == 3.0 and short["ess"] == 7 and short["draws"] == [1.0, 2.0]
    assert short["runs"] == [{"seconds": 5.0}, {"seconds": 1.0}, {"seconds": 3.0}]
    assert long == {"way": "long", "seconds": 61.0, "ess": 7, "draws": [1.0, 2.0]}
    assert capsys.readouterr().out.count("run 1") == 2


def test_a_short_fit_in_a_long_process_is_repeated():
    row = {"seconds": 59.0, "process_seconds": 61.0}
    assert interleaved([lambda: row], 3) == [row | {"runs": [{}, {}, {}]}]


def test_each_column_has_its_own_median():
    runs = [{"a": a, "b": b, "same": 1} for a, b in [(1, 30), (3, 10), (2, 20)]]
    row = median_row(runs)
    assert row | {"runs": None} == {"a": 2, "b": 20, "same": 1, "runs": None}
    assert row["runs"][0] == {"a": 1, "b": 30}


def test_overlapping_intervals_count_once():
    assert covered([]) == 0
    assert covered([(0, 10), (2, 3), (9, 12), (20, 21)]) == 13


def test_the_clock_tells_compilation_from_the_rest():
    with clocked() as row:
        with pm.Model() as model:
            pm.Normal("x", 0, 1, shape=3)
        model.compile_logp()({"x": np.zeros(3)})
        time.sleep(0.7)
        busy = time.process_time() + 0.3
        while time.process_time() < busy:
            pass
    assert 0 < row["compile_seconds"] <= row["seconds"] - 1
    assert row["peak_mb"] > 100 and row["cpu_seconds"] >= 0.3


def test_jax_counts_as_compilation():
    import jax

    with clocked() as row:
        jax.jit(lambda x: jax.numpy.linalg.inv(x) @ x)(np.eye(7)).block_until_ready()
    assert row["compile_seconds"] > 0.01


def test_a_cold_process_finds_no_compiled_code(tmp_path):
    script = tmp_path / "probe.py"
    script.write_text(
        "import json, os\n"
        "flags = os.environ['PYTENSOR_FLAGS'].removeprefix('base_compiledir=')\n"
        "print('ignored')\n"
        "print(json.dumps({'files': os.listdir(flags), 'more': os.environ['MORE'],"
        " 'numba': os.environ['NUMBA_CACHE_DIR'] == flags}))\n"
    )
    seen = in_cold_process(str(script), variables={"MORE": "1"})
    assert 0 < seen.pop("process_seconds") < 30
    assert seen == {"files": [], "more": "1", "numba": True}
