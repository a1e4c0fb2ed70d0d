"""Execute notebooks side by side, and only those whose inputs changed."""

from __future__ import annotations

import ast
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from helpers.bookmaking.book import Book, parameterised
from helpers.bookmaking.closure import code_of, imported
from helpers.bookmaking.errors import BuildError
from helpers.bookmaking.parameters import read_parameters

# One thread a kernel whatever else runs: results must not depend on how many run side by side.
KERNEL_SETTINGS = {
    **dict.fromkeys(
        (
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS",
            "NUMEXPR_NUM_THREADS",
            "VECLIB_MAXIMUM_THREADS",
            "NUMBA_NUM_THREADS",
        ),
        "1",
    ),
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


def kernel_environment(caches: Path) -> dict[str, str]:
    """Environment of a kernel: fixed settings, and compilation caches kept between builds."""
    data = os.environ.get("MARKET_BOOK_DATA")
    kept = {name: value for name, value in os.environ.items() if name not in DROPPED}
    return (
        kept
        | KERNEL_SETTINGS
        | {
            "PYTENSOR_FLAGS": f"base_compiledir={caches / 'pytensor'}",
            "NUMBA_CACHE_DIR": str(caches / "numba"),
            "MPLCONFIGDIR": str(caches / "matplotlib"),
            "IPYTHONDIR": str(caches / "ipython"),
            # before a reader's own kernels: `python3` means this environment
            "JUPYTER_PATH": str(Path(sys.prefix) / "share" / "jupyter"),
        }
        | ({"MARKET_BOOK_DATA": str(Path(data).resolve())} if data else {})
    )


def digest(book: Book, notebook: nbformat.NotebookNode) -> str:
    """Fingerprint of all that a notebook's outputs depend on.

    These are its code with the parameters in it, what it imports of `helpers`, the data, the
    lock, Python and the kernel's settings. Prose is not among them: pages take it from the source.
    Of `helpers/bookmaking` only the worker is: the rest works around the kernel and not in it.
    """
    code = code_of(notebook)
    parts = [json.dumps([code, KERNEL_SETTINGS, sys.version]).encode()]
    parts.append(Path(__file__).with_name("worker.py").read_bytes())
    modules = imported(book.root, code)
    for path in [*modules, book.root / "requirements.lock", *data_files(notebook)]:
        if path.is_file():
            parts += [path.name.encode(), path.read_bytes()]
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8) + part)
    return whole.hexdigest()[:16]


def files_below(directory: Path) -> Iterator[Path]:
    """Files of a tree in a fixed order, without byte-code."""
    paths = sorted(directory.rglob("*"))
    return (path for path in paths if path.is_file() and "__pycache__" not in path.parts)


def data_files(notebook: nbformat.NotebookNode) -> list[Path]:
    """Return the reader's own file and the data directory's files, where there are any."""
    own = read_parameters(notebook).get("DATA_PATH")
    own_path = ast.literal_eval(own) if own is not None else None
    directory = os.environ.get("MARKET_BOOK_DATA")
    shared = files_below(Path(directory)) if directory else ()
    return [*([Path(own_path)] if own_path else []), *shared]


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
    """Execute chapters whose inputs changed, the longest first; failures stop no other.

    The caller holds `only_build`. `prepare` may furnish a notebook's scratch directory and
    return variables for its kernel; such results are kept apart, under its name.
    """
    overrides = book.overrides(profile)
    label = profile if prepare is None else f"{profile}-{prepare.__name__}"
    directory = book.build_directory / "executed" / label
    results: dict[str, Result] = {}
    waiting: list[tuple[float, str, nbformat.NotebookNode, Path]] = []
    chapters = list(chapters or book.chapters)
    for path in chapters:
        notebook = parameterised(path, overrides.get(path.stem, {}))
        target = directory / f"{path.stem}-{digest(book, notebook)}.ipynb"
        if target.exists():
            record = json.loads(target.with_suffix(".json").read_text())
            results[path.stem] = Result(path.stem, target, record, fresh=False)
        else:
            last = max((r["seconds"] for r in _records(directory, path.stem)), default=float("inf"))
            waiting.append((last, path.stem, notebook, target))
    waiting.sort(key=lambda job: -job[0])

    scratch = book.build_directory / "work"
    shutil.rmtree(scratch, ignore_errors=True)
    about = {"profile": profile, "commit": commit(book)}

    def execute(name: str, notebook: nbformat.NotebookNode, target: Path) -> Result:
        say(f"  {name}  started")
        own = scratch / name
        own.mkdir(parents=True)
        extra = prepare(own) if prepare else {}
        result = execute_one(
            book, name, notebook, target, about=about, scratch=own, variables=extra
        )
        say(f"  {name}  {outcome(result)}")
        return result

    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        futures = [pool.submit(execute, *job) for _, *job in waiting]
        try:
            for future in as_completed(futures):
                result = future.result()
                results[result.name] = result
                if not result.error:
                    _remove_stale(directory, result)
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
) -> Result:
    """Execute one notebook in a worker process, with further environment variables."""
    caches = book.build_directory / "cache"
    # a build's target bears the digest: with other code or data it is another study
    checkpoints = book.build_directory / "checkpoints" / target.stem
    (scratch / "cwd").mkdir(parents=True)
    environment = kernel_environment(caches) | {
        "JAX_COMPILATION_CACHE_DIR": str(scratch / "jax"),
        "JUPYTER_RUNTIME_DIR": str(scratch / "runtime"),
        "MARKET_BOOK_CHECKPOINTS": str(checkpoints),
        **(variables or {}),
    }
    link_files(caches / "jax", scratch / "jax")
    job = {
        "notebook": notebook,
        "target": str(target),
        "directory": str(scratch / "cwd"),
        "record": {"name": name, **about},
    }
    # -P: a directory `helpers` where the command was called must not hide the package
    with (scratch / "log").open("w+") as log:
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "helpers.bookmaking.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
        )
        with worker:
            worker.stdin.write(json.dumps(job) + "\n")
            worker.stdin.flush()  # and not closed: the worker lives as long as it is open
            answer = worker.stdout.read()
        log.seek(0)
        record = json.loads(answer) if answer else _died(worker.returncode, log.read())
    if "error" not in record:
        link_files(scratch / "jax", caches / "jax")
        shutil.rmtree(checkpoints, ignore_errors=True)
    return Result(name, target, record)


def link_files(source: Path, target: Path) -> None:
    """Give `target` the files of `source`.

    JAX writes its cache in place and never repairs an entry cut short, so each kernel has a
    directory of links of its own, and only a notebook that finished gives its entries back.
    """
    target.mkdir(parents=True, exist_ok=True)
    for path in source.glob("*"):
        if not (target / path.name).exists():
            try:
                os.link(path, target / path.name)
            except FileExistsError:  # the notebook beside this one was quicker
                continue


def say(line: str) -> None:
    """Print a line in one piece, whichever thread it comes from."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def outcome(result: Result) -> str:
    """One line on how a notebook went."""
    record = result.record
    if result.error:
        return f"FAILED in {result.error['where']}"
    line = f"{record['seconds']:.0f} s, {record['peak_mb']} MB"
    return "".join([line, *(f"\n    stderr in {text}" for text in record["stderr"])])


def summary(results: Iterable[Result]) -> str:
    """How many notebooks ran, how many needed not, and how many failed."""
    counts = dict.fromkeys(("executed", "unchanged", "failed"), 0)
    for result in results:
        counts["failed" if result.error else "executed" if result.fresh else "unchanged"] += 1
    if not counts["failed"]:
        del counts["failed"]
    return ", ".join(f"{count} {what}" for what, count in counts.items())


def raise_for_failures(results: Iterable[Result]) -> None:
    """Raise one error that names each failed notebook, its cell and its error."""
    failed = [result for result in results if result.error]
    for result in failed:
        print(f"\n{result.name}\n{result.error['traceback']}", file=sys.stderr)
    if failed:
        raise BuildError(
            "\n".join(
                f"FAILED {r.name}, {r.error['where']}\n  {r.error['type']}: {r.error['message']}"
                for r in failed
            )
        )


def raise_for_size(results: Iterable[Result]) -> None:
    """Raise if a notebook, executed as published, needs more memory than Binder gives."""
    large = [result for result in results if result.record["peak_mb"] > BINDER_MB]
    if large:
        raise BuildError(
            "\n".join(
                f"{r.name} peaks at {r.record['peak_mb']} MB and Binder gives {BINDER_MB}: "
                "fewer compiled models, fewer kept draws"
                for r in large
            )
        )


def commit(book: Book) -> str:
    """Commit of the checkout, marked where files differ from it; empty without git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        git = subprocess.run(command, cwd=book.root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return git.stdout.strip()


def _records(directory: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in _versions(directory, name, ".json")]


def _versions(directory: Path, name: str, suffix: str) -> list[Path]:
    return [path for path in directory.glob(f"*{suffix}") if path.stem.rpartition("-")[0] == name]


def _remove_stale(directory: Path, result: Result) -> None:
    for suffix in (".ipynb", ".json"):
        for path in _versions(directory, result.name, suffix):
            if path.stem != result.path.stem:
                path.unlink()


def _died(returncode: int, log: str) -> dict[str, Any]:
    message = f"exit code {returncode} (a negative one is a signal: -9 is often lack of memory)"
    error = {"where": "its process", "type": "Died", "message": message, "traceback": log}
    return {"error": error}
