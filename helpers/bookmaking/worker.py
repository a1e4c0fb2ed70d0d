"""Execute one notebook in a process of its own: `python -m helpers.bookmaking.worker`.

The job is one line of JSON on stdin; each cell that starts, and at last the result, is one on
stdout. When the caller is gone, stdin closes, and the worker ends with its kernel and its scratch.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nbformat
import papermill
import psutil
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError, strip_color

from helpers.bookmaking.book import write_atomically

PACKAGES = ("pymc", "pymc-marketing", "nutpie", "numpyro", "jax", "arviz", "numpy", "pandas")
POLL_SECONDS = 0.2
GROWTH_BYTES = 2**20
# A kernel is told free ports before it binds them: one that meets another there dies at once.
STARTS = 3
Tell = Callable[[dict[str, Any]], None]


def execute(
    notebook: nbformat.NotebookNode, directory: Path, started: list[int], tell: Tell
) -> nbformat.NotebookNode:
    """Execute a notebook with the kernel of this environment, in this working directory."""

    def start(cell: nbformat.NotebookNode, cell_index: int) -> None:
        started.append(cell_index)
        tell({"cell": cell_index})

    clean = nbformat.from_dict(notebook)
    executed = papermill.execute_notebook(
        nbformat.from_dict(notebook),
        None,
        kernel_name="python3",
        cwd=directory,
        progress_bar=False,
        start_timeout=120,
        request_save_on_cell_execute=False,
        coalesce_streams=True,
        on_cell_start=start,
    )
    # papermill and nbclient note times and paths: with the authored metadata two runs are equal
    executed.metadata = clean.metadata
    for cell, authored in zip(executed.cells, clean.cells, strict=True):
        cell.metadata = authored.metadata
    return executed


def execute_started(
    notebook: nbformat.NotebookNode, directory: Path, started: list[int], tell: Tell
) -> nbformat.NotebookNode:
    """Execute a notebook; if its kernel dies before the first cell, start another."""
    for _ in range(STARTS - 1):
        try:
            return execute(notebook, directory, started, tell)
        except RuntimeError:
            if started:
                raise
    return execute(notebook, directory, started, tell)


def stderr_lines(notebook: nbformat.NotebookNode) -> list[str]:
    """First line of what each cell wrote to stderr."""
    return [
        f"cell {number}: {output.text.strip().splitlines()[0]}"
        for number, cell in enumerate(notebook.cells, start=1)
        for output in cell.get("outputs", [])
        if output.get("name") == "stderr" and output.text.strip()
    ]


def describe(
    error: PapermillExecutionError | DeadKernelError,
    notebook: nbformat.NotebookNode,
    cell_index: int,
) -> dict[str, str]:
    """Say where a notebook failed, and how."""
    first_line = next(iter(notebook.cells[cell_index].source.strip().splitlines()), "")
    where = f"cell {cell_index + 1}: {first_line}"
    if isinstance(error, DeadKernelError):
        message = "the kernel died, often for lack of memory"
        return {"where": where, "type": "DeadKernelError", "message": message, "traceback": ""}
    return {
        "where": where,
        "type": error.ename,
        "message": strip_color(error.evalue),
        "traceback": strip_color("\n".join(error.traceback)),
    }


def share(process: psutil.Process) -> int:
    """Bytes of a process; what several share, such as a library's code, is divided by them."""
    memory = process.memory_full_info()
    return getattr(memory, "pss", memory.rss)


def total_of(processes: list[psutil.Process], size: Callable[[psutil.Process], int]) -> int:
    """Sum over the processes; one may end between the two calls."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            total += size(process)
    return total


class PeakMemory(threading.Thread):
    """Watch the resident memory of the kernel and its children.

    Shares are slow to count, so they are counted only when all that is resident has grown.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_bytes = 0

    def run(self) -> None:
        """Poll until the process ends."""
        me = psutil.Process()
        largest_sum = 0
        while True:
            children = me.children(recursive=True)
            resident = total_of(children, lambda child: child.memory_info().rss)
            if resident > largest_sum + GROWTH_BYTES:
                largest_sum = resident
                self.peak_bytes = max(self.peak_bytes, total_of(children, share))
            time.sleep(POLL_SECONDS)

    def megabytes(self) -> int:
        """Peak so far; the system's own count of each ended process misses no short peak."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        ended *= 1 if sys.platform == "darwin" else 1024
        return round(max(self.peak_bytes, ended) / 2**20)


def end_with_caller(scratch: Path, done: threading.Event) -> None:
    """Leave as soon as the caller has closed our stdin; before the job is done, without a trace."""
    sys.stdin.read()
    if done.is_set():
        return
    kernels = psutil.Process().children(recursive=True)
    for process in kernels:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(kernels, timeout=5)
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(1)


def run(job: dict, tell: Tell) -> dict:
    """Execute the job's notebook and, if it succeeds, write it and its record."""
    notebook = nbformat.from_dict(job["notebook"])
    memory = PeakMemory()
    memory.start()
    started = time.monotonic()
    cells: list[int] = []
    try:
        executed = execute_started(notebook, Path(job["directory"]), cells, tell)
    except (PapermillExecutionError, DeadKernelError) as error:
        return {"error": describe(error, notebook, cells[-1])}
    record = {
        "seconds": round(time.monotonic() - started, 1),
        "peak_mb": memory.megabytes(),
        "date": datetime.now(UTC).date().isoformat(),
        "python": sys.version.split()[0],
        "versions": {name: version(name) for name in PACKAGES},
        "stderr": stderr_lines(executed),
    } | job["record"]
    target = Path(job["target"])
    # the notebook comes last: where it is, the record is
    write_atomically(target.with_suffix(".json"), json.dumps(record, indent=1) + "\n")
    write_atomically(target, nbformat.writes(executed) + "\n")
    return record


def main() -> None:
    """Do the one job on stdin."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed, by the kernel too, goes to the log
    job = json.loads(sys.stdin.readline())
    scratch = Path(job["directory"]).parent
    done = threading.Event()
    threading.Thread(target=end_with_caller, args=[scratch, done], daemon=True).start()

    def tell(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=answer, flush=True)

    result = run(job, tell)
    done.set()
    tell(result)


if __name__ == "__main__":
    main()
