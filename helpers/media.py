"""Media spend and sales: loader, case study, simulator, and what spend contributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date as Day
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from dateutil.easter import easter

from helpers.published import find_published
from helpers.simulation import Simulation
from helpers.tables import (
    DataError,
    check_unique,
    numbers,
    parse_dates,
    read_table,
    refuse,
    require_columns,
)

CASE_STUDY_URL = "https://raw.githubusercontent.com/sibylhe/mmm_stan/main/data.csv"
CASE_STUDY_SHA256 = "f690896bf40e622f77b6498ae3e182e4d48dd17bc1dee74fe811e8e3c0ce8696"

_SOURCE_CHANNELS = {
    "mdsp_dm": "Direct Mail",
    "mdsp_inst": "Insert",
    "mdsp_nsp": "Newspaper",
    "mdsp_on": "Online Display",
    "mdsp_audtr": "Radio",
    "mdsp_so": "Social Media",
    "mdsp_vidtr": "TV",
}
#: Days a period by frequency.
PERIOD_DAYS = {"W": 7, "D": 1}
#: Pairs of channels that move together this much are named to the reader.
COLLINEAR = 0.9


@dataclass(frozen=True)
class MediaData:
    """Spend and sales by week or by day, checked.

    Attributes
    ----------
    frame : pandas.DataFrame
        Columns ``date``, the target, the channels and the controls; sorted, without gaps.
    target : str
        Column of sales, or of whatever media should move.
    channels, controls : list of str
        Columns of spend, and columns that move the target besides spend.
    frequency : str
        ``"W"`` or ``"D"``.
    notes : tuple of str
        What the reader should know of data that are usable.
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
        """Date, channels and controls, as the model takes them.

        Returns
        -------
        pandas.DataFrame
            One row a period.
        """
        return self.frame[["date", *self.channels, *self.controls]]

    @property
    def y(self) -> pd.Series:
        """The target.

        Returns
        -------
        pandas.Series
            One value a period.
        """
        return self.frame[self.target]

    @property
    def dates(self) -> pd.DatetimeIndex:
        """One date a period.

        Returns
        -------
        pandas.DatetimeIndex
            First days of the periods, in order.
        """
        return pd.DatetimeIndex(self.frame["date"])

    @property
    def spend(self) -> np.ndarray:
        """Spend, shape (periods, channels).

        Returns
        -------
        array, shape (periods, channels)
            In the currency of the table.
        """
        return self.frame[self.channels].to_numpy(float)

    @property
    def period(self) -> str:
        """One period in words, ``"week"`` or ``"day"``.

        Returns
        -------
        str
            Without an article.
        """
        return {"W": "week", "D": "day"}[self.frequency]

    @property
    def periods_per_year(self) -> int:
        """Periods after which a season comes again, in whole weeks.

        Returns
        -------
        int
            52 weeks or 364 days.
        """
        return {"W": 52, "D": 364}[self.frequency]

    def between(self, first: int | None = None, last: int | None = None) -> MediaData:
        """The periods ``first`` to ``last - 1`` by position.

        Parameters
        ----------
        first, last : int, optional
            Positions as in a slice.

        Returns
        -------
        MediaData
            A part of the data.
        """
        return replace(self, frame=self.frame.iloc[first:last].reset_index(drop=True))

    def split(self, date: str | pd.Timestamp) -> tuple[MediaData, MediaData]:
        """The periods up to a date, and those after it.

        Parameters
        ----------
        date : str or pandas.Timestamp
            Last date of the first part.

        Returns
        -------
        tuple of MediaData
            The two parts.
        """
        n = int((self.dates <= pd.Timestamp(date)).sum())
        return self.between(None, n), self.between(n, None)

    def without(self, controls: Sequence[str]) -> MediaData:
        """The same data without some controls.

        Parameters
        ----------
        controls : sequence of str
            Controls to leave out.

        Returns
        -------
        MediaData
            With fewer columns.
        """
        kept = [name for name in self.controls if name not in set(controls)]
        return replace(self, frame=self.frame.drop(columns=list(controls)), controls=kept)

    def repeated_controls(self) -> dict[str, str]:
        """Controls that equal an earlier one in every period, each with that one.

        Returns
        -------
        dict of str to str
            Repeat to first.
        """
        seen: dict[bytes, str] = {}
        repeats = {}
        for name in self.controls:
            values = self.frame[name].to_numpy(float).tobytes()
            if values in seen:
                repeats[name] = seen[values]
            seen.setdefault(values, name)
        return repeats

    def n_parameters(self, yearly_modes: int) -> int:
        """Parameters of the media-mix model on these data.

        Parameters
        ----------
        yearly_modes : int
            Waves of the yearly season.

        Returns
        -------
        int
            Three a channel, one a control, two a wave, and two.
        """
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
    """Read and check a reader's table of spend and sales.

    Parameters
    ----------
    path : str or pathlib.Path
        A ``.csv`` or ``.parquet`` file with one row a week or a day.
    date : str
        Column of dates, year-month-day, always the same weekday in a weekly table.
    target : str
        Column of sales, 0 or more.
    channels : str or sequence of str
        Columns of spend, 0 or more, each in one currency; a list or names with commas between.
    controls : str or sequence of str
        Columns that move the target besides spend.
    yearly_modes : int
        Waves of the yearly season that will be fitted, two parameters each.
    held_out : int
        Last periods that will not be fitted.

    Returns
    -------
    MediaData
        The checked data, the date in the column ``date``.

    Raises
    ------
    helpers.tables.DataError
        If a column is missing or named twice, dates are unreadable, repeated, neither weekly nor
        daily or have gaps, a value is blank or not a number, spend or target is negative, the
        target is constant or zero throughout, a channel or control is, or there are fewer periods
        to fit than parameters.

    Examples
    --------
    >>> load_media("media.xlsx", target="sales", channels="tv, radio")
    Traceback (most recent call last):
    helpers.tables.DataError: media.xlsx: the file ends in '.xlsx'; save it as .csv or .parquet
    """
    channels, controls = _names(channels), _names(controls)
    if not channels:
        raise DataError("channels: none named; name at least one column of spend")
    named = [date, target, *channels, *controls]
    for name in named:
        if named.count(name) > 1:
            raise DataError(f"{name}: named {named.count(name)} times; give each column one role")
    frame = read_table(path)
    require_columns(frame, named)
    for name in named[1:]:
        if name == "date":
            raise DataError("date: a column of numbers has this name; rename it")
    frame = frame[named].rename(columns={date: "date"})
    frame["date"] = parse_dates(frame)
    check_unique(frame, ["date"])
    frame = frame.sort_values("date", ignore_index=True)
    frequency = _frequency(frame["date"])
    keys = ["date"]
    blank = {target: "fill it in or drop the weeks before it"}
    for name in [target, *channels]:
        frame[name] = numbers(
            frame,
            name,
            keys,
            blank=blank.get(name, "write 0 where nothing was spent"),
            negative="set refunds to 0 or book them where they belong",
        )
    for name in controls:
        frame[name] = numbers(frame, name, keys, blank="fill it in; 0 where nothing happened")
    for name in [target, *channels, *controls]:
        _refuse_constant(frame, name)
    data = MediaData(frame, target, channels, controls, frequency)
    n, needed = len(frame) - held_out, data.n_parameters(yearly_modes)
    if n < needed:
        raise DataError(
            f"date: {n} {data.period}s to fit for {needed} parameters; "
            "add rows, or name fewer channels and controls"
        )
    return replace(data, notes=tuple(_notes(data)))


def _frequency(dates: pd.Series) -> str:
    steps = dates.diff().dt.days.iloc[1:]
    if steps.empty:
        raise DataError("date: one row; a model of media needs some years of weeks or days")
    common = int(steps.mode().iloc[0])
    by_days = {days: name for name, days in PERIOD_DAYS.items()}
    if common not in by_days:
        raise DataError(
            f"date: most rows are {common} days apart; add the table up to weeks or to days"
        )
    odd = steps != common
    if odd.any():
        before = dates[odd.idxmax() - 1]
        kind = "week" if common == 7 else "day"
        n_gaps = f"{odd.sum()} gap{'s' if odd.sum() > 1 else ''}"
        raise DataError(
            f"date: {n_gaps} (first after {before:%Y-%m-%d}, "
            f"{int(steps[odd.idxmax()])} days); give each {kind} a row, "
            "with 0 where nothing was spent"
        )
    return by_days[common]


def _refuse_constant(frame: pd.DataFrame, name: str) -> None:
    values = frame[name]
    if (values == 0).all():
        raise DataError(f"{name}: zero on every date; drop it, or check the export")
    constant = pd.Series(values.nunique() == 1, index=frame.index)
    refuse(
        frame,
        constant,
        name,
        "value{s} and all the same",
        "a constant teaches nothing: leave it out",
        ["date"],
    )


def _notes(data: MediaData):
    correlation = np.corrcoef(data.spend, rowvar=False).reshape(2 * [len(data.channels)])
    for i, j in zip(*np.triu_indices(len(data.channels), 1), strict=True):
        if abs(correlation[i, j]) > COLLINEAR:
            yield (
                f"{data.channels[i]} and {data.channels[j]} correlate at {correlation[i, j]:.2f}: "
                "only what they do together can be told"
            )
    for name, first in data.repeated_controls().items():
        yield f"{name} repeats {first} in every {data.period}: it is left out"


def load_case_study(*, seed: int = 2014) -> tuple[MediaData, bool]:
    """The case study's data, or a simulated twin where they cannot be had.

    Looked for in the folder ``MARKET_BOOK_DATA``, in the cache, and on the network.

    Parameters
    ----------
    seed : int
        Seed of the twin.

    Returns
    -------
    tuple of (MediaData, bool)
        209 weeks with seven channels and 22 holidays, and whether they are real.

    Raises
    ------
    helpers.tables.DataError
        If a file called ``mmm_case_study.csv`` is not the published one.
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


def adstock(spend: np.ndarray, alpha: np.ndarray, *, l_max: int = 6) -> np.ndarray:
    r"""Spend that works in a period: some of its own, and some of those before.

    .. math:: \sum_{l=0}^{l_{max}-1} w_{cl}\, x_{t-l,c}, \qquad w_{cl} \propto \alpha_c^l, \
        \sum_l w_{cl} = 1.

    Parameters
    ----------
    spend : array, shape (n, channels)
        Spend by period; there was none before the first.
    alpha : array, shape (..., channels)
        Retention from one period to the next, in [0, 1).
    l_max : int
        Periods that a unit of spend works.

    Returns
    -------
    array, shape (..., n, channels)
        In units of spend.

    Examples
    --------
    >>> adstock(np.array([[3.0], [0.0], [0.0]]), np.array([0.5]), l_max=2).ravel().tolist()
    [2.0, 1.0, 0.0]
    """
    spend = np.asarray(spend, float)
    weights = np.asarray(alpha, float)[..., None, :] ** np.arange(l_max)[:, None]
    weights = weights / weights.sum(axis=-2, keepdims=True)
    n, k = spend.shape
    lagged = np.stack([np.vstack([np.zeros((lag, k)), spend])[:n] for lag in range(l_max)])
    return np.einsum("lnc,...lc->...nc", lagged, weights, optimize=True)


def media_contribution(
    spend: np.ndarray,
    *,
    alpha: np.ndarray,
    lam: np.ndarray,
    beta: np.ndarray,
    l_max: int = 6,
    steady: bool = False,
) -> np.ndarray:
    r"""What spend contributes: geometric adstock :math:`a_{tc}`, then logistic saturation.

    .. math:: \beta_c \frac{1 - e^{-\lambda_c a_{tc}}}{1 + e^{-\lambda_c a_{tc}}}
        = \beta_c \tanh(\lambda_c a_{tc} / 2).

    Parameters
    ----------
    spend : array, shape (n, channels)
        Spend by period; there was none before the first.
    alpha : array, shape (..., channels)
        Retention from one period to the next, in [0, 1).
    lam : array, shape (..., channels)
        Saturation, per unit of spend.
    beta : array, shape (..., channels)
        Contribution that no spend exceeds, in units of the target.
    l_max : int
        Periods that a unit of spend works.
    steady : bool
        Whether each period's spend is taken to go on for ever: no adstock.

    Returns
    -------
    array, shape (..., n, channels)
        Contribution of each period and channel, in units of the target.

    Examples
    --------
    >>> two = np.array([2.0])
    >>> media_contribution(np.array([[9.0]]), alpha=two / 4, lam=two, beta=two).round(3).tolist()
    [[2.0]]
    """
    stock = np.asarray(spend, float) if steady else adstock(spend, alpha, l_max=l_max)
    lam, beta = (np.asarray(values, float)[..., None, :] for values in (lam, beta))
    return beta * np.tanh(lam * stock / 2)


@dataclass(frozen=True)
class MediaTruth:
    """Truth of :func:`simulate_media_mix`; the channels in the order of their names.

    Attributes
    ----------
    roas : tuple of float
        Average return on a unit of spend, by channel.
    alpha : tuple of float
        Retention of adstock, in [0, 1), by channel.
    lam : tuple of float
        Saturation per unit of a channel's largest spend.
    spend : tuple of float
        Middle spend a week.
    trend : tuple of float
        Yearly change of the logarithm of spend.
    spend_sd : tuple of float
        Standard deviation of the logarithm of spend.
    baseline : float
        Sales a week without media, season and holidays.
    season : tuple of float
        Height of the yearly sine and cosine waves, two a mode.
    holiday : float
        Sales that a holiday adds at most; each has its own share.
    demand_sd, demand_memory : float
        Standard deviation of demand that no column shows, and its weekly autocorrelation.
    noise_sd : float
        Standard deviation of the rest.
    """

    roas: tuple[float, ...] = (6.0, 40.0, 10.0, 40.0, 25.0, 25.0, 35.0)
    alpha: tuple[float, ...] = (0.3, 0.2, 0.4, 0.3, 0.2, 0.4, 0.5)
    lam: tuple[float, ...] = (4.0, 2.5, 4.0, 2.5, 3.0, 3.0, 3.0)
    spend: tuple[float, ...] = (8.0e5, 7.5e4, 2.0e5, 2.0e5, 1.2e5, 9.0e4, 1.5e5)
    trend: tuple[float, ...] = (-0.25, -0.35, -0.5, 0.08, 0.0, 0.4, -0.3)
    spend_sd: tuple[float, ...] = (0.5, 0.5, 0.6, 0.5, 0.5, 0.5, 0.6)
    baseline: float = 6.5e7
    season: tuple[float, ...] = (-8e6, 1.2e7, 2e6, 8e6)
    holiday: float = 2.0e8
    demand_sd: float = 0.0
    demand_memory: float = 0.8
    noise_sd: float = 1.5e7


def simulate_media_mix(
    n_weeks: int = 209,
    *,
    seed: int,
    truth: MediaTruth | None = None,
    confounding: float = 0.0,
) -> Simulation:
    """A twin of the case study with known contributions.

    Parameters
    ----------
    n_weeks : int
        Weeks from 2014-08-03 on.
    seed : int
        Seed of spend and noise.
    truth : MediaTruth, optional
        Truth of the market.
    confounding : float
        By how much the logarithm of spend rises when demand that no column shows lies one
        standard deviation above its mean.

    Returns
    -------
    Simulation
        ``data`` with ``date``, ``sales``, seven channels and 22 holidays; ``truth`` with the
        fields of :class:`MediaTruth`, ``names``, and ``lam`` and ``beta`` in units of money, as
        :func:`media_contribution` takes them; ``expected`` with ``contribution`` (weeks,
        channels), ``baseline``, ``season``, ``holidays``, ``demand`` and ``sales``, all by week.

    References
    ----------
    :cite:`jin2017bayesian`

    Examples
    --------
    >>> twin = simulate_media_mix(seed=1)
    >>> spent = twin.data[twin.truth["names"]].to_numpy().sum(axis=0)
    >>> (twin.expected["contribution"].sum(axis=0) / spent).round(6).tolist()
    [6.0, 40.0, 10.0, 40.0, 25.0, 25.0, 35.0]
    """
    truth = truth or MediaTruth()
    streams = np.random.SeedSequence(seed).spawn(3)
    spend_rng, demand_rng, noise_rng = map(np.random.default_rng, streams)
    dates = pd.date_range("2014-08-03", periods=n_weeks, freq="7D")
    names = list(_SOURCE_CHANNELS.values())
    years = np.arange(n_weeks) / 52.18

    demand = _walk(demand_rng.standard_normal((n_weeks, 1)), truth.demand_memory)[:, 0]
    own = _walk(spend_rng.standard_normal((n_weeks, len(names))), 0.3)
    middle = np.log(truth.spend) + np.outer(years - years.mean(), truth.trend)
    spend = np.exp(middle + own * truth.spend_sd + confounding * demand[:, None]).round(2)

    lam = np.asarray(truth.lam) / spend.max(axis=0)
    shape = media_contribution(spend, alpha=truth.alpha, lam=lam, beta=np.ones(len(names)))
    beta = np.asarray(truth.roas) * spend.sum(axis=0) / shape.sum(axis=0)

    angle = 2 * np.pi * dates.dayofyear.to_numpy()[:, None] / 365.25
    modes = np.arange(1, len(truth.season) // 2 + 1)
    waves = np.stack([np.sin(angle * modes), np.cos(angle * modes)], axis=-1)
    holidays = pd.DataFrame({name: _holiday(dates, rule) for name, (rule, _) in _HOLIDAYS.items()})
    sizes = truth.holiday * np.array([size for _, size in _HOLIDAYS.values()])
    expected = {
        "contribution": beta * shape,
        "baseline": np.full(n_weeks, truth.baseline),
        "season": waves.reshape(n_weeks, -1) @ np.asarray(truth.season),
        "holidays": holidays.to_numpy() @ sizes,
        "demand": truth.demand_sd * demand,
    }
    expected["sales"] = sum(part.reshape(n_weeks, -1).sum(axis=1) for part in expected.values())
    sales = expected["sales"] + truth.noise_sd * noise_rng.standard_normal(n_weeks)
    data = pd.concat(
        [
            pd.DataFrame({"date": dates, "sales": np.maximum(sales, 1.0).round(2)}),
            pd.DataFrame(spend, columns=names),
            holidays,
        ],
        axis=1,
    )
    known = asdict(truth) | {"names": names, "alpha": np.asarray(truth.alpha)}
    return Simulation(data, known | {"lam": lam, "beta": beta}, expected)


def _walk(noise: np.ndarray, memory: float) -> np.ndarray:
    """First-order autoregression with unit variance, along the first axis."""
    path = noise.copy()
    for t in range(1, len(noise)):
        path[t] = memory * path[t - 1] + np.sqrt(1 - memory**2) * noise[t]
    return path


# Month and day; or month, weekday (Monday is 0), which of them (-1 the last) and days after it.
# Then the size as a share of `MediaTruth.holiday`: the first of two in one week carries both.
_THANKSGIVING = 11, 3, 4
_HOLIDAYS: dict[str, tuple[tuple[int, ...], float]] = {
    "Black Friday": ((*_THANKSGIVING, 1), 1.0),
    "Christmas Day": ((12, 25), 0.5),
    "Christmas Eve": ((12, 24), 0.3),
    "Columbus Day": ((10, 0, 2, 0), 0.05),
    "Cyber Monday": ((*_THANKSGIVING, 4), 0.8),
    "Day after Christmas": ((12, 26), 0.0),
    "Easter": ((), 0.05),
    "Father's Day": ((6, 6, 3, 0), 0.1),
    "Green Monday": ((12, 0, 2, 0), 0.4),
    "July 4th": ((7, 4), 0.05),
    "Labor Day": ((9, 0, 1, 0), 0.0),
    "MLK": ((1, 0, 3, 0), 0.0),
    "Memorial Day": ((5, 0, -1, 0), 0.05),
    "Mother's Day": ((5, 6, 2, 0), 0.15),
    "NYE": ((12, 31), 0.1),
    "New Year's Day": ((1, 1), 0.1),
    "Pre Thanksgiving": ((*_THANKSGIVING, -1), 0.0),
    "Presidents Day": ((2, 0, 3, 0), 0.05),
    "Prime Day": ((7, 1, 2, 0), 0.0),
    "Thanksgiving": ((*_THANKSGIVING, 0), 0.0),
    "Valentine's Day": ((2, 14), 0.1),
    "Veterans Day": ((11, 11), 0.05),
}


def _holiday(weeks: pd.DatetimeIndex, rule: tuple[int, ...]) -> np.ndarray:
    """1 in each week, named by its first day, that holds the holiday."""
    years = range(weeks[0].year, weeks[-1].year + 2)
    if not rule:
        days = [easter(year) for year in years]
    elif len(rule) == 2:
        days = [Day(year, *rule) for year in years]
    else:
        days = [_nth_weekday(year, *rule) for year in years]
    gone = pd.to_datetime(days).to_numpy()[:, None] - weeks.to_numpy()
    return ((gone >= np.timedelta64(0)) & (gone < np.timedelta64(7, "D"))).any(axis=0).astype(int)


def _nth_weekday(year: int, month: int, weekday: int, nth: int, after: int) -> Day:
    first = Day(year, month, 1) if nth > 0 else Day(year, month, 1) + timedelta(days=31)
    first = first if nth > 0 else first.replace(day=1)
    day = first + timedelta(days=(weekday - first.weekday()) % 7)
    return day + timedelta(days=7 * (nth - 1 if nth > 0 else nth) + after)
