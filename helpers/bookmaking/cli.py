"""The command `market-book`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import helpers
from helpers.bookmaking.book import (
    PROFILES,
    Book,
    BuildError,
    UsageError,
    read_notebook,
    read_parameters,
    title,
)

CHECKOUT = Path(helpers.__file__).parents[1]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 is success, 1 a failure of what was built, 2 a wrong command."""
    if arguments is None and sys.getfilesystemencoding() != "utf-8":  # an ASCII locale
        command = [sys.executable, "-X", "utf8", "-m", "helpers.bookmaking.cli", *sys.argv[1:]]
        os.execv(sys.executable, command)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
    options = parser().parse_args(arguments)
    try:
        if not (options.book / "_toc.yml").exists():
            raise UsageError(f"{options.book} holds no book: name a checkout with --book")
        options.command(Book(options.book.resolve()), options)
    except UsageError as error:
        print(plain(f"market-book: {error}"), file=sys.stderr)
        return 2
    except BuildError as error:
        print(plain(str(error)), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; what is finished is kept", file=sys.stderr)
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    whole = argparse.ArgumentParser(prog="market-book", description=helpers.__doc__)
    whole.add_argument("--book", type=Path, default=CHECKOUT, help="checkout (default: this one)")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    own = {}
    for name, command in COMMANDS.items():
        own[name] = commands.add_parser(name, help=command.__doc__)
        own[name].set_defaults(command=command)
    add = own["build"].add_argument
    add("chapter", nargs="*", help="execute only these, and render nothing")
    add("--profile", choices=PROFILES, default="full", help="default: full")
    add("--workers", type=int, help="notebooks at a time (default: one a core)")
    for name in ("run", "example"):
        own[name].add_argument("chapter", help="number, name or beginning of the name")
    add = own["run"].add_argument
    add("--data", type=Path, required=True, metavar="FILE", help="your table")
    add("--out", type=Path, required=True, metavar="DIR", help="for the report")
    add("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE")
    own["check"].add_argument("data", type=Path, metavar="FILE", help="your table")
    for name in ("run", "check"):
        add = own[name].add_argument
        add("--column", action="append", default=[], metavar="NAME=YOURS", help="sales=Umsatz")
        add("--dates", choices=("DMY", "MDY", "YMD"), help="order in which dates are written")
        add("--decimal", choices=(",", "."), help="sign before decimals")
        add("--sheet", metavar="NAME", help="of a spreadsheet")
    own["example"].add_argument("--out", type=Path, metavar="FILE", help="default: CHAPTER.csv")
    return whole


def list_chapters(book: Book, options: argparse.Namespace) -> None:
    """List the chapters, and what each takes besides a file."""
    from helpers.bookmaking import parameters

    for path in book.chapters:
        notebook = read_notebook(path)
        known = read_parameters(notebook)
        print(book.listed(path), f"  {title(notebook)}", sep="\n")
        if "DATA_PATH" in known:
            print("\n".join(parameters.described(path.stem, known)))


def plain(text: str) -> str:
    """Return text of a reader's file without what would steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def build(book: Book, options: argparse.Namespace) -> None:
    """Execute the chapters that changed and render the book."""
    from helpers.bookmaking import execute, render

    chapters = [book.chapter(name) for name in options.chapter]
    html = book.build_directory / ("html" if options.profile == "full" else "html-smoke")
    with execute.only_build(book):
        results = execute.execute_book(
            book, profile=options.profile, chapters=chapters, workers=options.workers
        )
        execute.say(execute.summary(results))
        execute.raise_for_failures(results)
        execute.raise_for_size(results)
        if chapters:
            return
        work = book.build_directory / "render"
        rendered = render.render_book(book, results, html=html, work=work)
    print(f"{'rendered' if rendered else 'nothing to render in'} {html / 'index.html'}")


def warm(book: Book, options: argparse.Namespace) -> None:
    """Compile what the chapters share."""
    from helpers.bookmaking import execute

    command = [sys.executable, "-P", "-m", "helpers.bookmaking.warm"]
    environment = execute.kernel_environment(book.build_directory / "cache")
    if subprocess.run(command, env=environment).returncode:
        raise BuildError("the shared models cannot be compiled")


def reading_of(options: argparse.Namespace) -> dict[str, Any]:
    """Collect the options that say how to read a file, as `tidy_file` takes them."""
    columns = dict(text.partition("=")[::2] for text in options.column)
    if wrong := [f"{name}={yours}" for name, yours in columns.items() if not (name and yours)]:
        raise UsageError(f"--column {wrong[0]}: write the chapter's name, =, and yours")
    given = {name: getattr(options, name) for name in ("dates", "decimal", "sheet")}
    return {"columns": columns} | given


def check(book: Book, options: argparse.Namespace) -> None:
    """Say what your file is and which chapters it fits."""
    from helpers.bookmaking import own

    print(*map(plain, own.check(book, options.data, reading_of(options))), sep="\n")


def example(book: Book, options: argparse.Namespace) -> None:
    """Write a file that a chapter takes."""
    from helpers.bookmaking import own

    print(*own.example(book.chapter(options.chapter), options.out), sep="\n")


def run(book: Book, options: argparse.Namespace) -> None:
    """Execute a chapter on your own data."""
    from helpers.bookmaking import own

    given = options.data, options.out, options.parameter, reading_of(options)
    print(*own.run_on_data(book, book.chapter(options.chapter), *given), sep="\n")


COMMANDS = {
    "check": check,
    "example": example,
    "run": run,
    "list": list_chapters,
    "build": build,
    "warm": warm,
}

if __name__ == "__main__":
    sys.exit(main())
