"""What must hold before a posterior is read."""

from __future__ import annotations

from collections.abc import Sequence

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr

from helpers.notebook.claims import Claims, NotConverged

#: The book's standard for a sampler: largest R-hat, least effective sample size.
LARGEST_RHAT, LEAST_ESS = 1.01, 400


def diagnostics(idata: xr.DataTree, names: Sequence[str] | None = None) -> pd.Series:
    """Worst case of the diagnostics over the named variables :cite:p:`vehtari2021rank`.

    Parameters
    ----------
    idata, names : xarray.DataTree, and sequence of str, optional
        A fit, and the variables of its posterior to look at; all by default.

    Returns
    -------
    pandas.Series
        ``rhat`` (largest), ``ess_bulk`` and ``ess_tail`` (smallest), ``divergences`` (sum).
    """
    posterior = idata["posterior"].to_dataset()
    posterior = posterior[list(posterior if names is None else names)]

    def of_all(numbers):  # a constant has none
        return pd.Series(np.concatenate([np.ravel(values) for values in numbers.values()]))

    return pd.Series(
        {
            "rhat": of_all(az.rhat(posterior)).max(),
            "ess_bulk": of_all(az.ess(posterior, method="bulk")).min(),
            "ess_tail": of_all(az.ess(posterior, method="tail")).min(),
            "divergences": int(idata["sample_stats"]["diverging"].sum()),
        }
    )


def has_passed(checks: pd.Series, least_ess: float = LEAST_ESS, most_divergences: int = 0) -> bool:
    """Whether a fit is as good as the book asks.

    Parameters
    ----------
    checks, least_ess, most_divergences : pandas.Series, float and int
        What :func:`diagnostics` returns, the least bulk and tail effective sample size, and how
        many divergences are borne.

    Returns
    -------
    bool
        True with divergences, R-hat and effective sample sizes within the standard.
    """
    ess = min(checks["ess_bulk"], checks["ess_tail"])
    calm = checks["divergences"] <= most_divergences
    return bool(calm and checks["rhat"] <= LARGEST_RHAT and ess >= least_ess)


def require_converged(
    idata: xr.DataTree | pd.Series,
    what: str,
    *,
    claim: Claims,
    names: Sequence[str] | None = None,
    least_ess: float = LEAST_ESS,
    most_divergences: int = 0,
) -> pd.Series:
    """Raise ``NotConverged`` unless the sampler passed; where that is not enforced, say so.

    Parameters
    ----------
    idata, what, claim, names : DataTree or Series, str, Claims and sequence of str
        A fit or its :func:`diagnostics`, its name, the chapter's claims, variables to look at.
    least_ess, most_divergences : float and int
        As :func:`has_passed` takes them.

    Returns
    -------
    pandas.Series
        The diagnostics.
    """
    checks = idata if isinstance(idata, pd.Series) else diagnostics(idata, names)
    ess = min(checks["ess_bulk"], checks["ess_tail"])
    line = (
        f"{what}: {checks['divergences']:.0f} divergences, R-hat at most {checks['rhat']:.3f}, "
        f"effective sample size at least {ess:.0f}"
    )
    passed = has_passed(checks, least_ess, most_divergences)
    if claim.sampler and not passed:
        raise NotConverged(line)
    claim(passed, line)
    return checks
