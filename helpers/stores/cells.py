"""Days of one pattern in one store, summed up into cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.polynomial import chebyshev
from scipy.special import gammaln

from helpers.stores.load import StorePanel

Family = Literal["nb1", "nb2"]

#: Half-width of the interval of log alpha on which a cell's likelihood is tabulated, and degree.
HALF_WIDTH = 4.0

DEGREE = 20

#: Parts of :class:`Cells` that the models take.
ARRAYS = ("n", "total", "h", "centre", "calendar", "attributes", "sales", "pattern")


@dataclass(frozen=True, eq=False)
class Cells:
    """Open days, sales and Chebyshev series of the log gammas by store and calendar pattern."""

    family: Family
    n: np.ndarray  # (S, P), open days
    total: np.ndarray  # (S, P), their sales
    h: np.ndarray  # (DEGREE + 1, S, P) or (DEGREE + 1, S, 1)
    centre: np.ndarray  # (S, P) or (S, 1), of the interval
    calendar: np.ndarray  # (P, J)
    attributes: np.ndarray  # (S, K)
    sales: np.ndarray  # (S, T), NaN where unobserved
    pattern: np.ndarray  # (S, T), position among the P
    features: tuple[str, ...]  # names of the J + K features

    def arrays(self, dtype: type = np.float32, *, days: bool = True) -> dict[str, np.ndarray]:
        """Arrays by name, as the models take them.

        Without days the table goes on as a straight line: enough for a fit that starts nearby.
        """
        kept = {k: getattr(self, k) for k in ARRAYS if days or k not in ("sales", "pattern")}
        return {k: v if v.dtype.kind == "i" else v.astype(dtype) for k, v in kept.items()}

    def take(self, stores: slice | np.ndarray) -> Cells:
        """Keep the stores at some positions."""
        names = ("n", "total", "centre", "attributes", "sales", "pattern")
        parts = {name: getattr(self, name)[stores] for name in names}
        return replace(self, h=self.h[:, stores], **parts)


def count_cells(
    panel: StorePanel, *, family: Family = "nb1", dispersion: float | None = None
) -> Cells:
    """Reduce the sales to what the likelihood needs, once for all steps of a fit.

    Parameters
    ----------
    panel, family, dispersion : StorePanel, {"nb1", "nb2"} and float, optional
        Sales, NaN does not count; variance linear or quadratic in the mean; log dispersion around
        which to tabulate, by default each store's moment estimate.

    Returns
    -------
    Cells
        In double precision.
    """
    if family not in ("nb1", "nb2"):
        raise ValueError(f"family {family!r}: use 'nb1' or 'nb2'")
    n_stores, n_patterns = len(panel.stores), len(panel.calendar)
    store, day = np.nonzero(np.isfinite(panel.sales))
    y = panel.sales[store, day].astype(float)
    cell = store * n_patterns + panel.pattern[store, day]
    shape = n_stores, n_patterns

    def summed(values=None):
        return np.bincount(cell, values, minlength=n_stores * n_patterns)

    n, total = summed().astype(float), summed(y)
    centre = _moment_centre(store, cell, y, n, total, n_stores, n_patterns, dispersion)
    group, n_groups = cell, n.size
    if family == "nb2":
        group, n_groups = store, n_stores
        centre = np.median(centre.reshape(shape), axis=1)
    days = np.bincount(group, minlength=n_groups)
    # values at Chebyshev's nodes, then a discrete cosine transform to coefficients
    nodes = np.cos(np.pi * (np.arange(DEGREE + 1) + 0.5) / (DEGREE + 1))
    factorial = np.bincount(group, gammaln(y + 1), minlength=n_groups)
    values = np.empty((nodes.size, n_groups))
    for k, node in enumerate(nodes):
        alpha = np.exp(centre + HALF_WIDTH * node)
        sums = np.bincount(group, gammaln(alpha[group] + y), minlength=n_groups)
        values[k] = sums - days * gammaln(alpha) - factorial
    weights = chebyshev.chebvander(nodes, DEGREE) * (2 / nodes.size)
    weights[:, 0] /= 2
    h = weights.T @ values
    by_group = (n_stores, n_groups // n_stores)
    return Cells(
        family=family,
        n=n.reshape(shape),
        total=total.reshape(shape),
        h=h.reshape(DEGREE + 1, *by_group),
        centre=centre.reshape(by_group),
        calendar=panel.calendar.to_numpy(float),
        attributes=panel.attributes.to_numpy(float),
        sales=panel.sales,
        pattern=np.maximum(panel.pattern, 0),
        features=panel.features,
    )


def _moment_centre(store, cell, y, n, total, n_stores, n_patterns, known_dispersion=None):
    """Moment estimate of log alpha of NB1 by cell; its mean minus the store's log dispersion."""
    mean = total / np.maximum(n, 1)
    square = np.bincount(store, (y - mean[cell]) ** 2, minlength=n_stores)
    expected = np.bincount(store, mean[cell] * (1 - 1 / n[cell]), minlength=n_stores)
    ratio = np.where(expected > 0, square / np.maximum(expected, 1e-9), np.nan)
    known = np.isfinite(ratio) & (ratio > 0)
    ratio = np.where(known, ratio, np.median(ratio[known]) if known.any() else 2.0)
    dispersion = np.log(np.maximum(ratio - 1, 0.1))
    if known_dispersion is not None:
        dispersion = np.full(n_stores, float(known_dispersion))
    days = np.bincount(store, minlength=n_stores)
    overall = np.bincount(store, y, minlength=n_stores) / np.maximum(days, 1)
    overall = np.where(overall > 0, overall, max(float(y.mean()) if y.size else 1.0, 0.1))
    filled = np.where(n > 0, mean, np.repeat(overall, n_patterns))
    filled = np.maximum(filled, 0.1 * np.repeat(overall, n_patterns))
    return np.log(filled) - np.repeat(dispersion, n_patterns)


def contrasts(
    coef: np.ndarray, attributes: np.ndarray, features: Sequence[str]
) -> dict[str, np.ndarray]:
    """Contrasts that a store's own sales identify, although all dummies enter together.

    Parameters
    ----------
    coef, attributes, features : array (..., S, F), array (S, K) and sequence of str
        Coefficients, draws in front; the stores' features, the last K of the F; names of the F.

    Returns
    -------
    dict of array, shape (..., S)
        ``level`` (log sales on a mean weekday), weekdays against it, holidays against none, ...

    Examples
    --------
    >>> coef = np.array([[8.1, 8.3, 0.2, 0.5]])
    >>> names = ["weekday_Mon", "weekday_Tue", "promo", "promo2_1"]
    >>> {name: value.round(2).tolist() for name, value in contrasts(coef, [[1]], names).items()}
    {'level': [8.7], 'weekday_Mon': [-0.1], 'weekday_Tue': [0.1], 'promo': [0.2]}
    """
    attributes = np.asarray(attributes)
    n_calendar = len(features) - attributes.shape[1]
    value = {name: coef[..., i] for i, name in enumerate(features[:n_calendar])}
    week = [name for name in value if name.startswith("weekday_")]
    usual = [name for name in week if name != "weekday_Sun"] or week
    plain = np.mean([value[name] for name in usual], axis=0)
    none = value.pop("state_holiday_0", 0.0)
    base = dict.fromkeys(week, plain)
    base |= {name: none for name in value if name.startswith("state_holiday_")}
    level = plain + none + (coef[..., n_calendar:] * attributes).sum(-1)
    return {"level": level} | {name: value[name] - base.get(name, 0.0) for name in value}


def drop_untold(panel: StorePanel) -> StorePanel:
    """Drop features of which the sales of no store say anything.

    Parameters
    ----------
    panel : StorePanel
        A reader's: promotions may never have run, or only on Mondays; nobody opened on a Sunday.

    Returns
    -------
    StorePanel
        With fewer columns of the calendar; weekdays stay if any store opened then.
    """
    shown = panel.calendar.iloc[np.unique(panel.pattern[np.isfinite(panel.sales)])]
    week = shown.columns.str.startswith("weekday_")
    keep = np.where(week, shown.any(), shown.nunique() > 1)
    panel = replace(panel, calendar=panel.calendar.loc[:, keep])
    told = told_apart(panel).any()
    silent = [name for name in told.index[~told] if not name.startswith(("level", "weekday_"))]
    return replace(panel, calendar=panel.calendar.drop(columns=silent))


def calendar_contrasts(panel: StorePanel) -> pd.DataFrame:
    """Features of the patterns without redundant dummies: a level, and contrasts to it.

    Parameters
    ----------
    panel : StorePanel
        Its ``calendar`` has dummies in full.

    Returns
    -------
    pandas.DataFrame, shape (P, J)
        ``level`` is the first weekday, Monday where there is one, without promotion and holidays.
    """
    families = ([n for n in panel.calendar if n.startswith(s)] for s in ("weekday_", "state_h"))
    reference = [name for family in families for name in family[:1]]
    contrasts = panel.calendar.drop(columns=reference).astype(float)
    contrasts.insert(0, "level", 1.0)
    return contrasts


def told_apart(panel: StorePanel) -> pd.DataFrame:
    """Whether a store's own open days tell a feature apart from all others.

    Parameters
    ----------
    panel : StorePanel
        A reader's: promotions may have run in some stores only, or always on the same weekday.

    Returns
    -------
    pandas.DataFrame of bool, shape (S, J)
        By store, the columns of :func:`calendar_contrasts`.
    """
    x = calendar_contrasts(panel)
    store, day = np.nonzero(np.isfinite(panel.sales))
    n = np.zeros((len(panel.stores), len(x)))
    n[store, panel.pattern[store, day]] = 1
    gram = np.einsum("sp,pj,pk->sjk", n, x.to_numpy(), x.to_numpy(), optimize=True)
    rank = np.linalg.matrix_rank(gram, hermitian=True)
    told = {}
    for j, name in enumerate(x):
        others = np.delete(np.delete(gram, j, axis=1), j, axis=2)
        told[name] = np.linalg.matrix_rank(others, hermitian=True) < rank
    return pd.DataFrame(told, index=list(panel.stores))
