"""Rossmann loader and groups, on a small synthetic pair of files."""

import re

import numpy as np
import pandas as pd
import pytest

from helpers.cities.load import load_two_cities
from helpers.data.columns import DataError
from helpers.data.rossmann import load_rossmann, load_rossmann_groups

N_DAYS = 70
TYPES = {1: "a", 2: "a", 3: "a", 4: "d", 5: "d", 6: "c"}


def tables():
    """Six stores; the seventh day closed, store 3 closed on day 10, store 5 without day 20."""
    days = pd.date_range("2013-01-01", periods=N_DAYS)
    train = pd.DataFrame(
        {"Date": np.tile(days, len(TYPES)), "Store": np.repeat(list(TYPES), N_DAYS)}
    )
    day = np.tile(np.arange(N_DAYS), len(TYPES))
    train["Open"] = ((day % 7 != 6) & ~((train["Store"] == 3) & (day == 10))).astype(int)
    train["Sales"] = (1000 * train["Store"] + day) * train["Open"]
    train["Customers"] = train["Sales"] // 10
    train["Promo"] = 0
    train["StateHoliday"] = np.where(day == 3, "a", "0")
    train["SchoolHoliday"] = 0
    train = train[~((train["Store"] == 5) & (day == 20))].reset_index(drop=True)
    stores = pd.DataFrame(
        {
            "Store": list(TYPES),
            "StoreType": list(TYPES.values()),
            "Assortment": "a",
            "CompetitionDistance": [100.0, np.nan, 50.0, 1.0, 2.0, 3.0],
        }
    )
    return train, stores


def write(directory, train, stores, suffix):
    directory.mkdir(exist_ok=True)
    for name, frame in {"train": train, "store": stores}.items():
        path = directory / f"{name}{suffix}"
        frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    return directory


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_load_joins_every_row_with_its_store(tmp_path, suffix):
    train, stores = tables()
    frame = load_rossmann(write(tmp_path, train, stores, suffix))
    assert len(frame) == len(train)
    assert frame["StoreType"].tolist() == train["Store"].map(TYPES).tolist()
    assert frame["Sales"].tolist() == train["Sales"].tolist()
    assert frame["Date"].tolist() == train["Date"].tolist()
    assert set(frame["StateHoliday"]) == {"0", "a"}


@pytest.mark.parametrize("folder", ["", "rossmann"])
def test_load_looks_in_the_environment(tmp_path, monkeypatch, folder):
    write(tmp_path / folder, *tables(), ".parquet")
    monkeypatch.setenv("MARKET_BOOK_DATA", str(tmp_path))
    assert set(load_rossmann()["Store"]) == set(map(str, TYPES))


def test_load_says_where_it_looked(tmp_path, monkeypatch):
    monkeypatch.delenv("MARKET_BOOK_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match=r"not found \(no folder given\); see the book's"):
        load_rossmann()
    write(tmp_path, *tables(), ".csv")
    (tmp_path / "store.csv").unlink()
    with pytest.raises(FileNotFoundError, match=f"not found in {re.escape(str(tmp_path))}; see"):
        load_rossmann_groups(tmp_path)


def spoil(column, value):
    def change(train, stores):
        train = train.astype({column: object})
        train.loc[10, column] = value
        return train, stores

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, s: (t.drop(columns="Open"), s), "Open: column missing (present: Date, Store, "),
        (lambda t, s: (t, s.drop(columns="StoreType")), "StoreType: column missing (present: St"),
        (spoil("Date", "soon"), "Date: 1 unreadable date (first 'soon' in row 12); write dates as"),
        (
            lambda t, s: (pd.concat([t, t.iloc[[10]]]), s),
            "Date, Store: 1 repeated row (first 2013-01-11, 1 in row 421); add them up",
        ),
        (spoil("Sales", -5), "Sales: 1 negative value (first -5 on 2013-01-11 in 1); set refunds"),
        (
            spoil("Sales", None),
            "Sales: 1 blank value (first on 2013-01-11 in 1); write 0 on closed",
        ),
        (spoil("Sales", "x"), "Sales: 1 non-numeric value (first 'x' on 2013-01-11 in 1); write"),
        (spoil("Open", None), "Open: 1 blank value (first on 2013-01-11 in 1); write 0 or 1"),
        (spoil("Open", 2), "Open: 1 value other than 0 and 1 (first 2 on 2013-01-11 in 1); write"),
        (lambda t, s: (t, s.iloc[1:]), "Store: 1 in train but not in store; add their rows"),
        (
            lambda t, s: (t, pd.concat([s, s.iloc[[1]]])),
            "Store: 1 repeated store (first 2 in row 8); keep one row a store",
        ),
    ],
)
def test_load_refuses(tmp_path, change, message):
    with pytest.raises(DataError, match=re.escape(message)):
        load_rossmann(write(tmp_path, *change(*tables()), ".csv"))


def test_groups_sum_complete_stores_and_leave_closed_days_blank(tmp_path):
    frame = load_rossmann_groups(write(tmp_path, *tables(), ".csv"))
    assert frame.columns.tolist() == ["date", "city", "sales"]
    series = load_two_cities(frame)
    assert series.cities == ("type a", "type d")
    day = np.arange(N_DAYS)
    expected = np.column_stack([6000.0 + 3 * day, 4000.0 + day])  # store 5 lacks a day
    expected[10, 0] = 3000 + 2 * 10  # store 3 closed, most of its group open
    expected[6::7] = np.nan
    np.testing.assert_array_equal(series.sales, expected)


def test_half_of_a_group_open_still_counts(tmp_path):
    train, stores = tables()
    train.loc[(train["Store"] == 2) & (train["Date"] == "2013-01-11"), ["Open", "Sales"]] = 0
    stores.loc[stores["Store"] == 3, "StoreType"] = "c"
    frame = load_rossmann_groups(write(tmp_path, train, stores, ".csv")).set_index("date")
    assert frame[frame["city"] == "type a"].loc["2013-01-11", "sales"] == 1010.0


def test_groups_refuse_a_type_without_complete_stores(tmp_path):
    with pytest.raises(
        DataError, match="no store of type b has all 70 days; use types among a, c, d"
    ):
        load_rossmann_groups(write(tmp_path, *tables(), ".csv"), groups=("a", "b"))
