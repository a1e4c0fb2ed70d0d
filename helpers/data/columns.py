"""What a column must hold, and the one line that refuses it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

_ISO_DATE = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?"


class DataError(ValueError):
    """A reader's data cannot be used as they are; the message says how to mend them."""


def listed(names: Sequence, limit: int = 10) -> str:
    """Join names with commas, at most ``limit`` of them."""
    names = [str(name) for name in names]
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _count(n: int, kind: str) -> str:
    return f"{n} {kind.format(s='' if n == 1 else 's')}"


def _shown(value) -> str:
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def refuse(
    frame: pd.DataFrame,
    bad: pd.Series,
    column: str,
    kind: str,
    mend: str,
    keys: Sequence[str] = (),
) -> None:
    """Raise if a row is ``bad``: the column, how many, the first one with its place, the mend.

    ``{s}`` in ``kind`` takes the plural; ``keys``, parsed dates and groups, say where a value is.
    """
    if not bad.any():
        return
    label = bad.idxmax()
    value = frame.at[label, column]
    shown = "" if pd.isna(value) else f" {value!r}" if isinstance(value, str) else f" {value}"
    if keys:
        date, *groups = keys
        place = f"on {frame.at[label, date]:%Y-%m-%d}"
        place += "".join(f" in {frame.at[label, group]}" for group in groups)
    else:
        place = f"in row {label + 2}"
    raise DataError(f"{column}: {_count(bad.sum(), kind)} (first{shown} {place}); {mend}")


def require_columns(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse a frame that lacks a column, and list the missing and the present ones."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        noun, mend = ("column", "it") if len(missing) == 1 else ("columns", "them")
        raise DataError(
            f"{', '.join(missing)}: {noun} missing (present: {listed(frame.columns)}); "
            f"rename or add {mend}"
        )


def parse_dates(frame: pd.DataFrame, column: str = "date") -> pd.Series:
    """Dates of a column, whole days without a time zone; a ``DataError`` for others."""
    written = frame[column]
    if isinstance(written.dtype, pd.DatetimeTZDtype):
        dates = written.dt.tz_localize(None)
    elif pd.api.types.is_datetime64_dtype(written.dtype):
        dates = written
    else:
        text = written.astype("string").str.strip()
        text = text.where(text.str.fullmatch(_ISO_DATE).fillna(False).astype(bool))
        dates = pd.to_datetime(text, format="ISO8601", errors="coerce")
    refuse(frame, dates.isna(), column, "unreadable date{s}", "write dates as YYYY-MM-DD")
    within = dates != dates.dt.normalize()
    refuse(frame, within, column, "time{s} within a day", "add sales up to one row a day")
    return dates


def check_unique(frame: pd.DataFrame, keys: Sequence[str] = ("date", "city")) -> None:
    """Refuse two rows with the same keys, dates parsed."""
    repeated = frame.duplicated(list(keys))
    if repeated.any():
        label = repeated.idxmax()
        first = map(_shown, frame.loc[label, list(keys)])
        raise DataError(
            f"{', '.join(keys)}: {_count(repeated.sum(), 'repeated row{s}')} "
            f"(first {', '.join(first)} in row {label + 2}); add them up or drop the repeats"
        )


def text(frame: pd.DataFrame, column: str) -> pd.Series:
    """Names in a column, none of them blank; a whole number carries no ``.0``."""
    written = frame[column]
    if pd.api.types.is_float_dtype(written.dtype) and (written.dropna() % 1 == 0).all():
        written = written.astype("Int64")
    names = written.astype("string").str.strip()
    blank = names.isna() | (names == "")
    refuse(frame, blank, column, "blank value{s}", f"write the {column} on every row")
    return names.astype(str)


def check_calendar(
    frame: pd.DataFrame, keys: Sequence[str] = ("date", "city"), *, value: str = "sales"
) -> None:
    """Refuse missing days between the first and the last of each group."""
    date, group = keys
    for name, dates in frame.groupby(group)[date]:
        missing = pd.date_range(dates.min(), dates.max()).difference(pd.DatetimeIndex(dates))
        if len(missing):
            raise DataError(
                f"{date}: {_count(len(missing), 'day{s}')} missing in {name} "
                f"(first {missing[0]:%Y-%m-%d}); add a row for each day, "
                f"with {value} blank where {name} was closed"
            )


def numbers(
    frame: pd.DataFrame,
    column: str,
    keys: Sequence[str] = ("date", "city"),
    *,
    blank: str | None = None,
    negative: str | None = None,
) -> pd.Series:
    """Values of a column as finite floats; ``blank`` and ``negative`` say how to mend such ones."""
    written = frame[column]
    if not pd.api.types.is_numeric_dtype(written.dtype):
        written = written.astype("string").str.strip().replace("", pd.NA)
    values = pd.to_numeric(written, errors="coerce").astype(float)
    refuse(
        frame,
        values.isna() & written.notna(),
        column,
        "non-numeric value{s}",
        "write numbers with a decimal point, without thousands separators or units",
        keys,
    )
    refuse(frame, np.isinf(values), column, "infinite value{s}", "correct the export", keys)
    if blank is not None:
        refuse(frame, values.isna(), column, "blank value{s}", blank, keys)
    if negative is not None:
        refuse(frame, values < 0, column, "negative value{s}", negative, keys)
    return values
