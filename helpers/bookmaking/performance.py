"""The tables of the performance page, from the records of `make bench`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MARKER = "<!-- benchmark table -->"
MARKETS_MARKER = "<!-- markets benchmark table -->"
STORES_MARKER = "<!-- stores benchmark table -->"


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
    return _with_machine(rows, record)


def markets_table(record: Mapping[str, Any]) -> str:
    """Markdown table of the fits to more and more markets, and what they ran on."""
    rows = [
        "| Markets | Weeks | Channels | Draws | Time | CPU time | Largest R-hat | Smallest ESS "
        "| Divergences | Peak memory |",
        "| --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |",
        *(
            f"| {one['markets']} | {one['weeks']} | {one['channels']} | {one['draws']} "
            f"| {one['seconds']:.0f} s | {one['cpu_seconds']:.0f} s | {one['rhat']:.3f} "
            f"| {one['ess']} | {one['divergences']} | {one['peak_mb']} MB |"
            for one in record["sizes"]
        ),
    ]
    return _with_machine(rows, record)


def stores_table(record: Mapping[str, Any]) -> str:
    """Markdown table of the ways to fit a chain of stores, and what they ran on."""
    rows = [
        "| Way | Stores | Data | Loss a store | Time | Fit alone | CPU time | Peak memory |",
        "| :-- | --: | :-- | --: | --: | --: | --: | --: |",
    ]
    for way in record["ways"]:
        loss = f"{way['loss']:.1f}" if "loss" in way else ""
        rows.append(
            f"| {way['way'].replace('_', ' ')} | {way['stores']} | {way['data']} | {loss} "
            f"| {way['seconds']:.1f} s | {way['fit_seconds']:.1f} s | {way['cpu_seconds']:.0f} s "
            f"| {way['peak_mb']} MB |"
        )
    notes = [
        f"Of the source's {way['epochs']} epochs {way['epochs_run']} ran; the rest of its time is "
        "extrapolated in proportion."
        for way in record["ways"]
        if way.get("epochs_run", 0) < way.get("epochs", 0)
    ]
    return _with_machine([*rows, "", *notes] if notes else rows, record)


def _with_machine(rows: list[str], record: Mapping[str, Any]) -> str:
    load = " to ".join(f"{load:.1f}" for load in record["load"])
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    return "\n".join(
        [*rows, "", f"{record['date']}, {record['machine']}, load {load}; {versions}."]
    )
