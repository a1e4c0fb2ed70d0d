"""Dates as people write them: one reading for a whole column, or a refusal."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from helpers.data.columns import DataError, note, refuse

#: Beginnings of the months' names: English, German, French, Spanish, Italian, Dutch.
_BEGINNINGS = """jan ene gen, feb fev fév, mar mär mrz maa, apr avr abr, may mai mei mag,
jun juin giu, jul juil lug, aug aoû aou ago, sep set, oct okt ott, nov, dec déc dez dic"""
_MONTHS = {
    word: month for month, words in enumerate(_BEGINNINGS.split(","), 1) for word in words.split()
}
_NAME = r"([^\W\d_]{3,})\.?"
_TIME = (
    r"(?:[T\s,]+(?P<time>\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:\s*[AaPp]\.?[Mm]\.?)?)"
    r"\s*(?:Z|UTC|[+-]\d{2}:?\d{2})?)?"
)
_MIDNIGHT = r"(?:00?:00(?::00(?:\.0+)?)?|12:00(?::00)?\s*[Aa]\.?[Mm]\.?)(?:\s*[Aa]\.?[Mm]\.?)?"
#: Three fields, and the orders in which they may stand.
_SHAPES = {
    r"(\d{4})[-/. ](\d{1,2})[-/. ](\d{1,2})": ("YMD",),
    r"(\d{4})(\d{2})(\d{2})": ("YMD",),
    r"(\d{1,2})[-/. ]+(\d{1,2})[-/. ]+(\d{4})": ("DMY", "MDY"),
    r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{2})": ("DMY", "MDY", "YMD"),
    rf"(\d{{1,2}})(?:\.|st|nd|rd|th)?[\s-]*(?:de )?{_NAME}[\s,-]*(?:de )?(\d{{4}}|\d{{2}})": (
        "DMY",
    ),
    rf"{_NAME}\s*(\d{{1,2}})(?:st|nd|rd|th)?,?\s+(\d{{4}})": ("MDY",),
    r"(\d{4})-?(W)(\d{1,2})": ("week",),
    r"([2-7]\d{4})(?:\.(0*))?(\Z)?": ("Excel",),
}
_WORDS = {"D": "day", "M": "month", "Y": "year"}


def parse_dates(frame: pd.DataFrame, column: str = "date") -> pd.Series:
    """Dates of a column, whole days without a time zone; a ``DataError`` for others."""
    written, told = frame[column], frame.attrs.get("dates")
    daily = "add sales up to one row a day"
    if isinstance(written.dtype, pd.DatetimeTZDtype):
        note(f"{column}: days of the time zone {written.dt.tz}")
        daily += f", or convert {written.dt.tz} to the time zone of the shops"
        dates = written.dt.tz_localize(None)
    elif pd.api.types.is_datetime64_dtype(written.dtype):
        dates = written
    else:
        if pd.api.types.is_float_dtype(written.dtype) and (written.dropna() % 1 == 0).all():
            written = written.astype("Int64")
        code, distinct = pd.factorize(written.astype("string").str.strip())
        days = _read(pd.Series(distinct, dtype="str"), column, told).astype("datetime64[us]")
        dates = days.reindex(code).set_axis(frame.index)  # -1, a blank, is no place of days
    mend = "write dates as YYYY-MM-DD" + (f", or take another --dates than {told}" if told else "")
    refuse(frame, dates.isna(), column, "unreadable date{s}", mend)
    within = dates != dates.dt.normalize()
    refuse(frame, within, column, "time{s} within a day", daily)
    _check_years(frame, column, dates)
    return dates


def _read(written: pd.Series, column: str, told: str | None) -> pd.Series:
    """Days of distinct texts; NaT where there is none."""
    matches = {}
    for shape in _SHAPES:
        pattern = rf"(?:[^\W\d_]+\.?,? )?{shape}{_TIME}"
        matches[shape] = written.str.extract(f"^{pattern}$", flags=re.IGNORECASE)
    shape, fields = max(matches.items(), key=lambda match: match[1][0].notna().sum())
    readings = {order: _days(fields, order) for order in _SHAPES[shape]}
    order = told if told in readings else _only_reading(written, column, readings)
    days = readings[order]
    if order != "YMD" or len(readings) > 1:
        last = days.dt.day.idxmax() if days.notna().any() else 0
        how = {"week": "Mondays of ISO weeks", "Excel": "Excel's day numbers"}.get(order)
        how = how or ", ".join(_WORDS[letter] for letter in order)
        if days.notna().any():
            note(f"{column}: dates are read as {how} ({written[last]} is {days[last]:%Y-%m-%d})")
    midnight = fields["time"].fillna("0:00").str.fullmatch(_MIDNIGHT)
    return days.where(midnight, days + pd.Timedelta("1h"))


def _days(fields: pd.DataFrame, order: str) -> pd.Series:
    if order == "Excel":
        days = pd.to_numeric(fields[0], errors="coerce")
        return pd.Timestamp("1899-12-30") + pd.to_timedelta(days, "D")
    if order == "week":
        weeks = fields[0] + "-W" + fields[2].str.zfill(2) + "-1"
        return pd.to_datetime(weeks, format="%G-W%V-%u", errors="coerce")
    year, month, day = (fields[order.index(letter)] for letter in "YMD")
    short = year.str.len() == 2
    year = year.where(~short, ("20" + year).where(year < "69", "19" + year))
    if month.str.contains(r"\D").any():
        names = month.str.lower()
        month = names.str[:4].map(_MONTHS).fillna(names.str[:3].map(_MONTHS)).astype("Int64")
        month = month.astype("string")
    iso = year + "-" + month.str.zfill(2) + "-" + day.str.zfill(2)
    return pd.to_datetime(iso, format="%Y-%m-%d", errors="coerce")


def _only_reading(written: pd.Series, column: str, readings: dict[str, pd.Series]) -> str:
    n_read = {order: days.notna().sum() for order, days in readings.items()}
    best = {o: days for o, days in readings.items() if n_read[o] == max(n_read.values())}
    if "YMD" in best and len(best) > 1:
        # the year stands where the dates lie together: 24-01-31 is no day of 2031
        span = {order: days.max() - days.min() for order, days in best.items()}
        last = min(span[order] for order in best if order != "YMD")
        if 10 * span["YMD"] < last:
            return "YMD"
        if 10 * last < span["YMD"]:
            del best["YMD"]
    order, *others = best
    for other in others:
        differs = best[order] != best[other]
        if (differs & best[order].notna()).any():
            label = differs.idxmax()
            named = " or ".join(f"{best[o][label]:%Y-%m-%d} (--dates {o})" for o in (order, other))
            raise DataError(
                f"{column}: {written[label]!r} is {named}, and so for all dates; say which"
            )
    return order


def _check_years(frame: pd.DataFrame, column: str, dates: pd.Series) -> None:
    """Refuse a few dates that lie years apart from all others."""
    days = np.sort(dates.to_numpy("datetime64[D]"))
    steps = np.diff(days).astype(int)
    if steps.size == 0 or steps.max() < 2 * 366:
        return
    cut = int(np.argmax(steps))
    few_first = cut + 1 < days.size / 2
    if min(cut + 1, days.size - cut - 1) > 0.05 * days.size:
        return
    far = dates <= pd.Timestamp(days[cut]) if few_first else dates > pd.Timestamp(days[cut])
    shown = frame.assign(**{column: dates.dt.strftime("%Y-%m-%d")})
    kind = "date{s} years apart from all others"
    refuse(shown, far, column, kind, "correct the year, or drop the row")
