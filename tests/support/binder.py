"""Every chapter with its defaults in Binder's two gigabytes: `make binder`, as root on Linux."""

from __future__ import annotations

import atexit
import os
import sys
from argparse import ArgumentParser
from pathlib import Path

from helpers.bookmaking.book import Book
from helpers.bookmaking.cli import CHECKOUT
from helpers.bookmaking.execute import Result, execute_book, only_build

LIMIT_BYTES = 2 * 2**30
LIMIT_SECONDS = 600
NO_GROUP = "no control group for memory can be made here: run as root on Linux"
GROUPS = {  # control groups of version 2, and of version 1
    Path("/sys/fs/cgroup"): "memory.max",
    Path("/sys/fs/cgroup/memory"): "memory.limit_in_bytes",
}


def limit_memory() -> None:
    """Move this process, and so all that it starts, into a group with Binder's memory."""
    for root, limit in GROUPS.items():
        group = root / f"market-book-{os.getpid()}"
        if not (root / "cgroup.procs").exists():
            continue  # not a control group but a directory
        try:
            group.mkdir()
            (group / limit).write_text(str(LIMIT_BYTES))
            (group / "cgroup.procs").write_text(str(os.getpid()))
            atexit.register(leave, root, group)
            return
        except OSError:
            continue
    sys.exit(NO_GROUP)


def leave(root: Path, group: Path) -> None:
    """Go back to where every process is, and remove the group."""
    (root / "cgroup.procs").write_text(str(os.getpid()))
    group.rmdir()


def binder(scratch: Path) -> dict[str, str]:
    """Keep these results apart from those of the book."""
    return {}


def problem(result: Result) -> str:
    """What is wrong with a chapter on Binder; empty if nothing is."""
    if result.error:
        return f"{result.error['where']}: {result.error['message']}"
    late = result.record["seconds"] > LIMIT_SECONDS
    return f"{result.record['seconds']:.0f} s, more than {LIMIT_SECONDS}" if late else ""


def main() -> None:
    """Execute the chapters named on the command line, or all."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("chapters", nargs="*")
    parser.add_argument("--book", type=Path, default=CHECKOUT)
    arguments = parser.parse_args()
    book = Book(arguments.book)
    chapters = [book.chapter(name) for name in arguments.chapters]
    limit_memory()
    with only_build(book):
        results = execute_book(book, profile="full", chapters=chapters, workers=1, prepare=binder)
    found = {result.name: problem(result) for result in results}
    sys.exit("\n".join(f"{name}: {text}" for name, text in found.items() if text) or None)


if __name__ == "__main__":
    main()
