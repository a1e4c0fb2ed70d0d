"""What must hold before a posterior is read."""

from __future__ import annotations

from collections.abc import Sequence

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr


def diagnostics(idata: xr.DataTree, names: Sequence[str]) -> pd.Series:
    """Worst case of the diagnostics over the named variables.

    Parameters
    ----------
    idata : xarray.DataTree
        What :func:`sample` returns.
    names : sequence of str
        Variables of the posterior to look at.

    Returns
    -------
    pandas.Series
        ``rhat`` (largest), ``ess_bulk`` and ``ess_tail`` (smallest), ``divergences`` (sum).

    References
    ----------
    :cite:`vehtari2021rank`
    """
    posterior = idata["posterior"].to_dataset()[list(names)]

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
