"""Tests of `helpers.data.readers`."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from helpers.data.columns import DataError
from helpers.data.readers import read_table

DAY = pd.Timestamp("2021-03-01")


def refused(message):
    return pytest.raises(DataError, match=re.escape(message))


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def test_read_table_keeps_blanks_names_and_row_numbers(tmp_path):
    text = "\ufeffdate,city,sales\n2021-03-01,NA,1.5\n\n2021-03-02,NA,\n\n"
    frame = read_table(write(tmp_path / "t.csv", text))
    assert frame.columns.tolist() == ["date", "city", "sales"]
    assert frame["city"].tolist() == ["NA", "NA"]
    assert frame["sales"].isna().tolist() == [False, True]
    assert frame.index.tolist() == [0, 2]


def test_read_table_reads_parquet_as_csv(tmp_path):
    frame = pd.DataFrame({"date": [DAY], "city": ["A"], "sales": [1.0]})
    frame.to_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet"), frame)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.doc", "a,b", "ends in '.doc'; save it as .csv, .xlsx or .parquet"),
        ("t", "a,b", "ends in ''; save it as .csv, .xlsx or .parquet"),
        ("t.csv", None, "no such file; check the path"),
        ("t.csv", "", "the file is empty; export it again"),
        ("t.csv", "date,city,sales\n", "no rows under the header; export it again"),
        ("t.csv", "1,2\n1,2\n", "no names above the columns"),
        ("t.csv", "<html><table>", "a web page; open it in a spreadsheet"),
        ("t.csv", "a,b\n1,2\n1,2,3\n", "unreadable ("),
        ("t.csv", "a,b\n1,2,5\n1,2,5\n", "as many fields a row as the header has"),
        ("t.parquet", "no parquet", "unreadable ("),
    ],
)
def test_read_table_refuses(tmp_path, name, text, message):
    path = tmp_path / name
    if text is not None:
        write(path, text)
    with refused(message) as caught:
        read_table(path)
    assert str(caught.value).startswith(f"{name}: ")
