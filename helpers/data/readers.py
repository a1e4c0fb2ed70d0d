"""Read a reader's table from a file."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd

from helpers.data.columns import DataError


def read_table(path: str | Path) -> pd.DataFrame:
    """Table of a CSV or Parquet file as it stands; a ``DataError`` if it cannot be read."""
    path = Path(path)
    name, suffix = path.name, path.suffix.lower()
    if suffix not in {".csv", ".parquet"}:
        raise DataError(f"{name}: the file ends in {suffix!r}; save it as .csv or .parquet")
    if not path.is_file():
        raise DataError(f"{name}: no such file; check the path")
    try:
        with warnings.catch_warnings():
            # pandas drops surplus fields with a warning: "12,5" would be read as 12.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = _read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
    except pd.errors.EmptyDataError:
        raise DataError(f"{name}: the file is empty; export it again") from None
    except (OSError, ValueError, pd.errors.ParserWarning) as error:
        raise DataError(
            f"{name}: unreadable ({error}); save it as UTF-8 with commas between the columns, "
            "decimal points and as many fields a row as the header has"
        ) from error
    if frame.shape[1] == 1 and any(sep in str(frame.columns[0]) for sep in ";\t|"):
        raise DataError(
            f"{name}: one column, {frame.columns[0]!r}; save it with commas between the columns"
        )
    if frame.empty:
        raise DataError(f"{name}: no rows under the header; export it again")
    return frame


def _read_csv(path: Path) -> pd.DataFrame:
    # Only an empty field is missing: NA may be a city. Blank lines are kept for the row numbers.
    frame = pd.read_csv(
        path,
        keep_default_na=False,
        na_values=[""],
        skip_blank_lines=False,
        index_col=False,
        low_memory=False,
    )
    return frame.dropna(how="all")
