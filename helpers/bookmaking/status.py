"""The tables of the status page, from the records of the executed chapters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

MARKER = "<!-- status tables -->"


def status_tables(records: Iterable[tuple[str, Path, Mapping[str, Any]]]) -> str:
    """Markdown tables of time, memory and versions, from each chapter's title, place and record."""
    records = list(records)
    chapters = [
        "| Chapter | Time | Peak memory | Executed | Commit |",
        "| :-- | --: | --: | :-- | :-- |",
        *(
            f"| [{title}](../{place}) | {_duration(record['seconds'])} "
            f"| {record['peak_mb']} MB | {record['date']} | {record['commit'] or '–'} |"
            for title, place, record in records
        ),
    ]
    versions = {
        (name, number)
        for *_, record in records
        for name, number in {"python": record["python"], **record["versions"]}.items()
    }
    packages = [
        "| Package | Version |",
        "| :-- | :-- |",
        *(f"| {name} | {number} |" for name, number in sorted(versions)),
    ]
    profile = " and ".join(sorted({record["profile"] for *_, record in records}))
    return "\n".join([f"Profile: {profile}.", "", *chapters, "", *packages])


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
