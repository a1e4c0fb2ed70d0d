"""Write the tables of the performance page and what to choose, from the records of `make bench`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]

BOOK = Path(__file__).parents[2] / "book"
END = "<!-- end of the table -->"

#: Effective sample size that times are projected to, and the least that passes.
TARGET_ESS, LEAST_ESS = 1000, 400
LARGEST_RHAT = 1.01


def benchmark_table(record: Row) -> str:
    """Table of the ways to sample the model of prices, the choice, and what they ran on."""
    rows = record["ways"]
    return _page(_samplers(rows, rows="Rows"), [_choice(_first(rows))], record)


def cities_table(record: Row) -> str:
    """Table of the models of two cities; the choice is between ways to sample the last."""
    rows = record["ways"]
    recommended = [row for row in rows if row["way"].startswith("shared_shocks")]
    once = [row for row in recommended if not row.get("refit")]
    further = [
        f"Once it is compiled, a further data set of as many days takes {_seconds(row)}, "
        f"for an ESS of {_ess(row)}."
        for row in recommended
        if row.get("refit")
    ]
    size = min(row["days"] for row in rows)
    choice = _choice([row for row in once if row["days"] == size])
    return _page(_samplers(rows, days="Days"), [" ".join([choice, *further])], record)


def mix_table(record: Row) -> str:
    """Table of the ways to sample the media mix, the choice, and what they ran on."""
    rows = record["ways"]
    return _page(_samplers(rows, weeks="Weeks", data="Data"), [_choice(_first(rows))], record)


def markets_table(record: Row) -> str:
    """Table of the fits to more and more markets, the draws to choose, and what they ran on."""
    rows = record["sizes"]
    columns = {name.capitalize(): _get(name) for name in ("markets", "weeks", "channels")}
    enough = max(_enough(row) for row in rows)
    advice = (
        f"**Choose** {enough} draws in all, over four chains, for an ESS of {TARGET_ESS} at each "
        f"of these sizes: what ran gave at least {min(map(_ess, rows))}."
    )
    return _page(_table(rows, columns | _COLUMNS), [advice], record)


def stores_table(record: Row) -> str:
    """Table of the ways to fit a chain of stores, what to choose, and what they ran on."""
    source, *ours = record["ways"]
    rows = [source, *sorted(ours, key=lambda row: row["stores"])]
    columns: dict[str, Callable[[Row], str]] = {
        "Way": _way,
        "Stores": _get("stores"),
        "Data": _get("data"),
        "Loss a store": lambda row: (
            f"{row['loss']:.1f}" if "loss" in row else "runs off" * ("ran_off" in row)
        ),
        "Time": lambda row: f"{row['seconds']:.1f} s",
        "Fit alone": lambda row: f"{row['fit_seconds']:.1f} s",
        "CPU time": _COLUMNS["CPU time"],
        "Peak memory": _COLUMNS["Peak memory"],
        "Runs": _COLUMNS["Runs"],
    }
    notes = [
        f"Of the source's {row['epochs']} epochs {row['epochs_run']} ran; the rest of its time is "
        "extrapolated in proportion."
        for row in rows
        if row.get("epochs_run", 0) < row.get("epochs", 0)
    ]
    ends = [
        f"seed {row['seed']} {row['first_phase_loss']:.1f} and {row['loss']:.1f}"
        for row in rows
        if "first_phase_loss" in row
    ]
    if ends:
        notes.append(f"After the first phase and at the end: {'; '.join(ends)}.")
    scored = [row for row in rows if "loss" in row]
    if scored:
        # at the source's size, which is that of the first row
        size = rows[0]["stores"]
        scored = [row for row in scored if row["stores"] == size] or scored
        best = min(scored, key=lambda row: row["loss"])
        fastest = min(scored, key=lambda row: row["seconds"])
        advice = (
            f"**Choose** *{_way(best)}* for the lowest loss, {best['loss']:.1f} a store "
            f"in {_seconds(best)} with {best['stores']} stores"
        )
        if fastest is not best:
            advice += (
                f"; *{_way(fastest)}* if time counts, {fastest['loss']:.1f} in {_seconds(fastest)}"
            )
        notes.append(f"{advice}.")
    return _page(_table(rows, columns), notes, record)


#: By name of the record: the comment on the page above its table, and the table's maker.
TABLES: dict[str, tuple[str, Callable[[Row], str]]] = {
    "performance": ("<!-- benchmark table -->", benchmark_table),
    "performance_cities": ("<!-- cities benchmark table -->", cities_table),
    "performance_mix": ("<!-- mix benchmark table -->", mix_table),
    "performance_markets": ("<!-- markets benchmark table -->", markets_table),
    "performance_stores": ("<!-- stores benchmark table -->", stores_table),
}


def _first(rows: Sequence[Row]) -> list[Row]:
    """All ways on the same data: the choice is between them."""
    return [row for row in rows if "growth" not in row]


def _way(row: Row) -> str:
    seed = f", seed {row['seed']}" if "seed" in row else ""
    return row["way"].replace("_", " ") + seed


def _get(name: str, form: str = "") -> Callable[[Row], str]:
    return lambda row: format(row[name], form) if name in row else ""


def _seconds(row: Row) -> str:
    return _short(row["seconds"])


def _short(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def _ess(row: Row) -> int:
    """Smallest effective sample size, bulk or tail."""
    return min(row["ess_bulk"], row["ess_tail"])


def _passes(row: Row) -> bool:
    """Whether a run may be read; what was not recorded is taken as passed."""
    return (
        row.get("rhat", 1.0) <= LARGEST_RHAT
        and row.get("divergences", 0) == 0
        and _ess(row) >= LEAST_ESS
    )


def _to_target(row: Row) -> float:
    """Seconds to the target: compilation once, the rest in proportion to the draws."""
    compiling = row.get("compile_seconds", 0)
    return compiling + (row["seconds"] - compiling) * TARGET_ESS / _ess(row)


def _enough(row: Row) -> int:
    """Draws that give the target, in full hundreds."""
    return 100 * math.ceil(row["draws"] * TARGET_ESS / _ess(row) / 100)


def _share(row: Row) -> str:
    """Share of the time that went into compiling."""
    if "compile_seconds" not in row:
        return ""
    return f"{row['compile_seconds'] / row['seconds']:.0%}"


#: Columns of a table of samplers; those that no row fills are left out.
_COLUMNS: dict[str, Callable[[Row], str]] = {
    "Draws": _get("draws"),
    "Time": _seconds,
    "Compiling": _share,
    "CPU time": lambda row: f"{row['cpu_seconds']:.0f} s",
    "Largest R-hat": _get("rhat", ".3f"),
    "Smallest ESS": lambda row: str(_ess(row)),
    "Divergences": _get("divergences"),
    "ESS a second": lambda row: f"{_ess(row) / row['seconds']:.3g}",
    f"To ESS {TARGET_ESS}": lambda row: _short(_to_target(row)) if _passes(row) else "not passed",
    "Peak memory": lambda row: f"{row['peak_mb']} MB",
    "Kept": lambda row: f"{row['draws_mb']:.0f} MB" if "draws_mb" in row else "",
    "Runs": lambda row: str(len(row.get("runs", [row]))),
}


def _samplers(rows: Sequence[Row], /, **sizes: str) -> list[str]:
    before = {"Way": _way} | {header: _get(name) for name, header in sizes.items()}
    return _table(rows, before | _COLUMNS)


def _table(rows: Sequence[Row], columns: Mapping[str, Callable[[Row], str]]) -> list[str]:
    """Markdown of the columns that are not empty, text to the left and numbers to the right."""
    cells = {header: [cell(row) for row in rows] for header, cell in columns.items()}
    cells = {header: column for header, column in cells.items() if any(column)}
    align = [":--" if header in ("Way", "Data") else "--:" for header in cells]
    lines = [[*cells], align, *zip(*cells.values(), strict=True)]
    return [f"| {' | '.join(line)} |" for line in lines]


def _choice(rows: Sequence[Row]) -> str:
    """Which way to choose among those that sample one model, with the numbers that say so."""
    passed = sorted(filter(_passes, rows), key=_to_target)
    failed = [f"*{_way(row)}*" for row in rows if not _passes(row)]
    standard = (
        f"the diagnostics (R-hat at most {LARGEST_RHAT}, no divergence, ESS at least {LEAST_ESS})"
    )
    if not passed:
        return f"No way passed {standard}: **choose** none of them with these draws."
    best, *others = passed
    text = (
        f"**Choose** *{_way(best)}*: {_short(_to_target(best))} to an ESS of {TARGET_ESS}, for "
        f"which {_enough(best)} draws are enough"
    )
    if others:
        rivals = (f"{_short(_to_target(row))} with *{_way(row)}*" for row in others)
        text += f", against {' and '.join(rivals)}"
    if failed:
        text += f"; {' and '.join(failed)} did not pass {standard}"
    return f"{text}."


def _page(table: list[str], notes: Sequence[str], record: Row) -> str:
    load = " to ".join(f"{load:.1f}" for load in record["load"])
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    ran_on = f"{record['date']}, {record['machine']}, load {load}; {versions}."
    return "\n".join([*table, *(line for note in [*notes, ran_on] for line in ("", note))])


def with_tables(page: str, records: Mapping[str, Row]) -> str:
    """Return the page with a table for each record between its comment and the next end."""
    for name, record in records.items():
        marker, table = TABLES[name]
        before, found, after = page.partition(f"{marker}\n")
        if found:
            page = f"{before}{found}{table(record)}\n\n{END}{after.partition(END)[2]}"
    return page


def committed() -> dict[str, Row]:
    """Read the records as they lie beside the page."""
    return {name: json.loads((BOOK / f"{name}.json").read_text()) for name in TABLES}


if __name__ == "__main__":
    performance = BOOK / "performance.md"
    performance.write_text(with_tables(performance.read_text(), committed()))
