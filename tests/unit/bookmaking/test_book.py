"""The machine without its kernels: parameters, digests, Markdown, pages and the command line."""

from __future__ import annotations

import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from tiny_book import TINY, tiny_book, write_chapter

from helpers.bookmaking import own, render
from helpers.bookmaking.book import (
    Book,
    BuildError,
    UsageError,
    parameterised,
    read_parameters,
    with_parameters,
    write_atomically,
)
from helpers.bookmaking.cli import main
from helpers.bookmaking.closure import imported
from helpers.bookmaking.execute import Result, digest, execute_book, kernel_environment
from helpers.bookmaking.landing import status_tables
from helpers.bookmaking.myst import MISSING, Myst
from helpers.bookmaking.page import chapter_page, figure_apart, folded
from helpers.bookmaking.render import render_book, stage_book

RECORD = {
    "seconds": 75.4,
    "peak_mb": 640,
    "date": "2025-01-31",
    "commit": "abc",
    "profile": "full",
    "python": "3.12.1",
    "versions": {"pymc": "6.3"},
    "stderr": [],
}


def notebook_of(source: str, tags=("parameters",)) -> nbformat.NotebookNode:
    return new_notebook(cells=[new_code_cell(source, metadata={"tags": list(tags)})])


# Parameters


def test_values_replace_defaults_and_comments_stay():
    notebook = notebook_of(
        'DRAWS = 1000  # four chains\nCITIES = [\n    "ä",\n    "b",\n]\nNAME = "é"; LAST = None'
    )
    changed = with_parameters(notebook, {"DRAWS": 7, "CITIES": ["x", "y"], "LAST": True})
    assert changed.cells[0].source == (
        'DRAWS = 7  # four chains\nCITIES = ["x", "y"]\nNAME = "é"; LAST = True'
    )
    assert "1000" in notebook.cells[0].source  # the original is untouched


def test_one_parameters_cell_is_needed():
    with pytest.raises(UsageError, match="0 cells are tagged parameters"):
        read_parameters(notebook_of("DRAWS = 1", tags=()))


# Chapters and profiles


@pytest.mark.parametrize("name", ["2", "02", "two", "tw", "two.ipynb"])
def test_chapter_is_found(tmp_path, name):
    book = tiny_book(tmp_path, one="1", two="2", three="3")
    assert book.chapter(name).stem == "two"


@pytest.mark.parametrize(("name", "message"), [("9", "is no chapter"), ("", "several")])
def test_other_chapters_are_refused_with_a_list(tmp_path, name, message):
    with pytest.raises(UsageError, match=rf"^{name} .*{message}.*:\n   1 one\n   2 two"):
        tiny_book(tmp_path, one="1", two="2").chapter(name)


def test_unknown_parameters_are_refused_with_a_list(tmp_path):
    chapter = tiny_book(tmp_path, one="1").chapters[0]
    with pytest.raises(UsageError, match=r"no parameter DRAW; there are:\n  DRAWS = 1000"):
        parameterised(chapter, {"DRAW": 1})


def test_profiles(tmp_path):
    book = tiny_book(tmp_path, one="1")
    profiles = tmp_path / "notebooks" / "profiles.yml"
    assert book.overrides("full") == {}
    profiles.write_text("smoke: {one: {DRAWS: 10}}")
    assert book.overrides("smoke") == {"one": {"DRAWS": 10}}
    with pytest.raises(UsageError, match="no profile; there are: full, smoke"):
        book.overrides("fast")
    profiles.write_text("smoke: {07-gone: {DRAWS: 10}}")
    with pytest.raises(UsageError, match="no chapter 07-gone"):
        book.overrides("smoke")


# What makes a notebook run again


def test_digest_follows_all_inputs_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.delenv("MARKET_BOOK_DATA", raising=False)
    book = tiny_book(tmp_path / "book", one="import helpers.model")
    path = book.chapters[0]

    def now(**values):
        return digest(book, parameterised(path, values))

    seen = [now()]
    bookmaking = book.root / "helpers" / "bookmaking"
    bookmaking.mkdir()
    (bookmaking / "render.py").write_text("changed = True")
    (book.root / "helpers" / "__pycache__").mkdir()
    (book.root / "helpers" / "__pycache__" / "model.pyc").write_text("byte-code")
    (book.root / "helpers" / "other.py").write_text("CHANGED = True")
    write_chapter(path, "import helpers.model", new_markdown_cell("More prose."))
    model = book.root / "helpers" / "model.py"
    model.write_text(f'"""What it holds, in more words."""\n{model.read_text()}')
    assert now() == seen[0]

    seen.append(now(DRAWS=10))
    own = tmp_path / "own.csv"
    own.write_text("a")
    seen.append(now(DATA_PATH=str(own)))
    own.write_text("b")
    seen.append(now(DATA_PATH=str(own)))
    (book.root / "helpers" / "model.py").write_text("LIFT = 2\n")
    seen.append(now())
    (book.root / "requirements.lock").write_text("numpy==3\n")
    seen.append(now())
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_text("c")
    monkeypatch.setenv("MARKET_BOOK_DATA", str(tmp_path / "data"))
    seen.append(now())
    (tmp_path / "data" / "train.csv").write_text("d")
    seen.append(now())
    write_chapter(path, "import helpers.model as model")
    seen.append(now())
    assert len(set(seen)) == len(seen)


FILES = {
    "__init__": "",
    "cities/__init__": "import helpers.style",
    "cities/model": "def build():\n    from ..shared import walk",
    "shared": "import pandas.helpers\nCOMMAND = ['-m', 'helpers.worker']",
    "worker": "import helpers.shared",
    "style": "'see helpers.stores for more'",
    "stores/__init__": "",
    "stores/model": "import helpers.shared",
}


@pytest.mark.parametrize(
    ("code", "files"),
    [
        ("1", []),
        ("import helpers", ["__init__"]),
        ("from helpers import style", ["__init__", "style"]),
        ("%matplotlib inline\nfrom helpers.shared import x", ["__init__", "shared", "worker"]),
        (
            "def f():\n    import helpers.cities.model",
            ["__init__", "cities/__init__", "cities/model", "shared", "style", "worker"],
        ),
        (
            "from helpers.stores import model",
            ["__init__", "shared", "stores/__init__", "stores/model", "worker"],
        ),
    ],
)
def test_what_is_imported_is_found_through_functions_packages_and_commands(tmp_path, code, files):
    for name, source in FILES.items():
        path = tmp_path / "helpers" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    found = [str(p.relative_to(tmp_path / "helpers"))[:-3] for p in imported(tmp_path, [code])]
    assert sorted(found) == files


def test_kernels_see_absolute_data_and_no_settings_that_slow_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARKET_BOOK_DATA", "data")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    environment = kernel_environment(tmp_path)
    assert environment["MARKET_BOOK_DATA"] == str(tmp_path / "data")
    assert "PYTHONDONTWRITEBYTECODE" not in environment
    assert environment["OMP_NUM_THREADS"] == "1"


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "deep" / "page.html"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \udc80")
    assert [file.read_text() for file in path.parent.iterdir()] == ["old"]


# MyST of the report


def glue(name, text):
    mime = "application/papermill.record/"
    scrap = {"scrapbook": {"name": name, "mime_prefix": mime}}
    return new_output("display_data", {f"{mime}text/plain": repr(text)}, metadata=scrap)


def report_html(tmp_path, source):
    bibliography = tmp_path / "book" / "references.bib"
    write_atomically(
        bibliography,
        "@book{one, title={A}, author={Gelman, Andrew}, year={2013}}\n"
        "@article{many, title={B}, year={2006}, author={A, X and B, Y and C, Z}}\n",
    )
    write_atomically(tmp_path / "_config.yml", "sphinx: {config: {html_baseurl: https://b/}}")
    write_atomically(tmp_path / "notebooks" / "part" / "ads.ipynb", notebook_text("# The ads"))
    drawn = new_code_cell("plot()", outputs=[glue("lift", "1.5"), glue("city", "<b>*A*")])
    page = new_notebook(cells=[new_markdown_cell(source), drawn])
    return Myst(page, bibliography).html(source).strip()


def notebook_text(source):
    return nbformat.writes(new_notebook(cells=[new_markdown_cell(source)]))


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("Lift {glue:text}`lift` or {glue:text}`/notebooks/x.ipynb::lift:s`", "Lift 1.5 or 1.5"),
        ("{glue:text}`bias`", MISSING),
        ("{glue:text}`city`", "&lt;b&gt;*A*"),
        ("{term}`prior`, {term}`priors <prior>`", "prior, priors"),
        ("{cite:t}`one` {cite:p}`many, one`", "Gelman (2013) (A et al., 2006; Gelman, 2013)"),
        ("$y_1 < x_1$ and $5", "<code>y_1 &lt; x_1</code> and $5"),
        ("[the data](../book/data.md), [](a.md)", "the data, a.md"),
        ("[](../part/ads.ipynb)", '<a href="https://b/notebooks/part/ads.html">The ads</a>'),
        ("[x](ads.ipynb#own)", '<a href="https://b/notebooks/part/ads.html#own">x</a>'),
        ("[**web**](https://a.b)", '<a href="https://a.b"><strong>web</strong></a>'),
        ("[*x*](javascript:alert(1))", "[<em>x</em>](javascript:alert(1))"),
    ],
)
def test_prose_of_the_report_is_readable(tmp_path, source, shown):
    assert report_html(tmp_path, source) == f"<p>{shown}</p>"


def test_headings_of_the_report_lie_below_its_own(tmp_path):
    shown = report_html(tmp_path, "(sec-a)=\n# A\n% a comment\n\nB")
    assert shown == "<h3>A</h3>\n<p>B</p>"


# Pages


def executed(book: Book) -> list[Result]:
    """Results as if every chapter had been executed and printed its name."""
    results = []
    for path in book.chapters:
        notebook = nbformat.read(path, as_version=4)
        notebook.cells[0].source = "# Prose of the executed copy"
        notebook.cells[2].outputs = [new_output("stream", name="stdout", text=f"out {path.stem}")]
        target = book.root / f"{path.stem}.ipynb"
        nbformat.write(notebook, target)
        results.append(Result(path.stem, target, {"name": path.stem, **RECORD}))
    return results


def test_status_names_time_memory_versions_and_commit():
    tables = status_tables([("[Two cities](../one.ipynb)", RECORD)])
    row = "| [Two cities](../one.ipynb) | 1 min 15 s | 640 MB | 2025-01-31 | abc |"
    assert row in tables
    assert "| pymc | 6.3 |" in tables
    assert "| python | 3.12.1 |" in tables
    assert "Profile: full." in tables


def test_pages_take_prose_from_the_source_and_outputs_from_the_run(tmp_path):
    book = tiny_book(tmp_path / "book", one="1")
    stage_book(book, executed(book), tmp_path / "stage")
    page = nbformat.read(tmp_path / "stage" / "notebooks" / "part" / "one.ipynb", as_version=4)
    minutes = "*About 1 minute to read; it ran in 1 minute.*"
    assert page.cells[0].source == f"# Chapter one\n\n{minutes}"
    assert page.cells[2].outputs[0].text == "out one"
    assert "Chapter one" in (tmp_path / "stage" / "book" / "status.md").read_text()
    assert "execute_notebooks: 'off'" in (tmp_path / "stage" / "_config.yml").read_text()


def answered(book: Book) -> list[Result]:
    """The same where the chapter shows its answer in words and in a picture, and a model."""
    figure = {"figure": {"name": "fig-a-answer", "caption": "A"}, "image": {"alt": "Sales rise"}}
    image = new_output(
        "display_data", {"image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg'/>"}
    )
    drawn = new_code_cell("show(lift_model)", id="drawn", metadata={"mystnb": figure})
    write_chapter(book.chapters[0], "1", drawn)
    notebook = nbformat.read(book.chapters[0], as_version=4)
    notebook.cells[0].source += "\n\nA shop.\n\n**What sells?**\n\n{glue:text}`answer`"
    nbformat.write(notebook, book.chapters[0])
    notebook.cells[2].outputs = [glue("answer", "Ads *sell*.")]
    notebook.cells[3].outputs = [image]
    (result, *_) = results = executed(book)
    nbformat.write(notebook, result.path)
    return results


def test_a_card_shows_picture_question_and_answer_of_its_chapter(tmp_path):
    book = tiny_book(tmp_path / "book", one="1", two="2")
    (book.root / "book" / "index.md").write_text("# Tiny\n\n<!-- chapter cards -->\n")
    stage_book(book, answered(book), tmp_path / "stage")
    page = (tmp_path / "stage" / "book" / "index.md").read_text()
    card, other = page.split("````{grid-item-card} ")[1:]
    assert card.startswith("[Chapter one](../notebooks/part/one.ipynb)\n:img-top: _cards/one.svg\n")
    assert ":img-alt: Sales rise" in card and "*What sells?*" in card
    assert "{glue:text}`/notebooks/part/one.ipynb::answer:s`" in card
    assert (tmp_path / "stage" / "book" / "_cards" / "one.svg").read_text().startswith("<svg")
    assert other.startswith("[Chapter two](../notebooks/part/two.ipynb)\n\n````\n")


def test_the_page_of_models_says_where_each_stands_and_is_shown(tmp_path):
    book = tiny_book(tmp_path / "book", one="1", two="2")
    (book.root / "helpers" / "model.py").write_text(
        'def lift_model(x):\n    """Lift of\n    :func:`sales`.\n\n    More."""\n\n'
        "def _inner():\n    numpyro.sample()\n\n"
        "class Mix:\n    def fit(self):\n        _inner()\n\n"
        "def lift(x):\n    return x\n"
    )
    (book.root / "book" / "models.md").write_text("<!-- list of models -->\n")
    stage_book(book, answered(book), tmp_path / "stage")
    page = (tmp_path / "stage" / "book" / "models.md").read_text()
    link = "[Chapter one](../notebooks/part/one.ipynb)"
    assert f"`lift_model`\n: Lift of `sales`.\n  `helpers/model.py:1`; shown in {link}.\n" in page
    assert "`Mix`\n: \n  `helpers/model.py:10`.\n" in page
    assert page.count("`helpers/model.py:") == 2


def test_a_page_shows_the_planted_errors(tmp_path):
    book = tiny_book(tmp_path / "book", one="1")
    row = {
        "chapter": "one",
        "error": "a wrong sign",
        "caught by": "test_sign",
        "date": "2025-01-31",
    }
    (book.root / "book" / "planted.json").write_text(json.dumps([row]))
    (book.root / "book" / "planted.md").write_text("<!-- planted errors -->\n")
    stage_book(book, executed(book), tmp_path / "stage")
    page = (tmp_path / "stage" / "book" / "planted.md").read_text()
    assert (
        "| [Chapter one](../notebooks/part/one.ipynb) | a wrong sign | `test_sign` | 2025-01-31 |"
        in page
    )


def test_a_figure_among_other_outputs_gets_a_cell_of_its_own():
    mystnb = {"figure": {"name": "fig-a", "caption": "A"}}
    cell = new_code_cell("plot()", id="a", metadata={"mystnb": mystnb, "tags": ["hide-cell"]})
    text = new_output("stream", name="stdout", text="✓")
    image = new_output("display_data", {"image/svg+xml": "<svg/>"})
    cell.outputs = [text, image]
    (apart,) = figure_apart(cell)
    assert cell.outputs == [text]
    assert "mystnb" not in cell.metadata
    assert apart.outputs == [image]
    assert apart.id == "a-figure"  # the same each time, or every build would render anew
    assert apart.metadata == {"mystnb": mystnb, "tags": ["remove-input", "hide-output"]}
    assert figure_apart(apart) == []  # alone already


def test_the_answering_figure_moves_below_the_first_cell():
    figure = {"figure": {"name": "fig-ads-answer", "caption": "A"}, "image": {"alt": "B"}}
    cells = [
        new_markdown_cell("# Title", id="title"),
        new_markdown_cell("You will learn.", id="learn"),
        new_code_cell("plot()", id="a", metadata={"mystnb": figure, "tags": ["hide-cell"]}),
    ]
    image = new_output("display_data", {"image/svg+xml": "<svg/>"})
    executed = new_notebook(cells=[new_code_cell("plot()", outputs=[image])])
    page = chapter_page(new_notebook(cells=cells), executed, 60)
    assert [cell.id for cell in page.cells] == ["title", "a-figure", "learn", "a"]
    assert page.cells[1].metadata == {"mystnb": figure, "tags": ["remove-input"]}
    assert page.cells[1].outputs == [image] and page.cells[3].outputs == []
    assert page.cells[2].source.startswith("You will learn.\n\n*About 1 minute")


@pytest.mark.parametrize(
    ("source", "tags", "name"),
    [
        ("DRAWS = 9", ["parameters"], "Parameters"),
        ("import numpy as np\nfrom a import b\n%matplotlib inline", [], "Imports"),
        ("claim(1 < 2, 'more')", [], "Checks and numbers"),
        ("for k in a:\n    publish(k, a[k])", [], "Checks and numbers"),
        ("import seaborn\nfigure = 1\nseaborn.lineplot()", [], "Show the code"),
    ],
)
def test_a_handle_says_what_is_folded(source, tags, name):
    assert folded(new_code_cell(source, metadata={"tags": tags})) == name


def test_only_folded_cells_get_a_handle():
    cells = [new_markdown_cell("# T"), *(new_code_cell(f"{n}") for n in range(2))]
    cells[2].metadata["tags"] = ["hide-input"]
    cells[2].metadata["mystnb"] = {"figure": {"name": "fig-a", "caption": "A"}}
    page = chapter_page(new_notebook(cells=cells), new_notebook(cells=cells[1:]), 60)
    assert "mystnb" not in page.cells[1].metadata
    assert page.cells[2].metadata.mystnb.code_prompt_show == "Code of the figure"
    assert page.cells[2].metadata.mystnb.figure.name == "fig-a"


def test_rendering_is_skipped_when_nothing_changed_and_keeps_the_old_pages_when_it_fails(
    tmp_path, monkeypatch
):
    book = tiny_book(tmp_path / "book", one="1")
    results = executed(book)
    html, work = tmp_path / "html", tmp_path / "work"
    text = "rendered once"

    def fake(stage, *, output):
        if text is None:
            raise BuildError("dangling")
        (output / "_build" / "html").mkdir(parents=True)
        (output / "_build" / "html" / "index.html").write_text(text)

    monkeypatch.setattr(render, "jupyter_book", fake)
    assert render_book(book, results, html=html, work=work)
    assert not render_book(book, results, html=html, work=work)
    write_chapter(book.chapters[0], "1", new_markdown_cell("More prose."))
    text = None
    with pytest.raises(BuildError, match="dangling"):
        render_book(book, results, html=html, work=work)
    assert (html / "index.html").read_text() == "rendered once"
    text = "rendered twice"
    assert render_book(book, results, html=html, work=work)
    assert (html / "index.html").read_text() == "rendered twice"
    assert not work.exists()


def test_a_dangling_citation_stops_the_rendering(tmp_path):
    book = tiny_book(tmp_path / "book", one="1")
    (book.root / "book" / "index.md").write_text("# A tiny book\n\nAs {cite:t}`nobody` says.\n")
    with pytest.raises(BuildError, match="nobody"):
        render_book(book, executed(book), html=tmp_path / "html", work=tmp_path / "work")
    assert not (tmp_path / "html").exists()


# The command line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "9"], "9 is no chapter; there are:"),
        (["run", "9", "--data", "own.csv", "--out", "out"], "9 is no chapter"),
        (["run", "1", "--data", "gone.csv", "--out", "out"], "gone.csv: no such file"),
        (["run", "1", "--data", "own.csv", "--out", "own.csv"], "is not a directory"),
        (["run", "1", "--data", "own.csv", "--out", "own.csv/out"], "is not a directory"),
        (["run", "1", "--data", "own.csv", "--out", "out", "-p", "DRAWS"], "not NAME=VALUE"),
        (["run", "1", "--data", "own.csv", "--out", "out", "-p", "DRAW=1"], "did you mean DRAWS?"),
        (["run", "1", "--data", ".", "--out", "out"], ".: a folder; name the file in it"),
        (["run", "1", "--data", "/dev/null", "--out", "out"], "no file and no pipe"),
        (["run", "1", "--data", "own.csv", "--out", "out", "--column", "sales"], "--column sales="),
        (["check", "gone.csv"], "gone.csv: no such file"),
        (["example", "1", "--out", "own.csv"], "own.csv is there already"),
        (["example", "2"], "two takes no data"),
        (["run", "2", "--data", "own.csv", "--out", "out"], "takes no data"),
    ],
)
def test_wrong_commands_exit_with_2_and_leave_nothing(
    tmp_path, monkeypatch, capsys, arguments, message
):
    tiny_book(tmp_path / "book", one="1", two="2")
    monkeypatch.setitem(own.CHAPTERS, "one", (TINY, 1, 0))
    (tmp_path / "own.csv").write_text("a")
    monkeypatch.chdir(tmp_path)
    assert main(["--book", "book", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["book", "own.csv"]


def test_no_book_no_command(tmp_path, capsys):
    assert main(["--book", str(tmp_path), "list"]) == 2
    assert "holds no book" in capsys.readouterr().err


def test_list_shows_chapters_and_parameters(tmp_path, capsys):
    tiny_book(tmp_path, one="1")
    assert main(["--book", str(tmp_path), "list"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(" 1 one\n  Chapter one\n    DRAWS: draws of each chain that are kept\n")
    assert "        a whole number from 20 to 100,000; 1000 unless given\n" in shown
    assert "DATA_PATH" not in shown


def test_an_unknown_parameter_in_a_profile_stops_before_anything_runs(tmp_path):
    book = tiny_book(tmp_path, one="1")
    (tmp_path / "notebooks" / "profiles.yml").write_text("smoke: {one: {DRAW: 10}}")
    with pytest.raises(UsageError, match="no parameter DRAW"):
        execute_book(book, profile="smoke")
