"""What every benchmark does: a process for each way, its clocks, its medians, what it ran on."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import logging
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

#: Ways that are clocked at more than this many seconds are not repeated.
REPEATED_BELOW = 60


def in_process(
    script: str, *arguments: str, variables: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a script in a process of its own; the last line that it prints is its record."""
    done = subprocess.run(
        [sys.executable, script, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ | dict(variables or {}),
    )
    return json.loads(done.stdout.splitlines()[-1])


def in_cold_process(
    script: str, *arguments: str, variables: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a script as :func:`in_process` does, with no compiled code from earlier runs."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as empty:
        cold = {"PYTENSOR_FLAGS": f"base_compiledir={empty}", "NUMBA_CACHE_DIR": empty}
        row = in_process(script, *arguments, variables=cold | dict(variables or {}))
    return row | {"process_seconds": round(time.monotonic() - started, 2)}


def add_repeats(options: argparse.ArgumentParser) -> None:
    """Add the option that says how often each short way runs."""
    options.add_argument(
        "--repeats", type=int, default=5, help=f"runs of each way under {REPEATED_BELOW} s"
    )


def main(
    output: Path,
    bench: Callable[[int], dict],
    record: Callable[..., dict],
    ways: Iterable[str],
    description: str | None,
    **sizes: int,
) -> None:
    """Run all ways and write what they took, or with `--way` one, and print its record."""
    parser = argparse.ArgumentParser(description=description)
    add_repeats(parser)
    parser.add_argument("--way", choices=list(ways))
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    given = vars(parser.parse_args())
    n_repeats, way = given.pop("repeats"), given.pop("way")
    if way:
        print(json.dumps(record(way, **given)))
    else:
        write(output, bench(n_repeats))


def interleaved(ways: Sequence[Callable[[], dict[str, Any]]], n_repeats: int) -> list[dict]:
    """Run all ways in turn, those under a minute so often, and give each one's medians."""
    runs: list[list[dict]] = [[] for _ in ways]
    for i in range(max(n_repeats, 1)):
        for way, done in zip(ways, runs, strict=True):
            if i == 0 or done[0]["seconds"] < REPEATED_BELOW:
                done.append(way())
                shown = {k: v for k, v in done[-1].items() if not isinstance(v, list)}
                print(f"run {i + 1}: {shown}", flush=True)
    return [median_row(done) for done in runs]


def median_row(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians of the numbers that differ between runs; what they were is kept as ``runs``."""
    row = dict(runs[0])
    varying = [
        name
        for name, value in row.items()
        if isinstance(value, int | float) and any(run[name] != value for run in runs)
    ]
    if len(runs) > 1:
        # the lower of two middle runs: a number that was measured
        row |= {name: statistics.median_low(run[name] for run in runs) for name in varying}
        row["runs"] = [{name: run[name] for name in varying} for run in runs]
    return row


def write(output: Path, record: Mapping[str, Any]) -> None:
    """Write what the performance page shows."""
    output.write_text(json.dumps(record, indent=1) + "\n")


def quiet() -> None:
    """Only the record is to be printed."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")


def peak_mb() -> int:
    """Largest memory that this process, or one that it started, has had."""
    whose = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    peak_kb = max(resource.getrusage(who).ru_maxrss for who in whose)
    peak_kb /= 1024 if sys.platform == "darwin" else 1
    return round(peak_kb / 1024)


def cpu_seconds() -> float:
    """Processor time of this process and of those that it started and that have ended."""
    return sum(os.times()[:4])


def checked(idata: Any, names: Sequence[str]) -> dict[str, Any]:
    """What decides whether draws may be read, of all components of the variables named."""
    from helpers.inference.convergence import diagnostics  # not where imports are clocked

    found = diagnostics(idata, names)
    return {
        "rhat": round(float(found["rhat"]), 4),
        **{name: round(float(found[name])) for name in ("ess_bulk", "ess_tail")},
        "divergences": int(found["divergences"]),
    }


@contextlib.contextmanager
def clocked() -> Iterator[dict[str, Any]]:
    """Clock what happens inside: ``seconds``, those of compilation, processor time, memory.

    The dictionary is filled at the end.
    """
    row: dict[str, Any] = {}
    with compiling() as spans:
        started, cpu_started = time.perf_counter(), cpu_seconds()
        yield row
        seconds = time.perf_counter() - started
        cpu = cpu_seconds() - cpu_started
    row |= {
        "seconds": round(seconds, 2),
        "compile_seconds": round(min(covered(spans), seconds), 2),
        "cpu_seconds": round(cpu, 1),
        "peak_mb": peak_mb(),
    }


def covered(spans: Sequence[tuple[float, float]]) -> float:
    """Length that intervals cover together, nested and overlapping ones once.

    >>> covered([(0, 2), (1, 3), (1.5, 1.7), (5, 6)])
    4
    """
    total, end = 0, float("-inf")
    for start, stop in sorted(spans):
        total += max(0, stop - max(start, end))
        end = max(end, stop)
    return total


@contextlib.contextmanager
def compiling() -> Iterator[list[tuple[float, float]]]:
    """Intervals in which PyTensor, nutpie, numba or JAX compiled, in any thread."""
    import jax.monitoring
    import nutpie
    from numba.core import event
    from pytensor.compile import maker
    from pytensor.graph.rewriting.basic import GraphRewriter

    spans: list[tuple[float, float]] = []

    def timed(function):
        @functools.wraps(function)
        def wrapper(*arguments, **options):
            started = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                spans.append((started, time.perf_counter()))

        return wrapper

    class Numba(event.Listener):
        def on_start(self, event):
            self.started = [*getattr(self, "started", []), time.perf_counter()]

        def on_end(self, event):
            spans.append((self.started.pop(), time.perf_counter()))

    def jax_compiled(name, seconds, **_):
        if name.startswith("/jax/core/compile/"):
            now = time.perf_counter()
            spans.append((now - seconds, now))

    places = [
        (nutpie, "compile_pymc_model"),
        (maker.FunctionMaker, "__init__"),
        (maker.FunctionMaker, "create"),
        (GraphRewriter, "rewrite"),
    ]
    originals = [getattr(owner, name) for owner, name in places]
    for (owner, name), original in zip(places, originals, strict=True):
        setattr(owner, name, timed(original))
    jax.monitoring.register_event_duration_secs_listener(jax_compiled)  # process ends with it
    try:
        with event.install_listener("numba:compile", Numba()):
            yield spans
    finally:
        for (owner, name), original in zip(places, originals, strict=True):
            setattr(owner, name, original)


def conditions(load_before: float, packages: Sequence[str]) -> dict[str, Any]:
    """Date, machine, load and versions; the machine is described, not named."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "load": [round(load_before, 1), round(os.getloadavg()[0], 1)],
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in packages},
    }
