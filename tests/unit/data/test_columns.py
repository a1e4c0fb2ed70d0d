"""Tests of `helpers.data.columns`."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from helpers.data.columns import (
    DataError,
    check_steps,
    check_unique,
    listed,
    numbers,
    require_columns,
)
from helpers.data.dates import parse_dates

DAY = pd.Timestamp("2021-03-01")


def refused(message):
    return pytest.raises(DataError, match=re.escape(message))


def test_listed_names_the_first_and_counts_the_rest():
    assert listed(["A", "B"]) == "A, B"
    assert listed(range(12)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"


def test_require_columns():
    frame = pd.DataFrame({"day": [], "sales": []})
    assert require_columns(frame, ["sales"]) is None
    with refused("date: column missing (present: day, sales); rename or add it"):
        require_columns(frame, ["date", "sales"])
    with refused("date, city: columns missing (present: day, sales); rename or add them"):
        require_columns(frame, ["date", "city"])


@pytest.mark.parametrize(
    "written",
    [
        [" 2021-03-01 "],
        ["2021-03-01 00:00:00"],
        ["2021-03-01T00:00"],
        [DAY],
        [DAY.tz_localize("Europe/Berlin")],
        [DAY.date()],
    ],
)
def test_parse_dates_reads_whole_days(written):
    dates = parse_dates(pd.DataFrame({"date": written}))
    assert dates.tolist() == [DAY]


@pytest.mark.parametrize("written", ["01.03.2021", "2021-02-30", 20210301, "2021-03"])
def test_parse_dates_refuses_other_notations(written):
    frame = pd.DataFrame({"date": ["2021-03-01", written]})
    shown = repr(written) if isinstance(written, str) else written
    with refused(f"date: 1 unreadable date (first {shown} in row 3); write dates as YYYY-MM-DD"):
        parse_dates(frame)


def test_parse_dates_refuses_blanks_and_times():
    with refused("day: 2 unreadable dates (first in row 3); write dates as YYYY-MM-DD"):
        parse_dates(pd.DataFrame({"day": ["2021-03-01", None, None]}), "day")
    with refused("date: 1 time within a day (first 2021-03-01 06:00:00 in row 2); add sales up"):
        parse_dates(pd.DataFrame({"date": [DAY + pd.Timedelta("6h")]}))


def test_check_unique():
    frame = pd.DataFrame({"date": [DAY, DAY, DAY], "city": ["A", "B", "B"]})
    assert check_unique(frame[:2]) is None
    with refused("date, city: 1 repeated row (first 2021-03-01, B in row 4); add them up"):
        check_unique(frame)


def test_check_steps_looks_at_each_group_within_its_own_period():
    days = pd.date_range(DAY, periods=4)
    frame = pd.DataFrame({"date": [*days, *days[[1, 3]]], "city": [*"AAAABB"]})
    assert check_steps(frame[:5], group="city", mend="add rows") == 1
    assert check_steps(frame, group="city") == 1
    with refused("date: 1 gap (first in B after 2021-03-02, 2 days instead of 1); add rows"):
        check_steps(frame, group="city", mend="add rows")


@pytest.mark.parametrize(("freq", "apart"), [("7D", "a week"), ("MS", "a month"), ("3D", "3 days")])
def test_check_steps_names_the_step_that_a_chapter_does_not_read(freq, apart):
    frame = pd.DataFrame({"date": pd.date_range(DAY, periods=9, freq=freq)})
    with refused(f"date: most rows are {apart} apart; this chapter reads days"):
        check_steps(frame)


def test_numbers_reads_text_and_blanks():
    frame = pd.DataFrame({"date": DAY, "city": "A", "sales": ["1.5", " ", None, "2e2"]})
    np.testing.assert_array_equal(numbers(frame, "sales"), [1.5, np.nan, np.nan, 200.0])


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (["1", "n.a."], {}, "sales: 1 non-numeric value (first 'n.a.' on 2021-03-02 in B); write"),
        (
            [-np.inf, np.inf],
            {},
            "sales: 2 infinite values (first -inf on 2021-03-01 in A); correct",
        ),
        ([1.0, None], {"blank": "fill"}, "sales: 1 blank value (first on 2021-03-02 in B); fill"),
        ([1, -2], {"negative": "mend"}, "sales: 1 negative value (first -2 on 2021-03-02 in B); m"),
    ],
)
def test_numbers_refuses(values, options, message):
    days = [DAY, DAY + pd.Timedelta("1D")]
    frame = pd.DataFrame({"date": days, "city": ["A", "B"], "sales": values})
    with refused(message):
        numbers(frame, "sales", **options)
