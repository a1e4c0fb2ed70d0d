"""The table of the performance page, from the record of `make bench`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MARKER = "<!-- benchmark table -->"


def benchmark_table(record: Mapping[str, Any]) -> str:
    """Markdown table of the ways to sample one model, and what they ran on."""
    rows = [
        "| Way | Time | CPU time | Draws | Smallest ESS | ESS a second | Peak memory | Kept |",
        "| :-- | --: | --: | --: | --: | --: | --: | --: |",
        *(
            f"| {way['way'].replace('_', ' ')} | {way['seconds']:.0f} s "
            f"| {way['cpu_seconds']:.0f} s | {way['draws']} | {way['ess']} "
            f"| {way['ess'] / way['seconds']:.0f} | {way['peak_mb']} MB "
            f"| {way['draws_mb']:.0f} MB |"
            for way in record["ways"]
        ),
    ]
    load = " to ".join(f"{load:.1f}" for load in record["load"])
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    return "\n".join(
        [*rows, "", f"{record['date']}, {record['machine']}, load {load}; {versions}."]
    )
