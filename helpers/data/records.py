"""Results on data that may not be passed on, kept for pages that run on a twin of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("records.json")


def kept(name: str) -> dict[str, Any]:
    """Read a result that somebody who has the data has kept.

    Parameters
    ----------
    name : str
        As in :func:`keep`; an unknown one raises a KeyError.

    Returns
    -------
    dict
        ``date`` of the run, and its ``values``.
    """
    return json.loads(FILE.read_text())[name]


def keep(name: str, values: Any) -> None:
    """Write a small result of a run on the real data, in place of the one before.

    Parameters
    ----------
    name, values : str and object
        What it is, and summaries that JSON can hold, never rows of the data.
    """
    records = json.loads(FILE.read_text()) if FILE.exists() else {}
    records[name] = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "values": values}
    FILE.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n")
