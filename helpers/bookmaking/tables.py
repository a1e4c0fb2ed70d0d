"""The tables of the pages on status and on planted errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

STATUS, PLANTED = "<!-- status tables -->", "<!-- planted errors -->"


def status_tables(records: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """Tables of time, memory and versions, from a link to each chapter and its record."""
    records = list(records)
    chapters = [
        "| Chapter | Time | Peak memory | Executed | Commit |",
        "| :-- | --: | --: | :-- | :-- |",
        *(
            f"| {link} | {_duration(record['seconds'])} "
            f"| {record['peak_mb']} MB | {record['date']} | {record['commit'] or '–'} |"
            for link, record in records
        ),
    ]
    versions = {
        (name, number)
        for _, record in records
        for name, number in {"python": record["python"], **record["versions"]}.items()
    }
    packages = [
        "| Package | Version |",
        "| :-- | :-- |",
        *(f"| {name} | {number} |" for name, number in sorted(versions)),
    ]
    profile = " and ".join(sorted({record["profile"] for _, record in records}))
    return "\n".join([f"Profile: {profile}.", "", *chapters, "", *packages])


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def planted_table(links: Mapping[str, str], rows: Iterable[Mapping[str, str]]) -> str:
    """Table of errors planted in the helpers and what caught each, with links by chapter."""
    lines = (
        f"| {links.get(row['chapter'], row['chapter'])} | {row['error']} "
        f"| `{row['caught by']}` | {row['date']} |"
        for row in rows
    )
    head = ["| Chapter | Error | Caught by the test | Tried |", "| :-- | :-- | :-- | :-- |"]
    return "\n".join([*head, *lines])
