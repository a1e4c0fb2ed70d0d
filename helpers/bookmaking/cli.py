"""The command `market-book`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import helpers
from helpers.bookmaking.book import PROFILES, Book, BuildError, UsageError

CHECKOUT = Path(helpers.__file__).parents[1]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 is success, 1 a failure of what was built, 2 a wrong command."""
    options = parser().parse_args(arguments)
    try:
        if not (options.book / "_toc.yml").exists():
            raise UsageError(f"{options.book} holds no book: name a checkout with --book")
        options.command(Book(options.book.resolve()), options)
    except UsageError as error:
        print(f"market-book: {error}", file=sys.stderr)
        return 2
    except BuildError as error:
        print(error, file=sys.stderr)
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
    add = own["run"].add_argument
    add("chapter", help="number, name or beginning of the name")
    add("--data", type=Path, required=True, metavar="FILE", help="your CSV")
    add("--out", type=Path, required=True, metavar="DIR", help="for the report")
    add("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE")
    return whole


def list_chapters(book: Book, options: argparse.Namespace) -> None:
    """List the chapters and their parameters."""
    print("\n".join(map(book.described, book.chapters)))


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


def run(book: Book, options: argparse.Namespace) -> None:
    """Execute a chapter on your own data."""
    from helpers.bookmaking.report import run_on_data

    chapter = book.chapter(options.chapter)
    for path in run_on_data(book, chapter, options.data, options.out, options.parameter):
        print(path)


COMMANDS = {"list": list_chapters, "build": build, "warm": warm, "run": run}

if __name__ == "__main__":
    sys.exit(main())
