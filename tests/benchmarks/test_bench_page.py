"""The tables of the performance page, and the choice that their numbers make."""

from __future__ import annotations

import pytest
from performance_page import (
    BOOK,
    END,
    TABLES,
    cities_table,
    committed,
    mix_table,
    stores_table,
    with_tables,
)


def page_of(name, **record):
    page = with_tables(f"# Speed\n\n<!-- {name} table -->\nold\n{END}\nMore.\n", record)
    assert page.startswith("# Speed\n") and page.endswith(f"\n\n{END}\nMore.\n")
    assert "old" not in page
    return page


def test_the_performance_page_shows_the_benchmark():
    way = {"way": "by_sums", "seconds": 8.0, "cpu_seconds": 9.4, "draws": 4000}
    way |= {"ess_bulk": 2000, "ess_tail": 2100}
    record = {
        "date": "2025-01-31",
        "machine": "2 cores",
        "load": [0.5, 1.0],
        "versions": {"pymc": "6.3"},
        "ways": [way | {"peak_mb": 640, "draws_mb": 1.6}],
    }
    page = page_of("benchmark", performance=record)
    columns = "Draws | Time | CPU time | Smallest ESS | ESS a second | To ESS 1000 | Peak memory"
    assert f"| Way | {columns} | Kept | Runs |\n| :-- | --: |" in page  # no column is empty
    assert "| by sums | 4000 | 8.0 s | 9 s | 2000 | 250 | 4.0 s | 640 MB | 2 MB | 1 |" in page
    assert "**Choose** *by sums*: 4.0 s to an ESS of 1000, for which 2000 draws are enough." in page
    assert "2025-01-31, 2 cores, load 0.5 to 1.0; pymc 6.3." in page
    size = {"markets": 6, "weeks": 104, "channels": 3, "draws": 4000, "seconds": 72.4}
    size |= {"cpu_seconds": 43.3, "rhat": 1.0035, "divergences": 0, "peak_mb": 1029}
    size |= {"ess_bulk": 3100, "ess_tail": 2466}
    page = page_of("markets benchmark", performance_markets=record | {"sizes": [size]})
    row = "| 6 | 104 | 3 | 4000 | 72 s | 43 s | 1.004 | 2466 | 0 | 34.1 | 29 s | 1029 MB | 1 |"
    assert row in page
    assert "**Choose** 1700 draws in all" in page and "gave at least 2466" in page


def test_the_performance_page_shows_the_stores():
    way = {"way": "variational_em", "stores": 1000, "data": "rossmann", "seconds": 3.21}
    way |= {"fit_seconds": 1.2, "cpu_seconds": 4.4, "peak_mb": 432}
    source = way | {"way": "as_in_the_source", "epochs": 6000, "epochs_run": 1500}
    record = {"date": "2025-01-31", "machine": "2 cores", "load": [0.5, 1.0], "versions": {}}
    record["ways"] = [source, way | {"loss": 6358.24, "loss_error": 0.03}]
    page = page_of("stores benchmark", performance_stores=record)
    row = "| 1000 | rossmann | 6358.2 | 3.2 s | 1.2 s | 4 s | 432 MB | 1 |"
    assert f"| variational em {row}" in page
    assert "Of the source's 6000 epochs 1500 ran; the rest of its time is extrapolated" in page
    assert "**Choose** *variational em* for the lowest loss, 6358.2 a store in 3.2 s" in page


MEASURED = {"date": "2025-01-31", "machine": "2 cores", "load": [0.5, 1.0], "versions": {}}
SAMPLED = {"seconds": 30.0, "compile_seconds": 20.0, "cpu_seconds": 33.0, "draws": 4000}
SAMPLED |= {"rhat": 1.002, "ess_bulk": 2500, "ess_tail": 2000, "divergences": 0, "peak_mb": 700}


def test_the_choice_counts_compilation_once():
    slow = SAMPLED | {"way": "slow_draws", "compile_seconds": 1.0}
    record = MEASURED | {"ways": [SAMPLED | {"way": "quick_draws"}, slow]}
    table = mix_table(record)
    assert "| quick draws | 4000 | 30 s | 67% | 33 s | 1.002 | 2000 | 0 | 66.7 | 25 s |" in table
    assert "**Choose** *slow draws*: 16 s to an ESS of 1000, for which 2000 draws" in table
    assert "enough, against 25 s with *quick draws*." in table


@pytest.mark.parametrize("fault", [{"rhat": 1.02}, {"divergences": 1}, {"ess_tail": 399}])
def test_a_way_that_fails_the_diagnostics_is_not_chosen(fault):
    faulty = SAMPLED | {"way": "faulty", "seconds": 21.0} | fault
    record = MEASURED | {"ways": [faulty, SAMPLED | {"way": "sound"}]}
    table = mix_table(record)
    assert "**Choose** *sound*: 25 s" in table and "; *faulty* did not pass the diag" in table
    assert table.count("not passed") == 1
    alone = mix_table(MEASURED | {"ways": [faulty]})
    assert "**choose** none of them" in alone


def test_the_choice_is_among_ways_to_sample_the_same_thing():
    rows = [
        SAMPLED | {"way": "as_in_the_post", "days": 730, "seconds": 21.0},
        SAMPLED | {"way": "shared_shocks_numba", "days": 730},
        SAMPLED | {"way": "shared_shocks_again", "days": 730, "refit": True, "seconds": 7.0},
        SAMPLED | {"way": "shared_shocks_numba", "days": 7300, "seconds": 22.0},
    ]
    rows[2]["compile_seconds"] = 0.0
    table = cities_table(MEASURED | {"ways": rows})
    assert "**Choose** *shared shocks numba*: 25 s to an ESS of 1000" in table
    assert "against" not in table
    assert "a further data set of as many days takes 7.0 s, for an ESS of 2000." in table
    grown = [SAMPLED | {"way": "nutpie"}, SAMPLED | {"way": "nutpie", "growth": 5, "seconds": 21}]
    assert "against" not in mix_table(MEASURED | {"ways": grown})


def test_the_choice_of_a_guide_names_the_fastest_too():
    way = {"stores": 1000, "data": "rossmann", "fit_seconds": 1.0, "cpu_seconds": 1.0}
    way |= {"peak_mb": 400, "loss": 6357.0, "seconds": 3.0}
    rows = [way | {"way": "fast"}, way | {"way": "best", "loss": 6355.0, "seconds": 8.0}]
    rows.append(rows[1] | {"way": "small", "stores": 100, "loss": 6300.0})
    table = stores_table(MEASURED | {"ways": rows})
    assert "**Choose** *best* for the lowest loss, 6355.0 a store in 8.0 s with 1000" in table
    assert "; *fast* if time counts, 6357.0 in 3.0 s." in table


def test_the_page_shows_what_was_measured_and_what_to_choose():
    page = (BOOK / "performance.md").read_text()
    assert with_tables(page, committed()) == page
    for name, (marker, table) in TABLES.items():
        assert page.count(marker) == 1
        assert "hoose**" in table(committed()[name])
