"""Prices and quantities of one product in stores and regions: entities, simulators, loader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from helpers.simulation import Simulation
from helpers.tables import (
    DataError,
    check_unique,
    listed,
    numbers,
    parse_dates,
    read_table,
    refuse,
    require_columns,
    text,
)


def _positive(values: np.ndarray) -> np.ndarray:
    if values.ndim != 1 or values.size == 0:
        raise ValueError("must be a list of at least one number")
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        raise ValueError(f"must be positive (first {values[bad][0]} at {int(np.argmax(bad))})")
    return values


def _unique_ids(members: list) -> list:
    ids = [member.id for member in members]
    repeated = [i for i in ids if ids.count(i) > 1]
    if repeated:
        raise ValueError(f"must have unique ids (id {repeated[0]} is repeated)")
    return members


_Positives = Annotated[
    np.ndarray,
    BeforeValidator(lambda values: np.asarray(values, dtype=float)),
    AfterValidator(_positive),
]
_Id = Annotated[int, Field(ge=0)]


class _Entity(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True, extra="forbid")


class Sku(_Entity):
    """A product in a store, with what it cost and sold.

    Attributes
    ----------
    id : int
        Number of the product, 0 or more.
    prices : array, shape (n_steps,)
        Prices, positive, the oldest first.
    quantities : array, shape (n_steps,)
        Quantities sold, positive.

    Examples
    --------
    >>> Sku(id=0, prices=[1.5, 1.2], quantities=[3.0, 4.5]).to_frame()["time_step"].tolist()
    [1, 0]
    """

    id: _Id
    prices: _Positives
    quantities: _Positives

    @model_validator(mode="after")
    def _same_size(self):
        if self.prices.size != self.quantities.size:
            raise ValueError(
                f"{self.prices.size} prices and {self.quantities.size} quantities: "
                "must be as many of one as of the other"
            )
        return self

    def to_frame(self) -> pd.DataFrame:
        """One row a time step; time steps count down to 0, the latest.

        Returns
        -------
        pandas.DataFrame
            Columns ``item_id``, ``time_step``, ``price``, ``quantity``.
        """
        return pd.DataFrame(
            {
                "item_id": self.id,
                "time_step": np.arange(self.prices.size)[::-1],
                "price": self.prices,
                "quantity": self.quantities,
            }
        )


class Store(_Entity):
    """A store and its products.

    Attributes
    ----------
    id : int
        Number of the store, unique within its region only.
    items : list of Sku
        At least one product, ids unique.
    """

    id: _Id
    items: Annotated[list[Sku], Field(min_length=1), AfterValidator(_unique_ids)]

    def to_frame(self) -> pd.DataFrame:
        """Rows of all products.

        Returns
        -------
        pandas.DataFrame
            Columns of :meth:`Sku.to_frame` after ``store_id``.
        """
        frame = pd.concat([item.to_frame() for item in self.items], ignore_index=True)
        frame.insert(0, "store_id", self.id)
        return frame


class Region(_Entity):
    """A region, its stores, and the income of those who live there.

    Attributes
    ----------
    id : int
        Number of the region.
    stores : list of Store
        At least one store, ids unique.
    median_income : float
        Median income, positive, in any unit.
    """

    id: _Id
    stores: Annotated[list[Store], Field(min_length=1), AfterValidator(_unique_ids)]
    median_income: float = Field(gt=0)

    def to_frame(self) -> pd.DataFrame:
        """Rows of all stores.

        Returns
        -------
        pandas.DataFrame
            Columns of :meth:`Store.to_frame` between ``region_id`` and ``median_income``.
        """
        frame = pd.concat([store.to_frame() for store in self.stores], ignore_index=True)
        frame.insert(0, "region_id", self.id)
        return frame.assign(median_income=self.median_income)


class Market(_Entity):
    """All regions.

    Attributes
    ----------
    regions : list of Region
        At least one region, ids unique.
    """

    regions: Annotated[list[Region], Field(min_length=1), AfterValidator(_unique_ids)]

    def to_frame(self) -> pd.DataFrame:
        """Rows of all regions.

        Returns
        -------
        pandas.DataFrame
            Columns of :meth:`Region.to_frame`; a store is known by its region and its own id.
        """
        return pd.concat([region.to_frame() for region in self.regions], ignore_index=True)


#: The source's seed: the sum of the code points of its title.
SOURCE_SEED = sum(map(ord, "multilevel_elasticities_single_sku"))


class _SourceStreams:
    """Random streams as ``pm.draw(..., random_seed=rng)`` makes them, without its graphs.

    Each call takes one integer from the common generator and seeds a generator of its own.
    PyTensor stores constants such as 0.02 in single precision, hence six digits and not sixteen.
    """

    def __init__(self, seed: int):
        self._common = np.random.default_rng(seed)

    def __call__(self) -> np.random.Generator:
        seed = int(self._common.integers(2**30, dtype=np.int64, size=1)[0])
        (child,) = np.random.SeedSequence(seed).spawn(1)
        return np.random.Generator(np.random.PCG64(child))

    def counts(self, mean: float, shape: float, size: int | None = None):
        return self().negative_binomial(shape, shape / (mean + shape), size)

    def gamma(self, mean: float, sd: float, size: int) -> np.ndarray:
        return self().gamma((mean / sd) ** 2, sd**2 / mean, size)


def simulate_source_market() -> Simulation:
    r"""Draw the market of :cite:`orduz_elasticities` with its seed, to six digits.

    .. math::
        \log q_{it} = \alpha_{it} + \beta_{it} \log p_{it} + \varepsilon_{it}, \quad
        \alpha_{it} \sim \text{Normal}(1 + 0.3 z_{r[i]}, 0.02), \quad
        \beta_{it} \sim \text{Normal}(-0.1 - 0.6 z_{r[i]}, 0.02)

    with income :math:`z` and a new :math:`\alpha, \beta` at *every* time step, as in the source.

    Returns
    -------
    Simulation
        ``data``: ``region_id, store_id, time_step, price, quantity, median_income``, 2379 rows;
        ``store_id`` repeats between regions.
        ``truth``: ``alpha_intercept, alpha_slope, beta_intercept, beta_slope`` (the lines in
        income), ``effect_sd``, ``noise_sd``, ``reference_price`` (1), and by region ``income``,
        ``n_stores``, ``alpha``, ``beta`` (points of the lines).
        ``expected``: by row ``alpha``, ``beta`` (as drawn) and ``log_quantity`` without noise.

    References
    ----------
    :cite:`orduz_elasticities`

    Examples
    --------
    >>> market = simulate_source_market()
    >>> market.data[["price", "quantity", "median_income"]].round(6).iloc[0].tolist()
    [1.335446, 6.170862, 5.873343]
    """
    line = {
        "alpha_intercept": 1.0,
        "alpha_slope": 0.3,
        "beta_intercept": -0.1,
        "beta_slope": -0.6,
        "effect_sd": 0.02,
        "noise_sd": 0.3,
        "reference_price": 1.0,
    }
    n_regions = 9
    draw = _SourceStreams(SOURCE_SEED)
    n_stores = draw.counts(10, 3, n_regions) + 2
    income = draw.gamma(5, 2, n_regions) + 1
    alpha = line["alpha_intercept"] + line["alpha_slope"] * income
    beta = line["beta_intercept"] + line["beta_slope"] * income
    regions, effects = [], []
    for r in range(n_regions):
        stores = []
        for s in range(n_stores[r]):
            n_steps = draw.counts(20, 5) + 2
            a = draw().normal(alpha[r], line["effect_sd"], n_steps)
            b = draw().normal(beta[r], line["effect_sd"], n_steps)
            price = draw.gamma(1.5, 0.25, n_steps)
            mean = a + b * np.log(price)
            quantity = np.exp(draw().normal(mean, line["noise_sd"]))
            stores.append(Store(id=s, items=[Sku(id=0, prices=price, quantities=quantity)]))
            effects.append(np.column_stack([a, b, mean]))
        regions.append(Region(id=r, stores=stores, median_income=income[r]))
    drawn = np.concatenate(effects)
    return Simulation(
        data=Market(regions=regions).to_frame().drop(columns="item_id"),
        truth=line | {"income": income, "n_stores": n_stores, "alpha": alpha, "beta": beta},
        expected={"alpha": drawn[:, 0], "beta": drawn[:, 1], "log_quantity": drawn[:, 2]},
    )


@dataclass(frozen=True)
class PricesTruth:
    """Parameters of the repaired market; prices in EUR, quantities in units a week.

    ``alpha`` is log quantity at the reference price, ``beta`` the elasticity of demand.
    Both depend on income linearly, with effects of the region beyond it.
    """

    alpha_intercept: float = 1.0
    alpha_slope: float = 0.3
    beta_intercept: float = -0.1
    beta_slope: float = -0.6
    alpha_sd: float = 0.3
    beta_sd: float = 0.5
    effect_correlation: float = 0.6
    store_sd: float = 0.25
    noise_sd: float = 0.25
    shock_sd: float = 0.2
    income_least: float = 1.0
    income_excess: float = 5.0
    income_sd: float = 2.0
    reference_price: float = 1.5
    cost_mean: float = 1.0
    cost_sd: float = 0.12
    cost_persistence: float = 0.8
    price_sd: float = 0.1


def simulate_prices(
    n_regions: int = 12,
    *,
    seed: int,
    truth: PricesTruth | None = None,
    n_weeks: int = 52,
    stores: tuple[int, int] = (2, 12),
    price_response: float = 0.0,
) -> Simulation:
    r"""Weekly prices and quantities of one product, stores inside regions.

    .. math::
        \log q_{st} &= \alpha_{r} + a_s + \beta_{r} \log(p_{st} / p^\ast) + \xi_{st}
                       + \varepsilon_{st} \\
        \log (p_{st} / p^\ast) &= \log (c_{rt} / \bar c) + \phi\, \xi_{st} + u_{st} \\
        (\alpha_r, \beta_r) &\sim \text{Normal}\big((\gamma_0 + \gamma_1 z_r,\,
                       \delta_0 + \delta_1 z_r), \Sigma\big)

    with region :math:`r` of store :math:`s`, income :math:`z`, store effect :math:`a`, demand
    shock :math:`\xi`, reference price :math:`p^\ast`, wholesale cost :math:`c` and the price's
    response to demand :math:`\phi`.
    The same seed gives the same shocks and costs at every :math:`\phi`.

    Parameters
    ----------
    n_regions : int
        Number of regions, at least 1.
    seed : int
        Seed of the generator; the same seed gives the same market.
    truth : PricesTruth, optional
        Parameters of the market; the default is the book's.
    n_weeks : int
        Weeks of every store, at least 1.
    stores : (int, int)
        Least and greatest number of stores a region; every number in between is equally likely.
    price_response : float
        Change of log price per unit of the demand shock; 0 leaves prices exogenous, a positive
        value lets them chase demand.

    Returns
    -------
    Simulation
        ``data``: ``region_id, store_id, time_step, price, quantity, median_income, cost``, sorted;
        ``store_id`` repeats between regions, ``cost`` is the wholesale price, an instrument.
        ``truth``: the parameters; by region ``income``, ``n_stores``, ``alpha``, ``beta``; by
        store ``store_effect``, ``store_region``; ``price_response``; ``residual_sd``, what shock
        and noise leave together.
        ``expected``: by row ``log_quantity`` (without shock and noise), ``shock``, ``log_cost``
        (relative to its mean).

    Raises
    ------
    ValueError
        If a size is below 1, the range of stores is empty, or a parameter of the truth is outside
        its range.

    References
    ----------
    Question and regression on income follow :cite:`orduz_elasticities`.

    Examples
    --------
    >>> market = simulate_prices(5, seed=1, stores=(2, 2), n_weeks=10)
    >>> market.data.shape, market.truth["beta"].shape, market.truth["store_effect"].shape
    ((100, 7), (5,), (10,))
    """
    truth = truth or PricesTruth()
    _check_sizes(truth, n_regions, n_weeks, stores)
    rng = np.random.default_rng(seed)
    income = truth.income_least + rng.gamma(
        (truth.income_excess / truth.income_sd) ** 2,
        truth.income_sd**2 / truth.income_excess,
        n_regions,
    )
    n_stores = rng.integers(stores[0], stores[1] + 1, n_regions)
    first, second = rng.normal(size=(2, n_regions))
    rho = truth.effect_correlation
    alpha = truth.alpha_intercept + truth.alpha_slope * income + truth.alpha_sd * first
    beta = truth.beta_intercept + truth.beta_slope * income
    beta += truth.beta_sd * (rho * first + np.sqrt(1 - rho**2) * second)

    store_region = np.repeat(np.arange(n_regions), n_stores)
    store_effect = truth.store_sd * rng.normal(size=store_region.size)
    log_cost = _persistent(rng, n_regions, n_weeks, truth.cost_persistence, truth.cost_sd)
    shape = store_region.size, n_weeks
    shock = truth.shock_sd * rng.normal(size=shape)
    noise = truth.noise_sd * rng.normal(size=shape)
    log_price = (  # relative to the reference price
        log_cost[store_region] + price_response * shock + truth.price_sd * rng.normal(size=shape)
    )
    mean = (alpha[store_region] + store_effect)[:, None] + beta[store_region][:, None] * log_price

    row_region = np.repeat(store_region, n_weeks)
    within = np.concatenate([np.arange(n) for n in n_stores])
    data = pd.DataFrame(
        {
            "region_id": row_region,
            "store_id": np.repeat(within, n_weeks),
            "time_step": np.tile(np.arange(n_weeks), store_region.size),
            "price": truth.reference_price * np.exp(log_price.ravel()),
            "quantity": np.exp((mean + shock + noise).ravel()),
            "median_income": income[row_region],
            "cost": truth.cost_mean * np.exp(log_cost[store_region].ravel()),
        }
    )
    return Simulation(
        data=data,
        truth=asdict(truth)
        | {
            "income": income,
            "n_stores": n_stores,
            "alpha": alpha,
            "beta": beta,
            "store_effect": store_effect,
            "store_region": store_region,
            "price_response": price_response,
            "residual_sd": float(np.hypot(truth.shock_sd, truth.noise_sd)),
        },
        expected={
            "log_quantity": mean.ravel(),
            "shock": shock.ravel(),
            "log_cost": log_cost[store_region].ravel(),
        },
    )


def _check_sizes(truth, n_regions, n_weeks, stores):
    for name, size in {"n_regions": n_regions, "n_weeks": n_weeks, "stores": stores[0]}.items():
        if size < 1:
            raise ValueError(f"{name}={size} is below 1; use 1 or more")
    if stores[1] < stores[0]:
        raise ValueError(f"stores={stores} is empty; give the least number first")
    if not -1 <= truth.effect_correlation <= 1:
        raise ValueError(f"effect_correlation={truth.effect_correlation} is outside [-1, 1]")
    if not 0 <= truth.cost_persistence < 1:
        raise ValueError(f"cost_persistence={truth.cost_persistence} is outside [0, 1)")
    scales = [name for name in asdict(truth) if name.endswith("_sd") and getattr(truth, name) < 0]
    if scales:
        raise ValueError(f"{scales[0]}={getattr(truth, scales[0])} is negative; use 0 or more")


def _persistent(rng, n_series, n_steps, persistence, sd):
    """Stationary autoregressive series of order one, shape (n_series, n_steps)."""
    steps = rng.normal(size=(n_series, n_steps))
    steps[:, 1:] *= np.sqrt(1 - persistence**2)
    for t in range(1, n_steps):
        steps[:, t] += persistence * steps[:, t - 1]
    return sd * steps


#: Fewest regions from which a population of regions can be learnt.
MIN_REGIONS = 3

_REQUIRED = ("region_id", "store_id", "price", "quantity")
_OPTIONAL = ("median_income", "cost")


@dataclass(frozen=True, eq=False)
class PricePanel:
    """Prices and quantities of one product by store and time.

    Attributes
    ----------
    regions : tuple of str
        Names of the regions, length R, sorted (as numbers where all of them are).
    stores : tuple of str
        Names of the stores with their region, length S, sorted by region.
    region : array of int, shape (n,)
        Region of each row.
    store : array of int, shape (n,)
        Store of each row.
    store_region : array of int, shape (S,)
        Region of each store.
    log_price : array, shape (n,)
        Logarithm of the price.
    log_quantity : array, shape (n,)
        Logarithm of the quantity.
    income : array, shape (R,), or None
        Median income of each region, in the units of the file.
    cost : array, shape (n,), or None
        Logarithm of the wholesale cost.
    time : array, shape (n,)
        Time step (float) or date (``datetime64``).
    """

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
        Arrays, a row for each row of the file.

    Raises
    ------
    helpers.tables.DataError
        If the file cannot be read, or as :func:`as_price_panel`.

    Examples
    --------
    >>> load_price_panel("sales.xlsx")
    Traceback (most recent call last):
    helpers.tables.DataError: sales.xlsx: the file ends in '.xlsx'; save it as .csv or .parquet
    """
    return as_price_panel(read_table(path))


def as_price_panel(frame: pd.DataFrame) -> PricePanel:
    """Check a long table and turn it into arrays.

    A store is known by its region and its own id: ids may repeat between regions.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns as in :func:`load_price_panel`.

    Returns
    -------
    PricePanel
        Arrays, a row for each row of the table, in its order.

    Raises
    ------
    helpers.tables.DataError
        If a column is missing or unknown; if an id, a time or a number is blank; if a date is
        unreadable; if a price, quantity, income or cost is not a positive number; if a store has
        two rows for one time; if income varies within a region; if a region has one price only;
        if there are fewer than ``MIN_REGIONS`` regions.

    Examples
    --------
    >>> panel = as_price_panel(simulate_source_market().data)
    >>> len(panel.regions), len(panel.stores), panel.log_price.size
    (9, 109, 2379)
    >>> panel.stores[:2]
    ('0 / 0', '0 / 1')
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
    refuse(
        frame,
        values <= 0,
        column,
        "value{s} not above zero",
        f"{why}: correct the value or drop the row",
    )
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


@dataclass(frozen=True, eq=False)
class Moments:
    """Sufficient statistics of a normal regression by group, with :math:`x = (1, \\log p)`.

    Attributes
    ----------
    n : array, shape (G,)
        Rows of each group.
    XtX : array, shape (G, 2, 2)
        Sums of :math:`x x^T`.
    Xty : array, shape (G, 2)
        Sums of :math:`x y`, with log quantity :math:`y`.
    yty : array, shape (G,)
        Sums of :math:`y^2`.
    """

    n: np.ndarray
    XtX: np.ndarray
    Xty: np.ndarray
    yty: np.ndarray


def moments(panel: PricePanel, by: Literal["region", "store"] = "region") -> Moments:
    """Sufficient statistics of log quantity on log price by group.

    Parameters
    ----------
    panel : PricePanel
        The data.
    by : {"region", "store"}
        Groups, in the order of ``panel.regions`` or ``panel.stores``.

    Returns
    -------
    Moments
        Sums over the rows of each group.

    Raises
    ------
    ValueError
        If ``by`` is neither.

    Examples
    --------
    >>> sums = moments(as_price_panel(simulate_source_market().data))
    >>> int(sums.n.sum()), sums.XtX.shape
    (2379, (9, 2, 2))
    """
    if by not in ("region", "store"):
        raise ValueError(f"by={by!r} is unknown; use region or store")
    group, size = getattr(panel, by), len(getattr(panel, f"{by}s"))
    x, y = panel.log_price, panel.log_quantity

    def total(values: Sequence[float] | None = None) -> np.ndarray:
        return np.bincount(group, weights=values, minlength=size).astype(float)

    n, sx, sxx = total(), total(x), total(x * x)
    return Moments(
        n=n,
        XtX=np.stack([np.stack([n, sx], -1), np.stack([sx, sxx], -1)], -2),
        Xty=np.stack([total(y), total(x * y)], -1),
        yty=total(y * y),
    )
