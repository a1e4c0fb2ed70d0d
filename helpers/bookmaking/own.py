"""Chapters on the reader's own data: what they read, how long they take, and how one is run."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
from nbformat.v4 import new_markdown_cell

from helpers.bookmaking import parameters
from helpers.bookmaking.book import (
    Book,
    BuildError,
    UsageError,
    has_tag,
    parameterised,
    read_notebook,
    read_parameters,
    title,
    write_together,
)
from helpers.bookmaking.execute import Result, execute_one, raise_for_failures, say
from helpers.cities.load import load_two_cities
from helpers.cities.simulate import simulate_two_cities
from helpers.data.columns import DataError, DataNote, DataWarning, listed, numbers
from helpers.data.dates import parse_dates
from helpers.data.readers import read_table, tidy_file
from helpers.media.load import load_market_panel, load_media
from helpers.media.simulate import simulate_markets
from helpers.prices.load import load_price_panel
from helpers.prices.simulate import simulate_prices
from helpers.stores.load import load_stores
from helpers.stores.simulate import simulate_stores

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """What the chapters of a Part read: a loader, and its arguments as parameters name them."""

    load: Callable[..., Any]
    told: Mapping[str, str]
    size: Callable[[Any], float]  # of what was loaded, as CHAPTERS counts it
    example: Callable[[], pd.DataFrame]

    def loaded(self, path: Path, values: Values) -> Any:
        """Load a file as the chapter will, or raise a `DataError`."""
        told = {name: values[given] for name, given in self.told.items() if given in values}
        own = self.load(path, **told)
        if values.get("NEW_INCOME") is not None and own.income is None:
            raise DataError(
                "NEW_INCOME: an income says nothing, for the file has no column median_income; "
                "add the column, or leave NEW_INCOME out"
            )
        if values.get("SCALE") == "log" and (own.sales == 0).any():
            from helpers.cities.model import prepare  # and with it PyMC

            prepare(own, scale="log")
        return own


def _one_market() -> pd.DataFrame:
    panel = simulate_markets(2, seed=1, n_weeks=156).data
    return panel[panel["market"] == panel["market"].iloc[0]].drop(columns="market")


CITIES = Part(
    load_two_cities,
    {"cities": "CITIES"},
    size=lambda own: len(own.dates),
    example=lambda: simulate_two_cities(730, seed=1).data,
)
PRICES = Part(
    load_price_panel,
    {},
    size=lambda own: len(own.regions),
    example=lambda: simulate_prices(12, seed=1).data,
)
ROLES = {"date": "DATE", "target": "TARGET", "channels": "CHANNELS", "controls": "CONTROLS"}
MEDIA = Part(
    load_media,
    ROLES | {"yearly_modes": "YEARLY_MODES", "held_out": "HELD_OUT"},
    size=lambda own: len(own) * len(own.channels),
    example=_one_market,
)
MARKETS = Part(
    load_market_panel,
    {"date": "DATE_COLUMN", "market": "MARKET_COLUMN", "target": "TARGET_COLUMN"}
    | {"channels": "CHANNELS", "controls": "CONTROL_COLUMNS"},
    size=len,
    example=lambda: simulate_markets(6, seed=1, n_weeks=104).data,
)
STORES = Part(
    load_stores,
    {"n_stores": "N_STORES", "n_days": "N_DAYS", "held_out": "N_HELD_OUT"},
    size=lambda own: own.sales.size,
    example=lambda: simulate_stores(100, seed=1).data,
)

#: The chapters that take a file, and about how long each takes on two cores once it is compiled:
#: seconds at least, and for each unit of size with published draws.
CHAPTERS = {
    "shocks-both-cities-share": (CITIES, 30, 0.05),
    "what-the-ads-did": (CITIES, 40, 0.08),
    "multilevel-elasticities": (PRICES, 25, 0.2),
    "new-regions-and-best-prices": (PRICES, 35, 0.25),
    "media-mix-case-study": (MEDIA, 22, 0.035),
    "what-to-believe-in-a-media-mix-model": (MEDIA, 25, 0.05),
    "hierarchical-markets": (MARKETS, 30, 0.035),
    "a-thousand-stores": (STORES, 12, 6e-6),
    "new-stores": (STORES, 12, 4e-6),
    "beyond-one-machine": (STORES, 18, 9e-6),
}


@contextmanager
def heard(data: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Notes and warnings while a file is read; one that cannot be used is refused in a line."""
    notes: list[str] = []
    warned: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield notes, warned
        except (DataError, OSError) as error:
            message = str(error).strip().splitlines()[0]
            raise BuildError(f"{data}: {message.removeprefix(f'{data.name}: ')}") from None
    for kind, texts in ((DataNote, notes), (DataWarning, warned)):
        texts += dict.fromkeys(str(w.message) for w in caught if issubclass(w.category, kind))


def part_of(chapter: Path) -> Part:
    """Find what a chapter reads, or say that it reads nothing."""
    if chapter.stem not in CHAPTERS:
        takers = "".join(f"\n  {stem}" for stem in CHAPTERS)
        raise UsageError(f"{chapter.stem} takes no data; these do:{takers}")
    return CHAPTERS[chapter.stem][0]


@contextmanager
def scratch(book: Book) -> Iterator[tuple[Book, Path]]:
    """A folder for one run, beside caches that can be written to; gone whatever happens."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    for folder in (book.build_directory, home / "market-book", None):
        with suppress(OSError, RuntimeError):
            place = folder or Path(tempfile.gettempdir()) / f"market-book-{os.getuid()}"
            (place / "cache").mkdir(parents=True, exist_ok=True)
            work = tempfile.TemporaryDirectory(
                prefix="run-", dir=place / "cache", ignore_cleanup_errors=True
            )
            break
    else:
        raise UsageError("no folder can be written to; set TMPDIR to one")
    with work as name, stoppable():
        yield replace(book, elsewhere=place), Path(name)


@contextmanager
def stoppable() -> Iterator[None]:
    """Let a request to end, or a closed terminal, unwind as Ctrl-C does."""

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def at_hand(data: Path, part: Part | None, folder: Path) -> Path:
    """Return a reader's file, or a copy of what comes through a pipe."""
    if str(data) == "-":
        data = Path("/dev/stdin")
    if not data.exists():
        raise UsageError(f"{data}: no such file")
    if data.is_dir():
        if part in (None, STORES):  # Kaggle's two files
            return data
        raise UsageError(f"{data}: a folder; name the file in it")
    if data.is_file() and data.parts[1:2] != ("dev",):
        return data
    if data.is_char_device():
        raise UsageError(f"{data}: no file and no pipe; name your file")
    with data.open("rb") as source, (folder / "piped.csv").open("wb") as target:
        shutil.copyfileobj(source, target)
    return folder / "piped.csv"


def tidied(path: Path, reading: Values, folder: Path) -> Path:
    """Return the file itself, or a clean copy if it takes options to read it."""
    return tidy_file(path, **reading, to=folder / "data.parquet") if any(reading.values()) else path


def minutes(seconds: float) -> str:
    """A time as one says it."""
    return f"{5 * round(seconds / 5)} s" if seconds < 90 else f"{round(seconds / 60)} minutes"


class Progress:
    """Say which section of a chapter runs, and about how long the rest takes."""

    def __init__(self, notebook: nbformat.NotebookNode, expected: float):
        self.sections = [""]
        for cell in notebook.cells:
            heading = cell.source.partition("\n")[0]
            named = cell.cell_type == "markdown" and heading.startswith("#")
            self.sections.append(heading.strip("# ") if named else self.sections[-1])
        self.end, self.last = time.monotonic() + expected, ""

    def __call__(self, cell: int) -> None:
        """Hear of a cell that starts."""
        section, left = self.sections[cell + 1], self.end - time.monotonic()
        rest = f"about {minutes(left)} left" if left > 4 else "a little longer than expected"
        line = f"  {cell + 1} of {len(self.sections) - 1}: {section}, {rest}"
        if sys.stdout.isatty():
            line = line[: shutil.get_terminal_size().columns - 1]
            print(f"\r\033[K{line}", end="", flush=True)
        elif section != self.last:
            say(line)
        self.last = section


def run_on_data(
    book: Book, chapter: Path, data: Path, out: Path, assignments: list[str], reading: Values
) -> list[Path]:
    """Execute a chapter on a file of the reader; returns the files written.

    Cells tagged `simulated` concern the book's own study and are left out. Nothing is written
    unless the chapter comes to its end, but for a report on a sampler that has failed twice.
    """
    from helpers.bookmaking.report import answer_of, as_html

    part, known = part_of(chapter), read_parameters(read_notebook(chapter))
    values, remarks = parameters.checked(chapter.stem, known, assignments)
    check_output_directory(out)
    failure = None
    with scratch(book) as (book, folder):
        path = at_hand(data, part, folder)
        with heard(data) as (notes, warned):
            path = tidied(path, reading, folder)
            size = part.size(part.loaded(path, values))
        warned += remarks
        for line in [*notes, *warned]:
            say(line)
        name = f"data{'' if path.is_dir() else path.suffix}"
        (folder / "cwd").mkdir()
        (folder / "cwd" / name).symlink_to(path.resolve())  # no folder of the reader's is shown
        values["DATA_PATH"] = name
        result, notebook = execute(book, chapter, values, size, folder)
        if (error := result.error) and error["type"] == "NotConverged":
            say(f"{error['message']}: not good enough; once more with twice the draws")
            values |= {key: 2 * values[key] for key in ("DRAWS", "TUNE") if key in values}
            result, notebook = execute(book, chapter, values, size, folder)
            error = result.error
        if error and error["type"] == "NotConverged":
            failure = what_to_change(error["message"], values)
        elif error and error["type"] == "DataError":
            raise BuildError(f"{data}: {error['message']}")
        else:
            raise_for_failures([result])
            notebook = without_stderr(read_notebook(result.path))
    html = as_html(
        notebook,
        data_name=data.resolve().name,
        notes=notes,
        warnings=warned,
        failure=failure,
        bibliography=book.root / "book" / "references.bib",
    )
    answer = None if failure else answer_of(notebook)
    texts = {f"{chapter.stem}.html": html, f"{chapter.stem}.ipynb": nbformat.writes(notebook)}
    if answer:
        texts["results.csv"] = answer["results"]
    write_together({out / name: text.rstrip("\n") + "\n" for name, text in texts.items()})
    if answer:
        say(f"{answer['answer']}\n{answer['decision']}")
    else:
        (out / "results.csv").unlink(missing_ok=True)  # of another run
    if failure:
        raise BuildError(f"{failure}\n{out / f'{chapter.stem}.html'}")
    return [out / name for name in texts]


def execute(
    book: Book, chapter: Path, values: Values, size: float, folder: Path
) -> tuple[Result, nbformat.NotebookNode]:
    """Execute what of a chapter concerns the reader; returns also what was to be executed."""
    notebook = for_own_data(chapter, values)
    seconds = expected_seconds(chapter, size, values)
    say(f"{chapter.stem}: about {minutes(seconds)}, and longer the first time")
    target = folder / f"{chapter.stem}-{folder.name}.ipynb"
    progress = Progress(notebook, seconds)
    done = execute_one(
        book, chapter.stem, notebook, target, about={}, scratch=folder, started=progress
    )
    if sys.stdout.isatty():
        print("\r\033[K", end="", flush=True)
    return done, notebook


def expected_seconds(chapter: Path, size: float, values: Values) -> float:
    """About how long a chapter takes."""
    published = parameters.defaults(read_parameters(read_notebook(chapter)))

    def draws(of: Values) -> float:
        return of.get("CHAINS", 1) * (of["DRAWS"] + of.get("TUNE", 0))

    _, least, each = CHAPTERS[chapter.stem]
    return least + each * size * draws(values) / draws(published)


def what_to_change(message: str, values: Values) -> str:
    """Say what may help where the sampler has not passed, not even with twice the draws."""
    more = {name: 2 * values[name] for name in ("DRAWS", "TUNE") if name in values}
    if "TARGET_ACCEPT" in values:
        more["TARGET_ACCEPT"] = (1 + values["TARGET_ACCEPT"]) / 2
    words = " ".join(f"-p {name}={value:g}" for name, value in more.items())
    return (
        f"The sampler has not passed, nor with twice the draws ({message}), so there are no "
        f"estimates. Give it more: {words}. If that does not help, ask less of the data: fewer "
        "channels, groups or controls, or a longer period."
    )


def without_stderr(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop what libraries say to their developers."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def for_own_data(chapter: Path, values: Values) -> nbformat.NotebookNode:
    """Prepare a chapter to run on the reader's file."""
    notebook = parameterised(chapter, values)
    heading = title(notebook)
    notebook.cells = [cell for cell in notebook.cells if not has_tag(cell, "simulated")]
    if title(notebook) != heading:  # its cell tells of the book's own study
        notebook.cells.insert(0, new_markdown_cell(f"# {heading}", id="title"))
    return notebook


def check_output_directory(out: Path) -> None:
    """Refuse a place that cannot be written to before minutes are spent."""
    existing = next(path for path in [out, *out.absolute().parents] if path.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK)):
        raise UsageError(f"{existing} is not a directory that can be written to")


#: What the examples need to be told.
TOLD = {"CHANNELS": "tv,radio,online", "UNIT_COST_EUR": "0.8"}


def example(chapter: Path, out: Path | None) -> list[str]:
    """Write a file that a chapter takes; returns what it is and the command that runs on it."""
    frame = part_of(chapter).example()
    path = out or Path(f"{chapter.stem}.csv")
    if path.exists():
        raise UsageError(f"{path} is there already; name another with --out")
    try:
        write_together({path: frame.to_csv(index=False)})
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    known = read_parameters(read_notebook(chapter))
    needed = [name for name in known if parameters.parameter(chapter.stem, name).needed]
    words = "".join(f" -p {name}={TOLD[name]}" for name in needed)
    command = f"market-book run {chapter.stem} --data {shlex.quote(str(path))} --out report{words}"
    return [f"{path}: {len(frame):,} rows, columns {', '.join(frame.columns)}", command]


def check(book: Book, data: Path, reading: Values) -> list[str]:
    """Say what a file is, which chapters it fits, and what the others would need."""
    with tempfile.TemporaryDirectory() as folder:
        path = at_hand(data, None, Path(folder))
        with heard(data) as (notes, _):
            path = tidied(path, reading, Path(folder))
            frame = None if path.is_dir() else typed(read_table(path))
        lines = [f"{data.name}: {len(frame):,} rows" if frame is not None else f"{data.name}:"]
        lines += [f"  {note}" for note in notes]
        if frame is not None:
            lines += [*about_columns(frame), *about_time(frame)]
        fits: list[str] = []
        misfits: dict[str, list[str]] = {}
        guess = {} if frame is None else guessed(frame)
        for chapter in (path for path in book.chapters if path.stem in CHAPTERS):
            part, known = part_of(chapter), read_parameters(read_notebook(chapter))
            mine = {name: value for name, value in guess.items() if name in known}
            values = parameters.defaults(known) | mine
            try:
                with heard(data) as (_, warned):
                    size = part.size(part.loaded(path, values))
            except BuildError as error:
                reason = str(error).removeprefix(f"{data}: ")
                misfits.setdefault(reason, []).append(book.listed(chapter).strip())
                continue
            told = "".join(f" -p {n}={shlex.quote(','.join(v))}" for n, v in mine.items() if v)
            time = minutes(expected_seconds(chapter, size, values))
            fits += [f"  {book.listed(chapter)}, about {time}{told and ', with'}{told}"]
            fits += [f"       {warning}" for warning in warned]
    lines += ["It fits", *fits] if fits else ["It fits no chapter"]
    for reason, chapters in misfits.items():
        lines += [f"For {', '.join(chapters)}", f"  {reason}"]
    return lines


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns as dates, numbers or text, whichever all their values are."""

    def read(name: str) -> pd.Series:
        readings = [parse_dates, lambda frame, name: numbers(frame, name, ())]
        for how in readings if "date" in name.lower() else reversed(readings):
            with suppress(DataError, ValueError, TypeError, OverflowError):
                return how(frame, name)
        return frame[name].astype("str")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pd.DataFrame({name: read(name) for name in frame.columns})


def guessed(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Take columns of numbers for spend, or for controls where they are 0/1 or below zero."""
    own = {"date", "market", "sales", "city", "store", "region_id", "store_id", "time_step"}
    numeric = [c for c in frame.select_dtypes("number") if c.strip().lower() not in own]
    controls = [c for c in numeric if frame[c].min() < 0 or frame[c].isin([0, 1]).all()]
    spend = [c for c in numeric if c not in controls]
    return {"CHANNELS": spend, "CONTROLS": controls, "CONTROL_COLUMNS": controls}


def about_columns(frame: pd.DataFrame) -> list[str]:
    """A line on each column."""
    lines = []
    for name, column in frame.items():
        blank, about = int(column.isna().sum()), ""
        if pd.api.types.is_datetime64_any_dtype(column.dtype):
            about = f"dates, {column.min():%Y-%m-%d} to {column.max():%Y-%m-%d}"
        elif pd.api.types.is_numeric_dtype(column.dtype):
            about = f"numbers, {column.min():g} to {column.max():g}" if blank < len(column) else ""
        else:
            about = f"{column.nunique():,} different: {listed(column.dropna().unique(), 3)}"
        about = ", ".join(filter(None, [about, f"{blank:,} blank" * (blank > 0)]))
        lines.append(f"  {name}: {about}")
    return lines


def about_time(frame: pd.DataFrame) -> list[str]:
    """Say at which step rows follow one another, in which groups, and with how many gaps."""
    dates = [name for name in frame if pd.api.types.is_datetime64_any_dtype(frame[name].dtype)]
    if not dates:
        return ["  no column of dates"]
    date, few = dates[0], frame.nunique() < len(frame) / 5
    others = [name for name in frame if name != date and few[name]]
    choices = [list(keys) for n in range(3) for keys in combinations(others, n)]
    repeats = [int(frame.duplicated([date, *keys]).sum()) for keys in choices]
    groups = choices[repeats.index(min(repeats))]
    ordered = frame.sort_values([*groups, date])
    steps = (ordered.groupby(groups)[date] if groups else ordered[date]).diff().dt.days.dropna()
    steps = steps[steps > 0]
    if steps.empty:
        return []
    usual = int(steps.mode()[0])
    gaps = int((steps > usual).sum())
    each = f", for each {' and '.join(groups)}" if groups else ""
    step = "day" if usual == 1 else f"{usual} days"
    repeated = f", {min(repeats):,} repeated" if min(repeats) else ""
    return [f"  a row every {step}{each}, {gaps or 'no'} gap{'s' * (gaps != 1)}{repeated}"]
