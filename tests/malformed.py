"""Malformed tables of two cities, each with a part of the message that it must give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

Transformer = Callable[[pd.DataFrame], pd.DataFrame]


def good_frame(n_days: int = 90) -> pd.DataFrame:
    """A small table that passes every check; two rows a day, city A first."""
    rng = np.random.default_rng(0)
    day = np.arange(n_days)
    return pd.DataFrame(
        {
            "date": np.repeat(pd.date_range("2023-01-02", periods=n_days).strftime("%Y-%m-%d"), 2),
            "city": np.tile(["A", "B"], n_days),
            "sales": rng.normal(500, 20, 2 * n_days).round(1),
            "ads": np.column_stack([day % 30 < 10, day % 40 > 30]).astype(int).ravel(),
            "event": [None] * (2 * n_days),
        }
    )


def _put(column: str, value, rows=slice(20, 21)) -> Transformer:
    """Write ``value`` into ``column`` at row positions; 20 is city A on 2023-01-12."""

    def change(frame):
        frame = frame.astype({column: object})
        frame.iloc[rows, frame.columns.get_loc(column)] = value
        return frame

    return change


def _third_city(frame):
    return pd.concat([frame, frame[frame["city"] == "A"].assign(city="C")])


def _no_common_period(frame):
    late = pd.to_datetime(frame["date"]) + pd.Timedelta(days=400)
    return frame.assign(
        date=frame["date"].where(frame["city"] == "A", late.dt.strftime("%Y-%m-%d"))
    )


#: Name to (change of the good table, part of the message).
MALFORMED: dict[str, tuple[Transformer, str]] = {
    "missing column": (
        lambda frame: frame.rename(columns={"sales": "orders"}),
        "sales: column missing (present: date, city, orders, ads, event); rename or add it",
    ),
    "two missing columns": (
        lambda frame: frame[["sales"]],
        "date, city: columns missing (present: sales); rename or add them",
    ),
    "unreadable date": (
        _put("date", "12/01/2023"),
        "date: 1 unreadable date (first '12/01/2023' in row 22); write dates as YYYY-MM-DD",
    ),
    "impossible date": (
        _put("date", "2023-02-30"),
        "date: 1 unreadable date (first '2023-02-30' in row 22); write dates as YYYY-MM-DD",
    ),
    "time within a day": (
        _put("date", "2023-01-12 06:00"),
        "date: 1 time within a day (first '2023-01-12 06:00' in row 22); "
        "add sales up to one row a day",
    ),
    "repeated row": (
        lambda frame: pd.concat([frame, frame.iloc[[20]]]),
        "date, city: 1 repeated row (first 2023-01-12 in A); add them up or drop the repeats",
    ),
    "calendar gap": (
        lambda frame: frame.drop(index=[20, 22]),
        "date: 2 days missing in A (first 2023-01-12); add a row for each day, "
        "with sales blank where A was closed",
    ),
    "negative sales": (
        _put("sales", -12.0),
        "sales: 1 negative value (first -12.0 on 2023-01-12 in A); set refunds to 0 or drop them",
    ),
    "sales in words": (
        _put("sales", "1,234.5", slice(20, 23, 2)),
        "sales: 2 non-numeric values (first '1,234.5' on 2023-01-12 in A); "
        "write numbers with a decimal point, without thousands separators or units",
    ),
    "infinite sales": (
        _put("sales", np.inf),
        "sales: 1 infinite value (first inf on 2023-01-12 in A); correct the export",
    ),
    "constant sales": (
        _put("sales", 500.0, slice(1, None, 2)),
        "sales: constant in B (always 500.0 from 2023-01-02); check the export or use another city",
    ),
    "mostly blank sales": (
        _put("sales", None, slice(1, 101, 2)),
        "sales: blank on 50 of 90 common days (first 2023-01-02 in B); fill in the sales, "
        "or use a period when both cities are open on most days",
    ),
    "too few days": (
        lambda frame: frame.iloc[:90],
        "date: 45 common days (A runs 2023-01-02 to 2023-02-15 and "
        "B runs 2023-01-02 to 2023-02-15), at least 60 are needed; add days",
    ),
    "no common period": (
        _no_common_period,
        "date: no common period (A runs 2023-01-02 to 2023-04-01 and "
        "B runs 2024-02-06 to 2024-05-05); use cities whose days overlap",
    ),
    "ads always on": (
        _put("ads", 2.5, slice(0, None, 2)),
        "ads: on every day in A (always 2.5) while both cities are open; "
        "use a period with and without ads, or leave the column out",
    ),
    "ads never on": (
        _put("ads", 0, slice(None)),
        "ads: never on in A or B while both cities are open; "
        "use a period with and without ads, or leave the column out",
    ),
    "negative ads": (
        _put("ads", -1),
        "ads: 1 negative value (first -1 on 2023-01-12 in A); write 0 where no ads ran",
    ),
    "ads in words": (
        _put("ads", "yes"),
        "ads: 1 non-numeric value (first 'yes' on 2023-01-12 in A); write numbers",
    ),
    "blank ads": (
        _put("ads", None),
        "ads: 1 blank value (first on 2023-01-12 in A); write 0 where no ads ran",
    ),
    "blank city": (
        _put("city", None),
        "city: 1 blank value (first in row 22); name the city on every row",
    ),
    "one city": (
        lambda frame: frame[frame["city"] == "A"],
        "city: 1 in the table (A), two are needed; add the other city's rows",
    ),
    "three cities": (
        _third_city,
        "city: 3 in the table (A, B, C), two are needed; name two of them in CITIES",
    ),
}
