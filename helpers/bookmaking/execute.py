"""Execute notebooks side by side, and only those whose inputs changed."""

from __future__ import annotations

import ast
import fcntl
import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nbformat

from helpers.bookmaking.book import Book, BuildError, parameterised, read_parameters
from helpers.bookmaking.closure import code_of, imported
from helpers.notebook.show import without_docstrings

# One thread a kernel whatever else runs: results must not depend on how many run side by side.
KERNEL_SETTINGS = {
    **{
        f"{library}_THREADS": "1"
        for library in ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "NUMEXPR_NUM", "NUMBA_NUM")
    },
    "VECLIB_MAXIMUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "JAX_PLATFORMS": "cpu",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    "PYTHONHASHSEED": "0",
    "PYTHONNOUSERSITE": "1",
    "PYTHONWARNINGS": "ignore:IProgress not found",  # there is no one to watch a progress bar
    "TQDM_DISABLE": "1",
}
BINDER_MB = 2000
# A reader's own settings that would slow a kernel down or change what it shows.
DROPPED = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONSTARTUP", "MATPLOTLIBRC", "MPLBACKEND")


@dataclass(frozen=True)
class Result:
    """What became of one notebook."""

    name: str
    path: Path
    record: dict[str, Any]
    fresh: bool = True

    @property
    def error(self) -> dict[str, str] | None:
        """Where and how it failed."""
        return self.record.get("error")

    @property
    def outcome(self) -> str:
        """One line on how it went, and one on each cell that wrote to stderr."""
        if self.error:
            return f"FAILED in {self.error['where']}"
        line = f"{self.record['seconds']:.0f} s, {self.record['peak_mb']} MB"
        return "\n    stderr in ".join([line, *self.record["stderr"]])


def kernel_environment(caches: Path) -> dict[str, str]:
    """Environment of a kernel: fixed settings, and compilation caches kept between builds."""
    data = os.environ.get("MARKET_BOOK_DATA")
    kept = {name: value for name, value in os.environ.items() if name not in DROPPED}
    kept |= KERNEL_SETTINGS | {
        "PYTHONUTF8": "1",
        "PYTENSOR_FLAGS": f"base_compiledir={caches / 'pytensor'}",
        "NUMBA_CACHE_DIR": str(caches / "numba"),
        "MPLCONFIGDIR": str(caches / "matplotlib"),
        "IPYTHONDIR": str(caches / "ipython"),
        # before a reader's own kernels: `python3` means this environment
        "JUPYTER_PATH": str(Path(sys.prefix) / "share" / "jupyter"),
    }
    return kept | ({"MARKET_BOOK_DATA": str(Path(data).resolve())} if data else {})


def digest(book: Book, notebook: nbformat.NotebookNode) -> str:
    """Fingerprint of all that outputs depend on; prose and docstrings are not.

    Of `helpers/bookmaking` only the worker is: the rest works around the kernel and not in it.
    """
    code = code_of(notebook)
    modules = imported(book.root, code)
    sources = [_code(path.read_text()) for path in modules]
    names = [str(path.relative_to(book.root)) for path in modules]
    inputs = json.dumps([code, names, sources, KERNEL_SETTINGS, sys.version])
    files = [Path(__file__).with_name("worker.py"), book.root / "requirements.lock"]
    return fingerprint(inputs, [*files, *data_files(notebook)])


_code = cache(without_docstrings)  # chapters share most modules


def fingerprint(inputs: str, files: Iterable[Path]) -> str:
    """Digest of a text, and of names and content of files where there are any."""
    found = [path for path in files if path.is_file()]
    contents = [part for path in found for part in (path.name.encode(), path.read_bytes())]
    whole = hashlib.sha256()
    for part in [inputs.encode(), *contents]:
        whole.update(len(part).to_bytes(8) + part)
    return whole.hexdigest()[:16]


def files_below(directory: Path) -> Iterator[Path]:
    """Files of a tree in a fixed order, without byte-code."""
    paths = sorted(directory.rglob("*"))
    return (path for path in paths if path.is_file() and "__pycache__" not in path.parts)


def data_files(notebook: nbformat.NotebookNode) -> list[Path]:
    """Return the reader's own file and the data directory's files, where there are any."""
    own = ast.literal_eval(read_parameters(notebook).get("DATA_PATH") or ast.Constant(None))
    directory = os.environ.get("MARKET_BOOK_DATA")
    shared = files_below(Path(directory)) if directory else ()
    return [*([Path(own)] if own else []), *shared]


@contextmanager
def only_build(book: Book) -> Iterator[None]:
    """Wait for another build in this checkout to end; the lock goes with its process."""
    book.build_directory.mkdir(exist_ok=True)
    with (book.build_directory / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build is running here: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def execute_book(
    book: Book,
    *,
    profile: str,
    chapters: Iterable[Path] | None = None,
    workers: int | None = None,
    prepare: Callable[[Path], Mapping[str, str]] | None = None,
) -> list[Result]:
    """Execute chapters whose inputs changed, the longest first; the caller holds `only_build`.

    `prepare` may furnish a notebook's scratch directory and return variables for its kernel; such
    results are kept apart, under its name.
    """
    overrides = book.overrides(profile)
    label = profile if prepare is None else f"{profile}-{prepare.__name__}"
    directory = book.build_directory / "executed" / label
    results: dict[str, Result] = {}
    waiting = []
    chapters = list(chapters or book.chapters)
    for path in chapters:
        notebook = parameterised(path, overrides.get(path.stem, {}))
        target = directory / f"{path.stem}-{digest(book, notebook)}.ipynb"
        if target.exists():
            record = json.loads(target.with_suffix(".json").read_text())
            results[path.stem] = Result(path.stem, target, record, fresh=False)
        else:
            records = (p for p in _versions(directory, path.stem) if p.suffix == ".json")
            seconds = (json.loads(record.read_text())["seconds"] for record in records)
            waiting.append((max(seconds, default=float("inf")), path.stem, notebook, target))
    waiting.sort(key=lambda job: -job[0])

    left = {name: seconds for seconds, name, *_ in waiting}
    begun: dict[str, float] = {}
    workers = workers or os.cpu_count() or 1

    def to_go() -> str:
        """Minutes left, by the last build's times, if it knew all of the chapters."""
        now = time.monotonic()
        rest = [max(0.0, s + begun.get(name, now) - now) for name, s in left.items()]
        seconds = max([sum(rest) / workers, *rest], default=0.0)
        return f"; about {math.ceil(seconds / 60)} min left" if 0 < seconds < math.inf else ""

    if waiting:
        say(f"{len(waiting)} of {len(chapters)} to execute{to_go()}")
    scratch = book.build_directory / "work"
    shutil.rmtree(scratch, ignore_errors=True)
    about = {"profile": profile, "commit": commit(book)}

    def execute(name: str, notebook: nbformat.NotebookNode, target: Path) -> Result:
        begun[name] = time.monotonic()
        say(f"  {name}  started")
        (own := scratch / name).mkdir(parents=True)
        more = prepare(own) if prepare else {}
        result = execute_one(book, name, notebook, target, about=about, scratch=own, variables=more)
        del left[name]
        say(f"  {name}  {result.outcome}{to_go()}")
        return result

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(execute, *job[1:]) for job in waiting]
        try:
            for future in as_completed(futures):
                result = future.result()
                results[result.name] = result
                for old in [] if result.error else _versions(directory, result.name):
                    if old.stem != result.path.stem:
                        old.unlink()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # interrupted: start no other
            raise
    shutil.rmtree(scratch, ignore_errors=True)
    return [results[path.stem] for path in chapters]


def execute_one(
    book: Book,
    name: str,
    notebook: nbformat.NotebookNode,
    target: Path,
    *,
    about: Mapping[str, str],
    scratch: Path,
    variables: Mapping[str, str] | None = None,
    started: Callable[[int], None] = lambda cell: None,
) -> Result:
    """Execute one notebook in a worker process, with further environment variables.

    `started` hears the position of each cell that starts.
    """
    caches = book.build_directory / "cache"
    # a build's target bears the digest: with other code or data it is another study
    checkpoints = book.build_directory / "checkpoints" / target.stem
    (scratch / "cwd").mkdir(parents=True, exist_ok=True)
    environment = kernel_environment(caches) | {
        "JAX_COMPILATION_CACHE_DIR": str(scratch / "jax"),
        "JUPYTER_RUNTIME_DIR": str(scratch / "runtime"),
        "MARKET_BOOK_CHECKPOINTS": str(checkpoints),
        **(variables or {}),
    }
    link_files(caches / "jax", scratch / "jax")
    job: dict[str, Any] = {"notebook": notebook, "target": str(target)}
    job |= {"directory": str(scratch / "cwd"), "record": {"name": name, **about}}
    # -P: a directory `helpers` where the command was called must not hide the package
    command = [sys.executable, "-P", "-m", "helpers.bookmaking.worker"]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "encoding": "utf-8"}
    with (scratch / "log").open("w+") as log:
        with subprocess.Popen(command, stderr=log, env=environment, **pipes) as worker:
            worker.stdin.write(json.dumps(job) + "\n")
            worker.stdin.flush()  # and not closed: the worker lives as long as it is open
            record = None
            try:
                for line in worker.stdout:
                    record = json.loads(line)
                    if record.keys() == {"cell"}:
                        started(record["cell"])
                        record = None
            except BaseException:  # interrupted
                worker.stdin.close()
                worker.wait()
                raise
        log.seek(0)
        record = record or _died(worker.returncode, log.read())
    if "error" not in record:
        link_files(scratch / "jax", caches / "jax")
        shutil.rmtree(checkpoints, ignore_errors=True)
    return Result(name, target, record)


def link_files(source: Path, target: Path) -> None:
    """Give `target` the files of `source`; JAX never repairs an entry that was cut short."""
    target.mkdir(parents=True, exist_ok=True)
    for path in source.glob("*"):
        with suppress(FileExistsError):  # the notebook beside this one may be quicker
            os.link(path, target / path.name)


def say(line: str) -> None:
    """Print a line in one piece, whichever thread it comes from."""
    print(f"{line}\n", end="", flush=True)


def summary(results: Iterable[Result]) -> str:
    """How many notebooks ran, how many needed not, and how many failed."""
    kinds = ("failed" if r.error else "executed" if r.fresh else "unchanged" for r in results)
    count = Counter(kinds)
    return ", ".join(f"{count[kind]} {kind}" for kind in ("executed", "unchanged", "failed"))


def raise_for_failures(results: Iterable[Result]) -> None:
    """Raise one error that names each failed notebook, its cell and its error."""
    lines = []
    for name, error in ((result.name, result.error) for result in results if result.error):
        print(f"\n{name}\n{error['traceback']}", file=sys.stderr)
        lines.append(f"FAILED {name}, {error['where']}\n  {error['type']}: {error['message']}")
    if lines:
        raise BuildError("\n".join(lines))


def raise_for_size(results: Iterable[Result]) -> None:
    """Raise if a notebook, executed as published, needs more memory than Binder gives."""
    peaks = {result.name: result.record["peak_mb"] for result in results}
    advice = f"and Binder gives {BINDER_MB}: fewer compiled models, fewer kept draws"
    if large := [name for name, peak in peaks.items() if peak > BINDER_MB]:
        raise BuildError("\n".join(f"{n} peaks at {peaks[n]} MB {advice}" for n in large))


def commit(book: Book) -> str:
    """Commit of the checkout, marked where files differ from it; empty without git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    with suppress(OSError):
        return subprocess.run(command, cwd=book.root, capture_output=True, text=True).stdout.strip()
    return ""


def _versions(directory: Path, name: str) -> list[Path]:
    return [path for path in directory.glob("*.*") if path.stem.rpartition("-")[0] == name]


def _died(returncode: int, log: str) -> dict[str, Any]:
    message = f"exit code {returncode} (a negative one is a signal: -9 is often lack of memory)"
    error = {"where": "its process", "type": "Died", "message": message, "traceback": log}
    return {"error": error}
