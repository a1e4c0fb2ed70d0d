"""Tests of `helpers.bookmaking.report`; `tests/pages/test_report.py` opens one in a browser."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers.bookmaking.report import MOST_ROWS, answer_of, as_html, estimates
from helpers.notebook.answer import ANSWER

HEAD = "name,group,unit,mean,lower,upper"
RECORD = {
    "question": "Do ads pay?",
    "trust": "The sampler passed.",
    "trusted": True,
    "answer": "They do.",
    "decision": "Go on.",
    "warnings": ["Few days."],
    "results": f"{HEAD}\nUlm,,%,12345.6,0.00012345,-inf\n",
}


def cell(tag, source, *outputs):
    return new_code_cell(source, metadata={"tags": [tag] if tag else []}, outputs=[*outputs])


def page(tmp_path, *cells, **given):
    notebook = new_notebook(cells=[new_markdown_cell("# Ads"), *cells])
    given = {"data_name": "a.csv", "notes": [], "warnings": []} | given
    html = as_html(notebook, **given, bibliography=tmp_path / "book" / "references.bib")
    return BeautifulSoup(html, "html.parser")


def answered():
    return cell("", "own_answer()", new_output("display_data", {ANSWER: RECORD}))


def test_numbers_are_plain_and_columns_without_content_are_left_out():
    heads, [row] = estimates(RECORD["results"])
    assert heads == ["name", "unit", "mean", "lower", "upper"]
    assert row == ["Ulm", "%", "12,300", "0.000123", "–"]


def test_the_first_screen_is_the_record(tmp_path):
    found = page(tmp_path, answered(), warnings=["Two readings.", "Few days."])
    assert found.h1.text == "Do ads pay?"
    first = found.select_one(".first").get_text(" ", strip=True)
    order = ["The sampler passed.", "They do.", "Go on.", "Two readings.", "Few days."]
    assert sorted(order, key=first.index) == order
    assert first.count("Few days.") == 1
    assert answer_of(new_notebook(cells=[answered()])) == RECORD
    assert answer_of(new_notebook()) is None


def test_only_tagged_cells_are_shown_and_code_comes_last(tmp_path):
    said = [new_output("stream", name=name, text=f"{name} said") for name in ("stdout", "stderr")]
    found = page(tmp_path, cell("", "one", said[0]), cell("report-fit", "two", *said))
    assert found.get_text().count("stdout said") == 1
    assert "stderr said" not in found.get_text()
    assert [code.text for code in found.select("section:last-of-type details code")] == [
        "one",
        "two",
    ]


def test_a_readers_folder_is_not_in_the_report(tmp_path):
    found = page(tmp_path, cell("parameters", "DATA_PATH = '/home/ä'"), data_name="it's.csv")
    assert found.select_one("#code code").text == 'DATA_PATH = "it\'s.csv"'


def test_a_long_table_says_what_is_left_out(tmp_path, monkeypatch):
    rows = [f"{i},,%,1,0,2" for i in range(MOST_ROWS + 7)]
    monkeypatch.setitem(RECORD, "results", "\n".join([HEAD, *rows]))
    found = page(tmp_path, answered())
    assert len(found.select("tbody tr")) == MOST_ROWS
    assert "7 more rows are in results.csv" in found.get_text()


@pytest.mark.parametrize("tag", ["report-picture", "report-results", "report-fit", ""])
def test_a_failed_run_shows_no_estimate(tmp_path, tag):
    shown = cell(tag, "x", new_output("display_data", {"text/plain": "2.5 EUR"}))
    found = page(tmp_path, shown, answered(), failure="7 divergences")
    assert "7 divergences" in found.get_text()
    assert not {"2.5 EUR", "They do."} & {*found.stripped_strings}
