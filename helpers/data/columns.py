"""What a column must hold, and the one line that refuses it."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd


class DataError(ValueError):
    """A reader's data cannot be used as they are; the message says what to do about it."""


class DataNote(UserWarning):
    """What was done to read a file."""


class DataWarning(UserWarning):
    """What a reader must know before believing an answer."""


def note(message: str, category: type[Warning] = DataNote) -> None:
    """Tell the reader what was done; a report lists it."""
    warnings.warn(message, category, stacklevel=2)


def listed(names: Sequence, limit: int = 10) -> str:
    """Join names with commas.

    Parameters
    ----------
    names, limit : sequence and int
        At most ``limit`` of the names are written.

    Returns
    -------
    str
        The names, and how many more there are.
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


def _quoted(value) -> str:
    """A value as it is written, in quotes unless it is a number."""
    is_word = isinstance(value, str) and not re.fullmatch(r"-?(\d+(\.\d+)?|inf)", value)
    return repr(value) if is_word else str(value)


def refuse(
    frame: pd.DataFrame,
    bad: pd.Series,
    column: str,
    kind: str,
    mend: str,
    keys: Sequence[str] = (),
) -> None:
    """Raise if a row is ``bad``: the column, how many, the first one with its place, what to do.

    ``{s}`` in ``kind`` takes the plural; ``keys``, parsed dates and groups, say where a value is.
    """
    if not bad.any():
        return
    label = bad.idxmax()
    value = frame.at[label, column]
    shown = "" if pd.isna(value) else f" {_quoted(value)}"
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
            f"rename or add {mend}, or say --column {missing[0]}=NAME"
        )


def plain(name) -> str:
    """A name without the blanks, signs and capitals that are forgiven."""
    return re.sub(r"[\W_]+", "_", str(name).strip().casefold()) or str(name)


def take_columns(
    frame: pd.DataFrame,
    required: Sequence[str],
    optional: Sequence[str] = (),
    *,
    told: bool = True,
) -> pd.DataFrame:
    """The known columns alone, with a number for each row; blanks and capitals are forgiven."""
    known = [*required, *optional]
    renamed: dict = {}
    for name in known:
        others = [c for c in frame.columns if c not in known and plain(c) == plain(name)]
        if len(others) > (name not in frame.columns):
            alike = listed([repr(c) for c in ([name] if name in frame.columns else []) + others])
            raise DataError(f"{name}: columns of one name, {alike}; drop or rename all but one")
        renamed |= dict.fromkeys(others, name)
    if renamed and told:
        taken = [f"{str(written)!r} as {name}" for written, name in renamed.items()]
        note(f"columns taken: {listed(taken)}")
    frame = frame.rename(columns=renamed)
    require_columns(frame, required)
    unknown = [str(c) for c in frame.columns if c not in known]
    absent = [name for name in optional if name not in frame.columns]
    for name in unknown:
        if close := difflib.get_close_matches(plain(name), absent, 1, 0.8):
            raise DataError(f"{name}: unknown column, close to {close[0]}; rename or drop it")
    if unknown and told and frame.attrs.get("file"):
        note(f"columns not used: {listed(unknown)}")
    if not frame.index.is_unique or not pd.api.types.is_integer_dtype(frame.index.dtype):
        frame = frame.reset_index(drop=True)
    return frame[[name for name in known if name in frame.columns]]


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
    """Names in a column as they are written, none of them blank; 7.0 is 7 if all are whole."""
    code, values = pd.factorize(frame[column], use_na_sentinel=False)
    written = pd.Series(values)
    if pd.api.types.is_float_dtype(written.dtype) and (written.dropna() % 1 == 0).all():
        written = written.astype("Int64")
    names = written.astype("string").str.strip().str.normalize("NFC")
    if names.dropna().str.fullmatch(r"\d+\.0").all():
        names = names.str.removesuffix(".0")
    blank = pd.Series((names.fillna("") == "").to_numpy()[code], index=frame.index)
    refuse(frame, blank, column, "blank value{s}", f"write the {column} on every row")
    distinct = names.drop_duplicates()
    alike = distinct[distinct.str.casefold().duplicated(keep=False)]
    if len(alike):
        note(f"{column}: {listed(alike)} differ in capitals only and are kept apart", DataWarning)
    return pd.Series(names.to_numpy(object)[code], index=frame.index).astype(str)


def coded(names: pd.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    """Integer codes and sorted names, in the order of numbers where all names are numbers."""
    present = pd.Series(sorted(map(str, names.unique())))
    value = pd.to_numeric(present, errors="coerce")
    if value.notna().all():
        present = present[value.argsort(kind="stable")]
    return pd.Index(present).get_indexer(names), tuple(present)


def check_steps(
    frame: pd.DataFrame,
    date: str = "date",
    group: str | None = None,
    *,
    allowed: Sequence[int] | None = (1,),
    mend: str | None = None,
) -> int:
    """Usual days between two rows of a group, one of ``allowed``; ``mend`` refuses gaps."""
    frame = frame.sort_values([date] if group is None else [group, date])
    steps = (frame[date] if group is None else frame.groupby(group)[date]).diff().dt.days.dropna()
    if steps.empty:
        raise DataError(f"{date}: one row; a model needs many")
    usual = int(steps.mode().iloc[0])
    if (allowed and usual not in allowed) or 28 <= usual <= 31:
        name = {7: "a week", 30: "a month", 31: "a month"}.get(usual, f"{usual} days")
        kinds = " or ".join({1: "days", 7: "weeks"}[n] for n in allowed or (1, 7))
        raise DataError(
            f"{date}: most rows are {name} apart; this chapter reads {kinds}; export those"
        )
    odd = steps != usual
    if odd.any() and mend:
        label = odd.idxmax()
        where = f"in {frame.at[label, group]} " if group else ""
        before = frame.at[label, date] - pd.Timedelta(days=steps[label])
        raise DataError(
            f"{date}: {_count(odd.sum(), 'gap{s}')} (first {where}after {before:%Y-%m-%d}, "
            f"{steps[label]:g} days instead of {usual}); {mend}"
        )
    return usual


def check_groups(
    wide: pd.DataFrame, group: str, value: str, among: Sequence[str] | None = None
) -> None:
    """Refuse a column (``among`` some) that is the sum of the others or repeats another."""
    kept = wide[list(among)] if among else wide
    total = wide.sum(axis=1)
    near = (2 * kept).sub(total, axis=0).abs().le(0.002 * total, axis=0) & kept.gt(0)
    days = kept.gt(0).sum()
    sums = kept.columns[(near.sum() >= 0.95 * days) & (days >= 3)]
    if len(sums) and wide.shape[1] > 2:
        raise DataError(
            f"{group}: {sums[0]} is the sum of the others ({value}, {days[sums[0]]} times); "
            "drop its rows"
        )
    seen: dict[bytes, object] = {}
    shapes = (kept / kept.mean()).round(9)
    for name in kept.columns[kept.nunique() > 2]:
        other = seen.setdefault(shapes[name].to_numpy().tobytes(), name)
        if other != name:
            raise DataError(f"{group}: {value} of {name} repeat those of {other}; drop one of them")


def _number(mark: str) -> str:
    """Pattern of a number with this decimal mark, the other one between thousands."""
    other = "," if mark == "." else "."
    groups = rf"[1-9]\d{{0,2}}(?:\{other}\d{{3}})+"
    return rf"[+-]?(?:{groups}(?:\{mark}\d*)?|\d*(?:\{mark}\d*)?(?:[eE][+-]?\d+)?)|-?inf"


def decimal_marks(written: pd.Series) -> list[str]:
    """Decimal marks with which each of these distinct texts is a number."""
    marks = []
    for mark, other in (".,", ",."):
        fits = written.str.fullmatch(_number(mark)).all()
        grouped = written.str.contains(other, regex=False).any()
        if fits and not (grouped and written.str.fullmatch(rf"[+-]?\d{{4,}}(\{mark}\d*)?").any()):
            marks.append(mark)
    return marks


def _read_numbers(frame: pd.DataFrame, column: str) -> tuple[pd.Series, pd.Series]:
    """Values of a column of text, NaN where they are none, and whether anything is written."""
    code, distinct = pd.factorize(frame[column].astype("string").str.strip())
    written = pd.Series(distinct, dtype="str").str.replace("−", "-", regex=False)
    if (missing := written.str.lower().isin(["na", "n/a", "nan", "null"])).any():
        note(f"{column}: {listed(written[missing])} is read as blank")
        written = written.where(~missing, "")
    lower = written.str.lower()
    if lower.isin(["true", "false", ""]).all():
        written = lower.map({"true": "1", "false": "0", "": ""})
    elif written.str.contains(r"\d[\s'’]\d{3}").any():
        written = written.str.replace(r"(?<=\d)[\s'’](?=\d{3}(\D|$))", "", regex=True)
        note(f"{column}: blanks or apostrophes stand between thousands")
    values = written
    if (marked := written.str.contains("[.,]")).any():
        told = frame.attrs.get("decimal")
        mark = told or _decimal_mark(column, written, marked, frame.attrs.get("points"))
        other = "," if mark == "." else "."
        fits = written.str.fullmatch(_number(mark))
        values = written.str.replace(other, "", regex=False).str.replace(mark, ".", regex=False)
        values = values.where(fits, "")
        grouped = written.str.contains(other, regex=False)
        changed = fits & (marked if mark == "," and told is None else grouped)
        if changed.any():
            first = changed.idxmax()
            note(f"{column}: {written[first]} is read as {values[first]}")
    read, given = pd.to_numeric(values, errors="coerce").astype(float), written != ""
    rows = read.reindex(code), given.reindex(code, fill_value=False)  # -1 is no place: a blank
    return rows[0].set_axis(frame.index), rows[1].set_axis(frame.index)


def _decimal_mark(
    column: str, written: pd.Series, marked: pd.Series, points: bool | None = None
) -> str:
    """The decimal mark of a column's distinct numbers; refused where both give other values."""
    filled = written[written != ""]
    marks = decimal_marks(filled)
    if len(marks) == 2:
        first, bare = written[marked].iloc[0], filled[~marked[filled.index]]
        if len(bare) or "," in first or not points:
            beside = f" beside {bare.iloc[0]}" if len(bare) else ""
            whole, part = re.sub("[.,]", "", first), first.replace(",", ".")
            thousands, decimal = ".," if "," in first else ",."
            raise DataError(
                f"{column}: {first!r}{beside} is {whole} (--decimal {thousands}) or {part} "
                f"(--decimal {decimal}); say which with this option"
            )
        return "."
    fits = {m: filled.str.fullmatch(_number(m)).sum() for m in marks or ".,"}
    return max(fits, key=fits.__getitem__)


def numbers(
    frame: pd.DataFrame,
    column: str,
    keys: Sequence[str] = ("date", "city"),
    *,
    blank: str | None = None,
    negative: str | None = None,
) -> pd.Series:
    """Values of a column as finite floats; ``blank`` and ``negative`` say what to do with those."""
    written = frame[column]
    if pd.api.types.is_numeric_dtype(written.dtype):
        values, filled = written.astype(float), written.notna()
    else:
        values, filled = _read_numbers(frame, column)
    mend = "write plain numbers, without signs of currency or units, and leave unknown ones blank"
    refuse(frame, values.isna() & filled, column, "non-numeric value{s}", mend, keys)
    refuse(frame, np.isinf(values), column, "infinite value{s}", "correct the export", keys)
    if blank is not None:
        refuse(frame, values.isna(), column, "blank value{s}", blank, keys)
    if negative is not None:
        refuse(frame, values < 0, column, "negative value{s}", negative, keys)
    return values


def flag(frame: pd.DataFrame, column: str, keys: Sequence[str]) -> pd.Series:
    """Values of a column of 0 and 1 alone."""
    values = numbers(frame, column, keys, blank="write 0 or 1")
    odd = ~values.isin([0, 1])
    refuse(frame, odd, column, "value{s} other than 0 and 1", "write 0 or 1", keys)
    return values.astype(np.int8)
