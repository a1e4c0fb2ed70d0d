"""A reader's panel of prices, and its sums."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.data.columns import (
    DataError,
    check_unique,
    listed,
    numbers,
    parse_dates,
    refuse,
    require_columns,
    text,
)
from helpers.data.readers import read_table

#: Fewest regions from which a population of regions can be learnt.
MIN_REGIONS = 3

_REQUIRED = ("region_id", "store_id", "price", "quantity")

_OPTIONAL = ("median_income", "cost")


@dataclass(frozen=True, eq=False)
class PricePanel:
    """Prices and quantities of one product by row, store and time; ``income`` is by region."""

    regions: tuple[str, ...]
    stores: tuple[str, ...]
    region: np.ndarray
    store: np.ndarray
    store_region: np.ndarray
    log_price: np.ndarray
    log_quantity: np.ndarray
    income: np.ndarray | None
    cost: np.ndarray | None
    time: np.ndarray


def load_price_panel(path: str | Path) -> PricePanel:
    """Read and check prices and quantities from a long table.

    Parameters
    ----------
    path : str or pathlib.Path
        CSV or Parquet file, one row a store and time, with ``region_id``, ``store_id``,
        ``time_step`` (a number) or ``date`` (YYYY-MM-DD), ``price``, ``quantity``, optional
        ``median_income`` (of the region) and optional ``cost`` (of the product to the seller).

    Returns
    -------
    PricePanel
        As :func:`as_price_panel` returns it.
    """
    return as_price_panel(read_table(path))


def as_price_panel(frame: pd.DataFrame) -> PricePanel:
    """Check a long table and turn it into arrays; store ids may repeat between regions.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns as in :func:`load_price_panel`; a table that cannot be used raises a DataError.

    Returns
    -------
    PricePanel
        Regions and stores sorted by name.
    """
    time = _check_columns(frame)
    if not frame.index.is_unique or not pd.api.types.is_integer_dtype(frame.index.dtype):
        frame = frame.reset_index(drop=True)
    frame = frame.assign(**{name: text(frame, name) for name in ("region_id", "store_id")})
    if time == "date":
        frame["date"] = parse_dates(frame)
    else:
        frame[time] = numbers(frame, time, (), blank="number the time of every row")
    for column in ("price", "quantity", *_OPTIONAL):
        if column in frame:
            frame[column] = _positive_numbers(frame, column)
    check_unique(frame, ("region_id", "store_id", time))

    region, regions = _coded(frame["region_id"])
    if len(regions) < MIN_REGIONS:
        raise DataError(
            f"region_id: {len(regions)} in the table ({listed(regions)}), at least {MIN_REGIONS} "
            "are needed; add regions"
        )
    _check_prices(frame)
    income = _income(frame, regions) if "median_income" in frame else None
    within, names = _coded(frame["store_id"])
    pairs, store = np.unique(region * len(names) + within, return_inverse=True)
    return PricePanel(
        regions=regions,
        stores=tuple(f"{regions[p // len(names)]} / {names[p % len(names)]}" for p in pairs),
        region=region,
        store=store,
        store_region=pairs // len(names),
        log_price=np.log(frame["price"].to_numpy()),
        log_quantity=np.log(frame["quantity"].to_numpy()),
        income=income,
        cost=np.log(frame["cost"].to_numpy()) if "cost" in frame else None,
        time=frame[time].to_numpy(),
    )


def _check_columns(frame) -> str:
    """Name of the column of time."""
    allowed = [*_REQUIRED[:2], "time_step", "date", *_REQUIRED[2:], *_OPTIONAL]
    given = [name for name in ("time_step", "date") if name in frame.columns]
    if len(given) == 2:
        raise DataError("time_step, date: both are given; drop one of them")
    required = [*_REQUIRED[:2], *(given or ["time_step"]), *_REQUIRED[2:]]
    require_columns(frame, required)
    unknown = [str(name) for name in frame.columns if name not in allowed]
    if unknown:
        noun, mend = ("column", "it") if len(unknown) == 1 else ("columns", "them")
        raise DataError(
            f"{listed(unknown)}: unknown {noun} (known: {listed(allowed)}); drop or rename {mend}"
        )
    return required[2]


def _positive_numbers(frame, column) -> pd.Series:
    mend = "drop the row or fill it in"
    why = "its logarithm does not exist" if column != "median_income" else "an income is positive"
    values = numbers(frame, column, (), blank=mend)
    mend = f"{why}: correct the value or drop the row"
    refuse(frame, values <= 0, column, "value{s} not above zero", mend)
    return values


def _check_prices(frame):
    spread = frame.groupby("region_id", sort=False)["price"].agg(["nunique", "first"])
    single = spread[spread["nunique"] == 1]
    if len(single):
        region, price = single.index[0], single["first"].iloc[0]
        raise DataError(
            f"price: one price only in region {region} (always {price:g}); "
            "an elasticity needs two: add time or drop the region"
        )


def _income(frame, regions) -> np.ndarray:
    """Median income by region, which must be constant within it."""
    by_region = frame.groupby("region_id", sort=False)["median_income"]
    first = by_region.transform("first")
    differs = frame["median_income"] != first
    if differs.any():
        label = differs.idxmax()
        raise DataError(
            f"median_income: not constant in region {frame.at[label, 'region_id']} "
            f"(first {frame.at[label, 'median_income']:g} in row {label + 2}, "
            f"after {first[label]:g}); give each region one value"
        )
    return by_region.first()[list(regions)].to_numpy(float)


def _coded(names: pd.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    """Integer codes and sorted names, in the order of numbers where all names are numbers."""
    present = names.unique()
    value = pd.to_numeric(pd.Series(present), errors="coerce")
    order = np.lexsort([present.astype(str), value if value.notna().all() else present.astype(str)])
    names_sorted = tuple(str(name) for name in present[order])
    return pd.Categorical(names, categories=names_sorted).codes.astype(int), names_sorted
