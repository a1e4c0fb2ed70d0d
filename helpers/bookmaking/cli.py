"""The command `market-book`."""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
from pathlib import Path

import helpers
from helpers.bookmaking.book import PROFILES, Book, read_notebook, title
from helpers.bookmaking.errors import BuildError, UsageError
from helpers.bookmaking.parameters import read_parameters

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

    lister = commands.add_parser("list", help="list the chapters and their parameters")
    lister.set_defaults(command=list_chapters)

    builder = commands.add_parser("build", help="execute the chapters and render the book")
    builder.add_argument("chapter", nargs="*", help="execute only these, and render nothing")
    builder.add_argument("--profile", choices=PROFILES, default="full", help="default: full")
    builder.add_argument("--workers", type=int, help="notebooks at a time (default: one a core)")
    builder.set_defaults(command=build)

    warmer = commands.add_parser("warm", help="compile what the chapters share")
    warmer.set_defaults(command=warm)

    runner = commands.add_parser("run", help="execute a chapter on your own data")
    runner.add_argument("chapter", help="number, name or beginning of the name")
    runner.add_argument("--data", type=Path, required=True, metavar="FILE", help="your CSV")
    runner.add_argument("--out", type=Path, required=True, metavar="DIR", help="for the report")
    runner.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE")
    runner.set_defaults(command=run)
    return whole


def list_chapters(book: Book, options: argparse.Namespace) -> None:
    """Print each chapter, its title and its parameters."""
    for path in book.chapters:
        notebook = read_notebook(path)
        print(f"{book.listed(path)}\n  {title(notebook)}")
        for name, default in read_parameters(notebook).items():
            print(f"    {name} = {ast.unparse(default)}")


def build(book: Book, options: argparse.Namespace) -> None:
    """Execute what changed, then render."""
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
    """Fill the chapters' compilation caches."""
    from helpers.bookmaking import execute

    command = [sys.executable, "-P", "-m", "helpers.bookmaking.warm"]
    environment = execute.kernel_environment(book.build_directory / "cache")
    if subprocess.run(command, env=environment).returncode:
        raise BuildError("the shared models cannot be compiled")


def run(book: Book, options: argparse.Namespace) -> None:
    """Execute one chapter on the reader's data and write a report."""
    from helpers.bookmaking.report import run_on_data

    chapter = book.chapter(options.chapter)
    for path in run_on_data(book, chapter, options.data, options.out, options.parameter):
        print(path)


if __name__ == "__main__":
    sys.exit(main())
