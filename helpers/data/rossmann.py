"""Rossmann store sales: loader, and groups of stores that stand in for cities.

The data are Kaggle's and not part of the book; the page on data says how to get them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from helpers.data.columns import (
    DataError,
    check_unique,
    flag,
    listed,
    numbers,
    refuse,
    require_columns,
    text,
)
from helpers.data.dates import parse_dates
from helpers.data.readers import read_table

_KEYS = ("Date", "Store")

_TRAIN_COLUMNS = ["Store", "Date", "Sales", "Customers", "Open", "Promo", "StateHoliday"]

_STORE_COLUMNS = ["Store", "StoreType", "Assortment", "CompetitionDistance"]


def load_rossmann(directory: str | Path | None = None) -> pd.DataFrame:
    """Read and check the daily sales of all stores, joined with what is known of each store."""
    train_path, store_path = _find_files(directory)
    train, stores = read_table(train_path), read_table(store_path)
    require_columns(train, _TRAIN_COLUMNS)
    require_columns(stores, _STORE_COLUMNS)
    train["Date"] = parse_dates(train, "Date")
    for frame in (train, stores):
        frame["Store"] = text(frame, "Store")
    check_unique(train, _KEYS)
    train["Sales"] = numbers(
        train, "Sales", _KEYS, blank="write 0 on closed days", negative="set refunds to 0"
    )
    train["Open"] = flag(train, "Open", _KEYS)
    train["StateHoliday"] = train["StateHoliday"].astype(str)
    repeated = stores["Store"].duplicated()
    refuse(stores, repeated, "Store", "repeated store{s}", "keep one row a store")
    unknown = sorted(set(train["Store"].unique()) - set(stores["Store"]))
    if unknown:
        raise DataError(f"Store: {listed(unknown)} in train but not in store; add their rows")
    return train.merge(stores, on="Store", validate="many_to_one")


def _find_files(directory: str | Path | None) -> tuple[Path, Path]:
    given = directory or os.environ.get("MARKET_BOOK_DATA")
    folders = [Path(given), Path(given) / "rossmann"] if given else []
    for folder in folders:
        for suffix in (".csv", ".parquet"):
            train, store = folder / f"train{suffix}", folder / f"store{suffix}"
            if train.is_file() and store.is_file():
                return train, store
    place = f"in {given}" if given else "(no folder given)"
    raise FileNotFoundError(
        f"train.csv, store.csv (or .parquet) not found {place}; "
        "see the book's page on data, or set MARKET_BOOK_DATA"
    )


def load_rossmann_groups(
    directory: str | Path | None = None, *, groups: Sequence[str] = ("a", "d")
) -> pd.DataFrame:
    """Daily sales of groups of Rossmann stores, as Part I's loader takes them.

    Parameters
    ----------
    directory, groups : path and sequence of str, optional
        Folder with ``train`` and ``store`` (else ``MARKET_BOOK_DATA``), and a store type a "city".

    Returns
    -------
    pandas.DataFrame
        Long frame ``date, city, sales``; blank where fewer than half of the stores were open, and
        without stores that have missing days.
    """
    frame = load_rossmann(directory)
    n_days = (frame["Date"].max() - frame["Date"].min()).days + 1
    complete = frame.groupby("Store")["Date"].transform("size") == n_days
    kept = frame[complete & frame["StoreType"].isin(groups)]
    missing = [group for group in groups if group not in set(kept["StoreType"])]
    if missing:
        raise DataError(
            f"StoreType: no store of type {listed(missing)} has all {n_days} days; "
            f"use types among {listed(sorted(set(frame.loc[complete, 'StoreType'])))}"
        )
    daily = kept.groupby(["Date", "StoreType"], as_index=False).agg(
        sales=("Sales", "sum"), open_share=("Open", "mean")
    )
    return pd.DataFrame(
        {
            "date": daily["Date"],
            "city": "type " + daily["StoreType"].astype(str),
            "sales": daily["sales"].where(daily["open_share"] >= 0.5),
        }
    )
