"""Read a reader's table from a file, as people and programs write them."""

from __future__ import annotations

import csv
import io
import os
import re
import tempfile
import warnings
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.data.columns import (
    DataError,
    DataWarning,
    decimal_marks,
    listed,
    note,
    plain,
    take_columns,
)

_ENDINGS = (".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".parquet")
_SEPARATORS = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas"}
#: What a first cell holds that is no name: a number or a date.
_VALUE = re.compile(r"[-+\d.,:/ ]*\d[-+\d.,:/ ]*")
#: Rows among which the header is looked for.
_TOP = 200


def read_table(path: str | Path | pd.DataFrame, *, sheet: str | None = None) -> pd.DataFrame:
    """Table of a file of text, a spreadsheet or a Parquet file; a ``DataError`` if there is none.

    A table in memory is taken as it is.

    Text stays text until a loader asks for numbers or dates: ids are as they are written.
    ``index + 2`` is the row as a spreadsheet counts it; ``attrs`` may hold the file's ``decimal``
    mark and ``dates``. What was done is told by a ``DataNote``.
    """
    if isinstance(path, pd.DataFrame):
        return path
    path = Path(path)
    name = path.name
    if path.is_dir():
        raise DataError(f"{name}: a folder; give the file in it")
    if not path.exists():
        raise DataError(f"{name}: no such file; check the path")
    if path.suffix.lower() not in _ENDINGS:
        raise DataError(
            f"{name}: the file ends in {path.suffix!r}; save it as .csv, .xlsx or .parquet"
        )
    try:
        content = path.read_bytes()
        if not content.strip():
            raise DataError(f"{name}: the file is empty; export it again")
        if content[:4] in (b"PK\3\4", b"\xd0\xcf\x11\xe0"):  # whatever the name ends in
            frame = _spreadsheet(content, name, sheet)
        elif content[:4] == b"PAR1" or path.suffix.lower() == ".parquet":
            frame = _parquet(content)
        else:
            frame = _text(content, name)
    except DataError:
        raise
    except Exception as error:  # each library has exceptions of its own
        reason = " ".join(str(error).split())
        raise DataError(
            f"{name}: unreadable ({reason}); save it as UTF-8 text with as many fields a row as "
            "the header has, as .xlsx or as .parquet"
        ) from error
    named = [str(c).strip() for c in frame.columns]
    for column in dict.fromkeys(filter(None, named)):
        if (n := named.count(column)) > 1:
            raise DataError(f"{column}: {n} columns of this name; drop or rename all but one")
    frame = frame.loc[:, list(map(bool, named))].dropna(how="all")
    if frame.empty:
        raise DataError(f"{name}: no rows under the header; export it again")
    frame.attrs["file"] = True  # what a loader tells of simulated tables nobody needs to hear
    if "decimal" not in frame.attrs:
        _find_decimal(frame, semicolons=frame.attrs.pop("semicolons", False))
    return frame


def _parquet(content: bytes) -> pd.DataFrame:
    frame = pd.read_parquet(io.BytesIO(content))
    if not isinstance(frame.index, pd.RangeIndex) and (
        any(frame.index.names) or isinstance(frame.index, pd.DatetimeIndex | pd.PeriodIndex)
    ):
        names = ["date"] if list(frame.index.names) == [None] else frame.index.names
        note(f"columns taken from the index: {', '.join(map(str, names))}")
        frame = frame.reset_index(names=list(names))
    for column, kind in frame.dtypes.items():
        if isinstance(kind, pd.CategoricalDtype):
            frame[column] = frame[column].astype(kind.categories.dtype)
        elif isinstance(kind, pd.PeriodDtype):
            frame[column] = frame[column].dt.to_timestamp()
    return frame


def _spreadsheet(content: bytes, name: str, sheet: str | None) -> pd.DataFrame:
    book = pd.ExcelFile(io.BytesIO(content), engine="calamine")
    sheets = [str(s) for s in book.sheet_names]
    if sheet is not None and sheet not in sheets:
        raise DataError(f"{name}: no sheet {sheet!r}; there are {', '.join(map(repr, sheets))}")
    taken = sheets[0] if sheet is None else sheet
    cells = pd.read_excel(book, taken, header=None, keep_default_na=False, na_values=[""])
    if len(sheets) > 1:
        others = ", ".join(repr(s) for s in sheets if s != taken)
        note(f"sheet {taken!r} is read; there are others ({others}): --sheet NAME takes one")
    rows = [["" if pd.isna(c) else str(c) for c in row] for row in cells.head(_TOP).to_numpy()]
    if not any(len([c for c in row if c]) > 1 for row in rows):
        raise DataError(f"{name}: no table in sheet {taken!r}; name another with --sheet")
    top = _header(rows, name)
    frame = cells.iloc[top + 1 :].set_axis(rows[top], axis=1).infer_objects()
    return frame.set_axis(frame.index - 1)


def _text(content: bytes, name: str) -> pd.DataFrame:
    written = _decode(content)
    if not written.strip():
        raise DataError(f"{name}: the file is empty; export it again")
    lines = io.StringIO(written, newline="")
    top_lines = list(islice(lines, _TOP))
    skip = 0
    if told := re.match(r"sep=(.)\s*$", top_lines[0]):
        skip = 1
        note(f"the line sep={told[1]} says what stands between columns")
    if top_lines[0].lstrip().startswith("<"):
        raise DataError(f"{name}: a web page; open it in a spreadsheet and save it as .xlsx")
    separators = [told[1]] if told else _SEPARATORS
    tables = {sep: list(csv.reader(top_lines[skip:], delimiter=sep)) for sep in separators}
    sep = next((s for s, rows in tables.items() if _is_table(rows)), ",")
    rows = tables.get(sep) or list(csv.reader(top_lines[skip:], delimiter=sep))
    if sep != "," and not told:
        note(f"{_SEPARATORS[sep]} stand between the columns")
    top = _header(rows, name)
    # lines before the header, of which a quoted cell may hold more than one
    reader = csv.reader(top_lines[skip:], delimiter=sep)
    for _ in range(top + 1):
        next(reader)
    first = skip + reader.line_num
    with warnings.catch_warnings():
        # pandas drops surplus fields with a warning: "12,5" would be read as 12.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        frame = pd.read_csv(
            io.StringIO("".join(top_lines[first:]) + lines.read(), newline=""),
            sep=sep,
            header=None,
            names=range(len(rows[top])),
            dtype=str,
            keep_default_na=False,  # only an empty field is missing: NA may be a city
            na_values=[""],
            skip_blank_lines=False,  # for the numbers of the rows
            index_col=False,
            low_memory=False,
        )
    frame = frame.set_axis(rows[top], axis=1).set_axis(frame.index + first - 1)
    frame.attrs["semicolons"] = sep == ";"
    _tell_short_rows(written, sep, len(rows[top]), first)
    return frame


def _tell_short_rows(written: str, sep: str, n_columns: int, first: int) -> None:
    """Warn of rows that end early, as a download that broke off leaves them."""
    if '"' in written or written.count(sep) >= (n_columns - 1) * written.count("\n"):
        return
    lines = pd.Series(written.splitlines()[first:], dtype="str")
    short = lines.str.count(re.escape(sep)).lt(n_columns - 1) & (lines.str.strip() != "")
    if short.any():
        message = f"{short.sum()} rows end early (first row {short.idxmax() + first + 1})"
        note(f"{message}: what is missing there is taken as blank", DataWarning)


def _decode(content: bytes) -> str:
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
    if not encoding and b"\0" in content[:1000]:
        encoding = "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
    if encoding:
        note("read as UTF-16")
        return content.decode(encoding)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        written = content.decode("cp1252")
        odd = re.search(r"\w*[^\x00-\x7f]\w*", written)
        note(f"read as Windows-1252 (it holds {odd[0] if odd else ''!r})")
        return written


def _is_table(rows: list[list[str]]) -> bool:
    """Whether most rows, and one that could be a header, have the same number of fields."""
    counts = [len(row) for row in rows if row]
    usual = max(set(counts), key=counts.count, default=0)
    if usual < 2 or counts.count(usual) < 0.9 * (len(counts) - 5):
        return False
    return any(len(row) >= usual and _is_header(row) for row in rows[:30])


def _is_header(row: list[str]) -> bool:
    filled = [cell for cell in row if cell.strip()]
    return len(filled) >= max(2, len(row) - 1) and not any(map(_VALUE.fullmatch, filled))


def _header(rows: list[list[str]], name: str) -> int:
    """Place of the row that names the columns."""
    counts = [len(row) for row in rows if row]
    usual = max(set(counts), key=counts.count)
    wide = [i for i, row in enumerate(rows) if len(row) >= usual and any(map(str.strip, row))]
    top = next((i for i in wide if _is_header(rows[i])), None)
    if top is None:
        short = next((row for row in rows if _is_header(row)), None)
        if short and len(short) < usual:
            raise DataError(
                f"{name}: unreadable (rows of {usual} fields under {len(short)} names); export it "
                "with as many fields a row as the header has, decimal commas in quotes"
            )
        top = wide[0]
        if sum(bool(_VALUE.fullmatch(cell)) for cell in rows[top]) >= usual / 2:
            raise DataError(f"{name}: no names above the columns; write them in the first row")
    if before := [row for row in rows[:top] if any(map(str.strip, row))]:
        note(f"lines above the header are left out: {len(before)}")
    return top


def _find_decimal(frame: pd.DataFrame, *, semicolons: bool) -> None:
    """Keep the decimal mark in ``attrs`` if columns of numbers can only be read with one."""
    found: set[str] = set()
    for column in frame.select_dtypes(include=["str", "object"]):
        written = frame[column].dropna().head(5000).astype("str").str.strip()
        written = written[written != ""].drop_duplicates()
        if written.str.contains("[.,]").any():
            marks = decimal_marks(written)
            if semicolons and len(marks) == 2 and not written.str.contains(".", regex=False).any():
                marks = [","]
            found |= set(marks) if len(marks) == 1 else set()
    if found == {","}:
        note("numbers have decimal commas")
        frame.attrs["decimal"] = ","
    elif found == {"."}:
        frame.attrs["points"] = True


def tidy_file(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    dates: str | None = None,
    decimal: str | None = None,
    sheet: str | None = None,
    to: str | Path | None = None,
) -> Path:
    """Write a file that a loader reads without questions, and return its path.

    Parameters
    ----------
    path : str or pathlib.Path
        A file that :func:`read_table` reads.
    columns : mapping, optional
        A loader's names of columns, each with the file's: ``{"sales": "Umsatz"}``.
    dates, decimal, sheet : str, optional
        ``"DMY"``, ``"MDY"`` or ``"YMD"``; ``","`` or ``"."``; the name of a sheet.
    to : path, optional
        Where to write, by default to a new folder.

    Returns
    -------
    pathlib.Path
        A Parquet file, for ``DATA_PATH``.
    """
    if dates not in (None, "DMY", "MDY", "YMD"):
        raise DataError(f"dates: {dates!r} is none of DMY, MDY, YMD")
    if decimal not in (None, ",", "."):
        raise DataError(f"decimal: {decimal!r} is neither , nor .")
    frame = read_table(path, sheet=sheet)
    if columns:
        given = list(columns.values())
        if repeated := [name for name in given if given.count(name) > 1]:
            raise DataError(f"{repeated[0]}: named twice; give each column one role")
        taken = take_columns(frame, given, told=False).set_axis(list(columns), axis=1)
        note("columns taken: " + listed([f"{w} as {known}" for known, w in columns.items()]))
        rest = [c for c in frame.columns if plain(c) not in {*map(plain, [*given, *columns])}]
        taken.attrs = frame.attrs
        frame = taken.assign(**{str(c): frame[c] for c in rest})
    frame.attrs |= {k: v for k, v in {"dates": dates, "decimal": decimal}.items() if v}
    frame.columns = [str(c) for c in frame.columns]
    mixed = [c for c, kind in frame.dtypes.items() if kind == np.dtype(object)]
    frame = frame.astype(dict.fromkeys(mixed, "str"))
    to = Path(to) if to else Path(tempfile.mkdtemp(prefix="market-book-")) / "table.parquet"
    part = to.with_name(f".{to.name}.{os.getpid()}")
    frame.to_parquet(part)
    part.replace(to)
    return to
