"""What a column must hold, and the one line that refuses it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

_ISO_DATE = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?"


class DataError(ValueError):
    """A reader's data cannot be used as they are; the message says how to mend them."""


def listed(names: Sequence, limit: int = 10) -> str:
    """Join names with commas, at most ``limit`` of them.

    Parameters
    ----------
    names : sequence
        What to list.
    limit : int
        How many to name.

    Returns
    -------
    str
        The names, and how many were left out.

    Examples
    --------
    >>> listed("abcd", limit=2)
    'a, b and 2 more'
    """
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
    """Raise if a value is bad: the column, how many, the first one with its place, the mend.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table, with a unique index.
    bad : pandas.Series of bool
        Which rows are bad.
    column : str
        The column to name.
    kind : str
        What the bad values are; ``{s}`` takes the plural.
    mend : str
        What the reader can do.
    keys : sequence of str
        Parsed dates and groups, to say where a value stands; without them, its row.

    Raises
    ------
    DataError
        If any row is bad.

    Examples
    --------
    >>> frame = pd.DataFrame({"price": [1, 0, 0]})
    >>> refuse(frame, frame["price"] == 0, "price", "zero price{s}", "drop them")
    Traceback (most recent call last):
    helpers.data.columns.DataError: price: 2 zero prices (first 0 in row 3); drop them
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
    """Refuse a frame that lacks a column.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table.
    columns : sequence of str
        Columns it must have.

    Raises
    ------
    DataError
        If one is missing; the message lists the missing and the present ones.

    Examples
    --------
    >>> require_columns(pd.DataFrame({"day": [], "sales": []}), ["date", "sales"])
    Traceback (most recent call last):
    helpers.data.columns.DataError: date: column missing (present: day, sales); rename or add it
    """
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        noun, mend = ("column", "it") if len(missing) == 1 else ("columns", "them")
        raise DataError(
            f"{', '.join(missing)}: {noun} missing (present: {listed(frame.columns)}); "
            f"rename or add {mend}"
        )


def parse_dates(frame: pd.DataFrame, column: str = "date") -> pd.Series:
    """Dates of a column, a whole day each.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table, its index as :func:`read_table` leaves it.
    column : str
        Column of dates.

    Returns
    -------
    pandas.Series
        Dates without a time zone, dtype ``datetime64``.

    Raises
    ------
    DataError
        If a date is blank, is not written year-month-day, or carries a time within the day.

    Examples
    --------
    >>> parse_dates(pd.DataFrame({"date": ["2021-03-01", "03/02/2021"]}))
    Traceback (most recent call last):
    helpers.data.columns.DataError: date: 1 unreadable date (first '03/02/2021' in row 3); \
write dates as YYYY-MM-DD
    """
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
    """Refuse two rows with the same keys.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table, dates parsed.
    keys : sequence of str
        Columns that tell rows apart.

    Raises
    ------
    DataError
        If a combination of keys is repeated.

    Examples
    --------
    >>> day = pd.Timestamp("2021-03-01")
    >>> check_unique(pd.DataFrame({"date": [day, day], "city": ["A", "A"]}))
    Traceback (most recent call last):
    helpers.data.columns.DataError: date, city: 1 repeated row (first 2021-03-01, A in row 3); \
add them up or drop the repeats
    """
    repeated = frame.duplicated(list(keys))
    if repeated.any():
        label = repeated.idxmax()
        first = map(_shown, frame.loc[label, list(keys)])
        raise DataError(
            f"{', '.join(keys)}: {_count(repeated.sum(), 'repeated row{s}')} "
            f"(first {', '.join(first)} in row {label + 2}); add them up or drop the repeats"
        )


def text(frame: pd.DataFrame, column: str) -> pd.Series:
    """Names in a column, none of them blank.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table.
    column : str
        Column of names or ids.

    Returns
    -------
    pandas.Series
        Text, without the ``.0`` that a blank in the column gives to whole numbers.

    Raises
    ------
    DataError
        If a name is blank.

    Examples
    --------
    >>> list(text(pd.DataFrame({"store_id": [3.0, 12.0]}), "store_id"))
    ['3', '12']
    """
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
    """Refuse missing days between the first and the last of each group.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table, dates parsed and unique within a group.
    keys : sequence of str
        Column of dates, then the column of groups.
    value : str
        Column that may be blank on a closed day, for the message.

    Raises
    ------
    DataError
        If a day has no row.

    Examples
    --------
    >>> frame = pd.DataFrame({"date": pd.to_datetime(["2021-03-01", "2021-03-03"]), "city": "A"})
    >>> check_calendar(frame)
    Traceback (most recent call last):
    helpers.data.columns.DataError: date: 1 day missing in A (first 2021-03-02); \
add a row for each day, with sales blank where A was closed
    """
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
    """Values of a column as finite floats.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table, dates parsed.
    column : str
        Column to read.
    keys : sequence of str
        Column of dates, then the column of groups, to say where a value stands.
    blank : str, optional
        How to mend a blank value; without it, blanks are allowed and become NaN.
    negative : str, optional
        How to mend a negative value; without it, negative values are allowed.

    Returns
    -------
    pandas.Series
        Floats.

    Raises
    ------
    DataError
        If a value is not a number, is infinite, or is blank or negative where that is refused.

    Examples
    --------
    >>> frame = pd.DataFrame({"date": pd.to_datetime(["2021-03-01"]), "city": "A", "sales": -12.0})
    >>> numbers(frame, "sales", negative="set refunds to 0 or drop them")
    Traceback (most recent call last):
    helpers.data.columns.DataError: sales: 1 negative value (first -12.0 on 2021-03-01 in A); \
set refunds to 0 or drop them
    """
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
