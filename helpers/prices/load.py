"""A reader's panel of prices, and its sums."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.data import columns as col
from helpers.data.columns import DataError, DataWarning, note
from helpers.data.dates import parse_dates
from helpers.data.published import find_published
from helpers.data.readers import read_table
from helpers.prices.simulate import simulate_shelf

#: Fewest regions from which a population of regions can be learnt.
MIN_REGIONS = 3

#: Fewest rows a region, on average.
MIN_ROWS = 8

#: A price that changes by less says nothing of a region's elasticity.
NEARLY_CONSTANT = 0.001

_TEACHES = "what is said of it comes from the other regions"

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


def load_price_panel(table: str | Path | pd.DataFrame) -> PricePanel:
    """Check a long table of prices and quantities and turn it into arrays.

    Parameters
    ----------
    table : path or pandas.DataFrame
        One row a store (ids may repeat between regions) and time, with ``region_id``,
        ``store_id``, ``time_step`` (a number) or ``date``, ``price``, ``quantity``, optional
        ``median_income`` (of the region) and ``cost`` (of the product to the seller).

    Returns
    -------
    PricePanel
        Regions and stores sorted by name; a table that cannot be used raises a DataError.
    """
    frame = col.take_columns(read_table(table), _REQUIRED, ("time_step", "date", *_OPTIONAL))
    times = [name for name in ("time_step", "date") if name in frame]
    if len(times) == 2:
        raise DataError("time_step, date: both are given; drop one of them")
    if not times:
        raise DataError(
            f"time_step: column missing (present: {col.listed(frame.columns)}), and no date; add "
            "either"
        )
    time = times[0]
    frame = frame.assign(**{name: col.text(frame, name) for name in ("region_id", "store_id")})
    if time == "date":
        frame["date"] = parse_dates(frame)
    else:
        frame[time] = col.numbers(frame, time, (), blank="number the time of every row")
    for column in ("price", "quantity", *_OPTIONAL):
        if column in frame:
            frame[column] = _positive_numbers(frame, column)
    col.check_unique(frame, ("region_id", "store_id", time))

    region, regions = col.coded(frame["region_id"])
    if len(regions) < MIN_REGIONS:
        raise DataError(
            f"region_id: {len(regions)} in the table ({col.listed(regions)}), at least "
            f"{MIN_REGIONS} are needed; add regions"
        )
    sold = frame.pivot_table(index=time, columns="region_id", values="quantity", aggfunc="sum")
    col.check_groups(sold, "region_id", "quantity")
    _check_variation(frame)
    income = _income(frame, regions) if "median_income" in frame else None
    within, names = col.coded(frame["store_id"])
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


def _positive_numbers(frame, column) -> pd.Series:
    mend = "drop the row or fill it in"
    why = "its logarithm does not exist" if column != "median_income" else "an income is positive"
    values = col.numbers(frame, column, (), blank=mend)
    mend = f"{why}: correct the value or drop the row"
    col.refuse(frame, values <= 0, column, "value{s} not above zero", mend)
    return values


def _check_variation(frame):
    """Refuse a region whose price or quantity never changes, or too few rows; warn of near ones."""
    groups = frame.groupby("region_id", sort=False)
    for column in ("price", "quantity"):
        spread = groups[column].agg(["min", "max"])
        single = spread[spread["min"] == spread["max"]]
        if len(single):
            region, value = single.index[0], single["min"].iloc[0]
            raise DataError(
                f"{column}: one {column} only in region {region} (always {value:g}); "
                "an elasticity needs two: add time or drop the region"
            )
        if not frame.attrs.get("file"):
            continue
        near = spread.index[spread["max"] / spread["min"] < 1 + NEARLY_CONSTANT]
        if len(near):
            change = f"less than {NEARLY_CONSTANT:.1%}"
            note(f"{column}: changes by {change} in {col.listed(near)}: {_TEACHES}", DataWarning)
    rows = groups.size()
    if not frame.attrs.get("file"):
        return
    if rows.mean() < MIN_ROWS:
        raise DataError(
            f"region_id: {len(frame)} rows for {len(rows)} regions; at least {MIN_ROWS} a region "
            "are needed"
        )
    if (rows < MIN_ROWS).any():
        few = col.listed(rows.index[rows < MIN_ROWS])
        note(f"region_id: fewer than {MIN_ROWS} rows in {few}: {_TEACHES}", DataWarning)


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


AVOCADOS_SHA256 = "630737a0009a7dcd08876a7ef0af22cb13161bfeb63d83591f062dd99d481b71"

_LARGER = ["West", "California", "Midsouth", "SouthCentral"]
_LARGER += ["Northeast", "Southeast", "GreatLakes", "Plains"]


def load_shelf(
    n_areas: int = 45, *, seed: int, n_weeks: int = 169
) -> tuple[pd.DataFrame, np.ndarray | None]:
    """Two kinds of avocado in areas of the United States, or a twin; and the twin's elasticities.

    Parameters
    ----------
    n_areas, seed, n_weeks : int
        Of the twin, as :func:`helpers.prices.simulate.simulate_shelf` takes them.

    Returns
    -------
    tuple of (pandas.DataFrame, array or None)
        ``price`` and ``sold`` by week (rows) and by area and product (columns), from
        ``avocado.csv`` in ``MARKET_BOOK_DATA``; of areas that overlap the smallest.
    """
    names = {"Date": "date", "region": "area", "type": "product"}
    path = find_published(["avocado.csv"], sha256=AVOCADOS_SHA256)
    if path is None:
        twin = simulate_shelf(n_areas, seed=seed, n_weeks=n_weeks)
        table, truth = twin.data, twin.truth["elasticity"]
    else:
        table = pd.read_csv(path, parse_dates=["Date"]).rename(columns=names)
        table = table.rename(columns={"AveragePrice": "price", "Total Volume": "sold"})
        total = table[table["area"] == "TotalUS"].set_index(["date", "product"])["sold"]
        parts = table[table["area"].isin(_LARGER)].groupby(["date", "product"])["sold"].sum()
        if not np.allclose(parts, total.sort_index(), rtol=1e-6):
            raise DataError("region: the eight larger ones do not add up to TotalUS")
        table, truth = table[~table["area"].isin([*_LARGER, "TotalUS"])], None
    wide = table.pivot(index="date", columns=["area", "product"], values=["price", "sold"])
    return wide.sort_index(axis=1).interpolate().bfill(), truth  # some weeks had no sale
