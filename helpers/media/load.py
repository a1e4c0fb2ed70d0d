"""A reader's spend and sales, of one market or of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse.csgraph import connected_components

from helpers.data import columns as col
from helpers.data.columns import DataError, DataWarning, note
from helpers.data.dates import parse_dates
from helpers.data.published import find_published
from helpers.data.readers import read_table
from helpers.media.simulate import (
    _SOURCE_CHANNELS,
    MarketsTruth,
    simulate_markets,
    simulate_media_mix,
)

CASE_STUDY_URL = "https://raw.githubusercontent.com/sibylhe/mmm_stan/main/data.csv"
CASE_STUDY_SHA256 = "f690896bf40e622f77b6498ae3e182e4d48dd17bc1dee74fe811e8e3c0ce8696"

#: Days a period by frequency.
PERIOD_DAYS = {"W": 7, "D": 1}


@dataclass(frozen=True)
class MediaData:
    """Spend and sales by week or by day, checked.

    Attributes
    ----------
    frame : pandas.DataFrame
        Columns ``date``, target, channels and controls; sorted, without gaps.
    target, channels, controls : str and lists of str
        Columns of sales, of spend, and of what moves the target besides spend.
    frequency, notes : str and tuple of str
        ``"W"`` or ``"D"``; what the reader should know of data that are usable.
    """

    frame: pd.DataFrame
    target: str
    channels: list[str]
    controls: list[str]
    frequency: str = "W"
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def X(self) -> pd.DataFrame:
        """Date, channels and controls, as the model takes them."""
        return self.frame[["date", *self.channels, *self.controls]]

    @property
    def y(self) -> pd.Series:
        """The target, one value a period."""
        return self.frame[self.target]

    @property
    def dates(self) -> pd.DatetimeIndex:
        """First days of the periods, in order."""
        return pd.DatetimeIndex(self.frame["date"])

    @property
    def spend(self) -> np.ndarray:
        """Spend in the currency of the table, shape (periods, channels)."""
        return self.frame[self.channels].to_numpy(float)

    @property
    def shares(self) -> np.ndarray:
        """Each channel's share of all spend."""
        total = self.spend.sum(axis=0)
        return total / total.sum()

    @property
    def period(self) -> str:
        """One period in words, ``"week"`` or ``"day"``."""
        return {"W": "week", "D": "day"}[self.frequency]

    @property
    def periods_per_year(self) -> int:
        """Periods after which a season comes again, in whole weeks: 52 weeks or 364 days."""
        return {"W": 52, "D": 364}[self.frequency]

    def between(self, first: int | None = None, last: int | None = None) -> MediaData:
        """The periods ``first`` to ``last - 1`` by position, as in a slice."""
        return replace(self, frame=self.frame.iloc[first:last].reset_index(drop=True))

    def without(self, controls: Sequence[str]) -> MediaData:
        """The same data without some controls."""
        kept = [name for name in self.controls if name not in set(controls)]
        return replace(self, frame=self.frame.drop(columns=list(controls)), controls=kept)

    def with_spend(self, spend: np.ndarray) -> MediaData:
        """The same periods with other spend, by period and channel or by channel."""
        frame = self.frame.copy()
        frame[self.channels] = np.broadcast_to(spend, self.spend.shape)
        return replace(self, frame=frame)

    def repeated_controls(self) -> dict[str, str]:
        """Controls that equal an earlier one in every period, each with that one."""
        seen: dict[bytes, str] = {}
        written = {name: self.frame[name].to_numpy(float).tobytes() for name in self.controls}
        first = {name: seen.setdefault(values, name) for name, values in written.items()}
        return {name: other for name, other in first.items() if other != name}

    def n_parameters(self, yearly_modes: int) -> int:
        """Parameters of the model: three a channel, one a control, two a wave, and two."""
        return 3 * len(self.channels) + len(self.controls) + 2 * yearly_modes + 2


def _names(columns: str | Sequence[str]) -> list[str]:
    parts = columns.split(",") if isinstance(columns, str) else columns
    return [str(part).strip() for part in parts if str(part).strip()]


def load_media(
    path: str | Path,
    *,
    date: str = "date",
    target: str,
    channels: str | Sequence[str],
    controls: str | Sequence[str] = (),
    yearly_modes: int = 5,
    held_out: int = 0,
) -> MediaData:
    """Read and check a reader's table of spend and sales; a ``DataError`` names the remedy.

    Parameters
    ----------
    path, date, target, channels, controls : path, and str or sequence of str
        A file with a row a week or a day; its columns of dates, sales, spend (in one currency) and
        what else moves sales, as lists or with commas between.
    yearly_modes, held_out : int
        Waves of the season that will be fitted, and last periods that will not be.

    Returns
    -------
    MediaData
        The checked data, the date in the column ``date``.
    """
    channels, controls = _names(channels), _names(controls)
    frame = _read(path, date, [], channels, controls, target)
    if "date" in (target, *channels, *controls):
        raise DataError("date: a column of numbers has this name; rename it")
    frame = frame.rename(columns={date: "date"}).reset_index(drop=True)
    step = col.check_steps(frame, allowed=(1, 7), mend="add rows, with 0 where nothing was spent")
    data = MediaData(frame, target, channels, controls, {7: "W", 1: "D"}[step])
    n, needed = len(frame) - held_out, data.n_parameters(yearly_modes)
    if n < needed:
        raise DataError(
            f"date: {n} {data.period}s to fit for {needed} parameters; "
            "add rows, or name fewer channels and controls"
        )
    for name in [target, *channels, *controls]:
        _refuse_constant(frame[:n], name, "that is fitted" if held_out else "")
    data = replace(data, notes=tuple(_notes(data)))
    for message in data.notes:
        note(message, DataWarning)
    return data


def _read(path, date, groups, channels, controls, target) -> pd.DataFrame:
    """Those columns of a file as dates, names and numbers, by group and date."""
    if not channels:
        raise DataError("channels: none named; name at least one column of spend")
    keys = [date, *groups]
    named = [*keys, *channels, *controls, target]
    for name in named:
        if (n := named.count(name)) > 1:
            raise DataError(f"{name}: named {n} times; give each column one role")
    frame = col.take_columns(read_table(path), named)
    frame[date] = parse_dates(frame, date)
    for name in groups:
        frame[name] = col.text(frame, name)
    col.check_unique(frame, keys)
    refunds = "set refunds to 0 or book them where they belong"
    first = ("a market's" if groups else "the") + f" first {target}"
    rules = dict.fromkeys(channels, ("write 0 where nothing was spent", refunds))
    rules |= dict.fromkeys(controls, ("fill it in; write 0 where there was none", None))
    rules[target] = f"fill it in, or leave out weeks before {first}", refunds
    for name, (blank, negative) in rules.items():
        frame[name] = col.numbers(frame, name, keys, blank=blank, negative=negative)
    return frame.sort_values([*groups, date])


def _refuse_constant(frame: pd.DataFrame, name: str, fitted: str) -> None:
    values = frame[name]
    if (values == 0).all():
        every = f"on every date {fitted}".strip()
        raise DataError(f"{name}: zero {every}; drop it, or check the export")
    constant = pd.Series(values.nunique() == 1, index=frame.index)
    why = "a constant teaches nothing: leave it out"
    kind = "value{s} and all the same" + " in what is fitted" * bool(fitted)
    col.refuse(frame, constant, name, kind, why, ["date"])


def _notes(data: MediaData):
    for group in run_together(data.spend):
        if group[1:]:
            correlation = np.corrcoef(data.spend[:, group], rowvar=False)
            correlation = correlation[np.triu_indices(len(group), 1)]
            least = correlation[np.abs(correlation).argmin()]
            yield (
                f"{' and '.join(data.channels[c] for c in group)} correlate at {least:.2f}: "
                "only what they do together can be told"
            )
    for name, first in data.repeated_controls().items():
        yield f"{name} repeats {first} in every {data.period}: it is left out"


def run_together(spend: np.ndarray) -> list[list[int]]:
    """Channels by position, in groups that no data like these tell apart.

    Parameters
    ----------
    spend : array, shape (periods, channels)
        Channels whose spends correlate by more than 0.9, also by way of a third, are one group.

    Returns
    -------
    list of list of int
        Each channel in one group, most of them alone.
    """
    with np.errstate(invalid="ignore"):  # a channel that never ran
        alike = np.abs(np.corrcoef(spend, rowvar=False)).reshape(2 * [spend.shape[1]]) > 0.9
    n, group = connected_components(alike)
    return [np.flatnonzero(group == g).tolist() for g in range(n)]


#: The twin's, by which a chapter simulates it once more to see its truth.
TWIN_SEED = 2014


def load_case_study(*, seed: int = TWIN_SEED) -> tuple[MediaData, bool]:
    """The case study's data, or a simulated twin where they cannot be had; and whether it is real.

    Parameters
    ----------
    seed : int
        What the twin is made from.

    Returns
    -------
    tuple of (MediaData, bool)
        209 weeks with seven channels and 22 holidays; another file of that name is refused.
    """
    names = ("mmm_case_study.csv", "data.csv")
    path = find_published(names, url=CASE_STUDY_URL, sha256=CASE_STUDY_SHA256)
    if path is None:
        frame = simulate_media_mix(seed=seed).data
    else:
        raw = pd.read_csv(path)
        holidays = {c: c.removeprefix("hldy_") for c in raw.columns if c.startswith("hldy_")}
        names = {"wk_strt_dt": "date", "sales": "sales"} | _SOURCE_CHANNELS | holidays
        frame = raw[list(names)].rename(columns=names)
        frame["date"] = pd.to_datetime(frame["date"])
    channels = list(_SOURCE_CHANNELS.values())
    controls = [name for name in frame.columns if name not in {"date", "sales", *channels}]
    frame[channels] = frame[channels].astype(float)
    return MediaData(frame, "sales", channels, controls), path is not None


TWO_MARKETS_URL = (
    "https://raw.githubusercontent.com/pymc-labs/pymc-marketing/"
    "e18505008cc9deedc66cfce374b110e9cc40fd92/data/mmm_multidimensional_example.csv"
)
TWO_MARKETS_SHA256 = "0601b525aea96598afa81eb37e937e9235dcfe37d8b9a63f35a7e52fe5c164a9"


def histories(frame: pd.DataFrame, *, date: str = "date", market: str = "market") -> pd.DataFrame:
    """First and last date of each market, and how many rows it has.

    Parameters
    ----------
    frame, date, market : pandas.DataFrame, str and str
        The panel, dates parsed, and two of its columns.

    Returns
    -------
    pandas.DataFrame
        One row a market: ``first``, ``last``, ``periods``.
    """
    return frame.groupby(market)[date].agg(first="min", last="max", periods="size")


def load_market_panel(
    path: str | Path,
    *,
    date: str = "date",
    market: str = "market",
    target: str = "sales",
    channels: Sequence[str],
    controls: Sequence[str] = (),
) -> pd.DataFrame:
    """Read a panel of markets and check it, market by market; a ``DataError`` names the remedy.

    Parameters
    ----------
    path, date, market, target, channels, controls : path, and str or sequence of str
        A file with a row a market and period, and its columns.

    Returns
    -------
    pandas.DataFrame
        Those columns, by market and date.
    """
    channels, controls = _names(channels), _names(controls)
    frame = _read(path, date, [market], channels, controls, target)
    names = frame[market].unique()
    if len(names) < 2:
        raise DataError(f"{market}: one market only ({names[0]}); use the model of one market")
    each = "give each market a row a period, with spend 0 where there was none"
    col.check_steps(frame, date, market, allowed=None, mend=each)
    col.check_groups(frame.pivot(index=date, columns=market, values=target), market, target)
    _check_variation(frame, market, [*channels, *controls, target], target)
    spans = histories(frame, date=date, market=market)
    col.refuse(
        spans.reset_index(),
        (spans["periods"] < 10).reset_index(drop=True),
        market,
        "market{s} with fewer than 10 periods",
        "leave them out, or predict them as new markets",
    )
    return frame.reset_index(drop=True)


def _check_variation(frame, market, columns, target) -> None:
    """Refuse what never changes in any market; warn of what does not in some."""
    for column in columns:
        spread = frame.groupby(market)[column].agg(["min", "max"])
        flat = spread.index[spread["min"] == spread["max"]]
        if len(flat) and (column == target or len(flat) == len(spread)):
            out = "leave these markets out" if column == target else f"leave {column} out"
            value = spread.at[flat[0], "min"]
            raise DataError(
                f"{column}: constant ({value:g}) in {col.listed(flat, 5)}: "
                f"nothing can be learnt there; {out}"
            )
        if len(flat):
            note(
                f"{column}: never changes in {col.listed(flat, 5)}: what is said of its effect "
                "there comes from the other markets",
                DataWarning,
            )


def refuse_unequal(spans: pd.DataFrame, date: str = "date") -> None:
    """Raise a `DataError` if markets of `histories` start or end at different dates."""
    if spans["first"].nunique() == 1 and spans["last"].nunique() == 1:
        return
    shown = [f"{n} {a:%Y-%m-%d} to {b:%Y-%m-%d}" for n, a, b, *_ in spans.itertuples()]
    first, last = spans["first"].max(), spans["last"].min()
    cut = f"cut them to {first:%Y-%m-%d} to {last:%Y-%m-%d}, or " if first < last else ""
    raise DataError(
        f"{date}: markets have different dates ({col.listed(shown)}); {cut}mask what was not "
        "observed"
    )


def load_two_markets(*, seed: int = 2022) -> tuple[pd.DataFrame, bool]:
    """PyMC-Marketing's public example of two markets, or a twin; and whether it is the public one.

    Parameters
    ----------
    seed : int
        What the twin is made from.

    Returns
    -------
    tuple of (pandas.DataFrame, bool)
        159 weeks with ``date``, ``market``, ``x1``, ``x2``, ``event_1``, ``event_2``, ``sales``.
    """
    name = TWO_MARKETS_URL.rpartition("/")[2]
    path = find_published([name], url=TWO_MARKETS_URL, sha256=TWO_MARKETS_SHA256)
    if path is not None:
        frame = pd.read_csv(path, parse_dates=["date"])
        frame = frame.rename(columns={"geo": "market", "y": "sales"})
        return frame.sort_values(["market", "date"], ignore_index=True), True
    truth = MarketsTruth(
        channels=("x1", "x2"),
        effect=(60.0, 40.0),
        effect_sd=(0.3, 0.3),
        carry_over=(0.5, 0.3),
        steepness=(2.0, 2.0),
        spend=(9000.0, 10000.0),
        noise=10.0,
    )
    frame = simulate_markets(2, seed=seed, truth=truth, n_weeks=159).data
    week = frame.groupby("market").cumcount()
    for name, weeks in (("event_1", (20, 80, 130)), ("event_2", (45, 95, 150))):
        frame.insert(len(frame.columns) - 1, name, week.isin(weeks).astype(int))
    return frame, False
