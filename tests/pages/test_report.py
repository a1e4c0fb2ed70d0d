"""A report on hostile names, in headless Chromium: all of them are text, wherever they stand."""

from __future__ import annotations

import browser_checks as checks
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers.bookmaking.report import as_html
from helpers.notebook.answer import ANSWER

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "</style></title><svg onload=alert(3)>",
    '"><iframe src="https://a.b/c"></iframe>',
    "[a](javascript:alert(4)) <a href=javascript:alert(5)>b</a>",
    "![c](https://a.b/d.png)",
    "{{7*7}} {%raw%} ${7*7}",
    "$x^2$ \\(y\\) *bold* _low_ `code` &lt;b&gt;",
    "مدينة 😀 \u202eright to left",
    "x" * 400,
]
HARMLESS = [f"name {i}" for i in range(len(HOSTILE))]
VIEWS = [("light", checks.DESKTOP), ("dark", checks.PHONE)]
PICTURE = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'><path d='M0 0h9v9'/></svg>"


def shown(source, tag, *data, metadata=None):
    """A tagged cell and what it shows."""
    outputs = [new_output("display_data", one, metadata=metadata or {}) for one in data]
    figure = {"figure": {"name": "fig-a", "caption": "It rises."}, "image": {"alt": "A line"}}
    cell = new_code_cell(source, outputs=outputs, metadata={"tags": [tag] if tag else []})
    if tag == "report-picture":
        cell.metadata["mystnb"] = figure
    return cell


def executed(names):
    """A chapter that was run on a file with these names, in every place that a name may reach."""
    every = " ".join(names)
    lines = [f"{name},{name},%,1.5,-inf," for name in names if not {*name} & {*',"'}]
    record = dict.fromkeys(("question", "trust", "answer", "decision"), every)
    record |= {"trusted": True, "warnings": names}
    record |= {"results": "\n".join(["name,group,unit,mean,lower,upper", *lines])}
    table = pd.DataFrame({name: [name, 1.0] for name in names}, index=[every, "b"])
    glued = "application/papermill.record/text/plain"
    scrap = {"scrapbook": {"name": "city", "mime_prefix": "application/papermill.record/"}}
    outside = f"<p>{every}</p><style>p {{color: red}}</style>" if names is HARMLESS else every
    return new_notebook(
        cells=[
            new_markdown_cell("# What the ads did"),
            new_code_cell(
                f"DATA_PATH = {'/home/me/' + every!r}", metadata={"tags": ["parameters"]}
            ),
            shown("plot()", "report-picture", {"image/svg+xml": PICTURE}),
            shown(repr(names), "", {glued: repr(every)}, metadata=scrap),
            shown("table", "report-results", {"text/html": table.to_html()}),
            shown("print", "report-results", {"text/plain": every}, {"text/markdown": every}),
            shown("raw", "report-fit", {"text/html": outside}),
            new_markdown_cell("See {glue:text}`city`.", metadata={"tags": ["report-method"]}),
            shown("own_answer()", "", {ANSWER: record}),
        ]
    )


def report(names, path, **changed):
    """Write a report to a file."""
    every = " ".join(names)
    given = {"data_name": every, "notes": names, "warnings": names} | changed
    html = as_html(executed(names), **given, bibliography=path / "book" / "references.bib")
    path = path / "report.html"
    path.write_text(html)
    return path


def elements(visit):
    """Kinds of the elements of a page in their order, but for those of one output."""
    return visit.page.evaluate("[...document.querySelectorAll('*')].map(e => e.tagName)")


@pytest.mark.parametrize(("theme", "size"), VIEWS)
def test_hostile_names_are_text(browser, tmp_path, theme, size):
    visits = {}
    for names in (HARMLESS, HOSTILE):
        visit = visits[names[0]] = checks.Visit(
            browser, report(names, tmp_path), theme=theme, size=size
        )
        assert visit.problems == []
        assert visit.requests == 1
        assert checks.fits_its_width(visit) == []
        assert checks.is_accessible(visit, within_code=True) == []
    text = visit.page.locator("body").inner_text()
    assert [name for name in HOSTILE if text.count(name) < 5] == []
    harmless, hostile = map(elements, visits.values())
    assert sorted({*hostile} - {*harmless}) == []
    assert "/home/me" not in visit.page.content()
    for visit in visits.values():
        visit.close()


def test_a_failed_run_shows_what_to_change_and_no_estimates(browser, tmp_path):
    path = report(HOSTILE, tmp_path, failure=f"{HOSTILE[0]}: 7 divergences")
    visit = checks.Visit(browser, path, theme="light", size=checks.PHONE)
    assert visit.problems == []
    assert checks.is_accessible(visit, within_code=True) == []
    text = visit.page.locator("body").inner_text()
    assert f"{HOSTILE[0]}: 7 divergences" in text
    assert "What to change" in text
    assert visit.page.locator("img, table").count() == 0
    visit.close()
