"""Every notebook passes every check, and every check catches the fault planted for it."""

from __future__ import annotations

import notebook_checks as checks
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers.bookmaking.book import Book, read_notebook
from helpers.bookmaking.cli import CHECKOUT

BOOK = Book(CHECKOUT)
CHAPTERS = [pytest.param(path, id=path.stem) for path in BOOK.chapters]
PARAMETERS = "DRAWS = 9\nTUNE = 9\nCHAINS = 2\nSEED = 1\nENFORCE_CLAIMS = True"
OPENING = """# Title

A shop buys ads.

**Do they work?**

{glue:text}`answer`

*What to do.* {glue:text}`action`"""
ALT = "The line of sales rises after the campaign"
FIGURE = {"figure": {"name": "fig-sales", "caption": "Sales rise when the campaign starts."}}


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("path", CHAPTERS)
def test_notebook_passes(path, check):
    assert check(read_notebook(path)) == []


@pytest.mark.parametrize("path", CHAPTERS)
def test_citations_and_terms_exist(path):
    notebook = read_notebook(path)
    pages = BOOK.root / "book"
    assert checks.cited_works_exist(notebook, pages / "references.bib") == []
    assert checks.terms_are_defined(notebook, pages / "glossary.md") == []


#: Lines of code in view, at most: what a reader of a chapter can be asked to read.
AVERAGE_IN_VIEW, MOST_IN_VIEW = 300, 350


@pytest.mark.parametrize("path", CHAPTERS)
def test_a_chapter_shows_no_more_code_than_can_be_read(path):
    assert checks.lines_in_view(read_notebook(path)) <= MOST_IN_VIEW


def test_chapters_are_short_on_average():
    lines = [checks.lines_in_view(read_notebook(path)) for path in BOOK.chapters]
    assert sum(lines) / len(lines) <= AVERAGE_IN_VIEW


def test_lines_in_view_are_those_of_unfolded_code():
    folded = code("x = 1", tags=["hide-input"])
    assert checks.lines_in_view(new_notebook(cells=[folded, code("a = 1\n\nb = 2\n")])) == 2


@pytest.mark.parametrize("path", sorted((BOOK.root / "book").glob("*.md")), ids=lambda p: p.stem)
def test_pages_name_chapters(path):
    assert checks.numbered_chapters(path.read_text()) == []


def notebook(*cells):
    """A notebook without fault, and more cells."""
    first = new_markdown_cell(OPENING)
    parameters = new_code_cell(PARAMETERS, metadata={"tags": ["parameters", "hide-input"]})
    published = code("publish('answer', 'Yes.')\npublish('action', 'Stop.')", tags=["hide-input"])
    answer = plot(figure={"figure": FIGURE["figure"] | {"name": "fig-ads-answer"}})
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    colab = code(checks.COLAB_CELL, tags=["remove-cell"])
    return new_notebook(
        cells=[first, colab, parameters, published, answer, *cells], metadata=kernel
    )


def code(source, **metadata):
    return new_code_cell(source, metadata=metadata)


def plot(alt=ALT, figure=FIGURE):
    return new_code_cell(
        "figure, axes = plt.subplots()", metadata={"mystnb": {**figure, "image": {"alt": alt}}}
    )


looking = plot(figure={"figure": {"name": "fig-a", "caption": "Look at the line of sales."}})


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_a_good_notebook_has_no_problem(check):
    good = [
        plot(),
        new_code_cell("def draw():\n    return plt.subplots()"),  # plots only when called
        new_code_cell("rng = np.random.default_rng(SEED)\npm.sample(DRAWS, random_seed=rng)"),
        new_code_cell("%config InlineBackend.figure_formats = ['svg']"),
        code("key_numbers({f'lift-{city}': ('Lift', '2') for city in 'AB'})", tags=["hide-cell"]),
        code("import numpy as np\nseeds = named_seeds(1, 'a')", tags=["hide-input"]),
        code("from helpers.cities.model import prepare\nprepare(1)\nseeds.fit"),
        new_markdown_cell("The chapter on two cities, as in [](a.ipynb)."),
        new_markdown_cell("{glue:text}`lift-A` and, as code, `np.random.seed`."),
    ]
    assert check(notebook(*good)) == []


@pytest.mark.parametrize(
    ("check", "fault", "message"),
    [
        (checks.nothing_is_executed, new_code_cell("1", execution_count=3), "clear its outputs"),
        (checks.metadata_is_authored, code("1", papermill={"duration": 1}), "drop papermill"),
        (checks.tags_are_known, code("1", tags=["hidden"]), "unknown tag hidden"),
        (checks.parameters_are_complete, code("N = 1", tags=["parameters"]), "2 cells tagged"),
        (checks.opens_with_its_answer, new_markdown_cell("# Another"), "2 headings"),
        (checks.one_figure_answers, plot(figure={"figure": {"name": "fig-b-answer"}}), "2 figures"),
        (checks.bookkeeping_is_folded, code("for c in x:\n    claim(c, 'a')"), "claim in view"),
        (checks.bookkeeping_is_folded, code("x = 1\npublish('x', 'x')"), "publish in view"),
        (checks.bookkeeping_is_folded, code("key_numbers({})"), "key_numbers in view"),
        (checks.bookkeeping_is_folded, code("import a\nimport b\nc()"), "imports in view"),
        (checks.bookkeeping_is_folded, code("N = 1", tags=["parameters"]), "parameters in view"),
        (checks.chapters_are_named, new_markdown_cell("As in chapter 5."), "chapter 5"),
        (checks.chapters_are_named, new_markdown_cell("[Chapter 5](a.ipynb)"), "Chapter 5"),
        (checks.chapters_are_named, new_markdown_cell("Chapters [1](a.ipynb)"), "Chapters [1"),
        (checks.chapters_are_named, new_markdown_cell("`market-book run 5`"), "run 5"),
        (checks.seeds_have_names, code("fit(seeds[3])"), "seeds[3]"),
        (checks.captions_say_what_to_see, looking, "Look at"),
        (checks.figures_are_described, code("plt.subplots()"), "alternative text"),
        (checks.figures_are_described, code("az.plot_forest(fit)"), "caption"),
        (checks.figures_are_described, plot(alt=""), "alternative text"),
        (checks.figures_are_described, plot(alt=ALT + " by 30 percent"), "go stale"),
        (checks.randomness_is_seeded, code("np.random.seed(1)"), "seed is legacy"),
        (checks.randomness_is_seeded, code("np.random.RandomState(1)"), "RandomState is legacy"),
        (checks.randomness_is_seeded, code("np.random.default_rng()"), "without a seed"),
        (checks.randomness_is_seeded, code("import random"), "import random"),
        (checks.randomness_is_seeded, code("with m:\n    pm.sample(9)"), "without random_seed"),
        (checks.network_is_not_used, code("import requests"), "imports requests"),
        (checks.network_is_not_used, code("from urllib.request import urlopen"), "imports urllib"),
        (checks.network_is_not_used, code("pd.read_csv('https://a.b/c.csv')"), "https://"),
        (checks.network_is_not_used, code("!pip install x"), "!pip"),
        (checks.interfaces_are_current, code("az.plot_trace(fit)"), "plot_trace_dist"),
        (checks.interfaces_are_current, code("az.plot_ppc(fit)"), "plot_ppc_dist"),
        (checks.interfaces_are_current, code("az.plot_posterior(fit)"), "plot_dist"),
        (checks.interfaces_are_current, code("az.hdi(draws)"), "without dim="),
        (checks.interfaces_are_current, code("idata.extend(other)"), "update"),
        (checks.interfaces_are_current, code("pm.MutableData('x', x)"), "pm.Data"),
        (checks.interfaces_are_current, code("pm.model_to_graphviz(m)"), "model_to_mermaid"),
        (checks.interfaces_are_current, code("InferenceData(posterior=x)"), "DataTree"),
        (checks.glued_keys_are_published, new_markdown_cell("{glue:text}`bias`"), "bias is shown"),
    ],
)
def test_a_planted_fault_is_caught(check, fault, message):
    assert any(message in problem for problem in check(notebook(fault)))


def takes_file(*cells):
    """A notebook without fault that takes a file, and more cells."""
    own = [
        new_code_cell("own_answer()\nsay(f'{city}')\ndisplay(Markdown('Plain.'))"),
        code("plt.subplots()", tags=["report-picture"], mystnb=plot().metadata.mystnb),
        new_markdown_cell("We count.", metadata={"tags": ["report-method"]}),
    ]
    whole = notebook(*own, *cells)
    whole.cells[2].source += "\nDATA_PATH = None"
    return whole


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (code("1", tags=["report-picture"]), "2 cells tagged report-picture"),
        (code("1", tags=["report-picture"]), "without a figure"),
        (code("1", tags=["report-method"]), "needs a markdown cell"),
        (code("1", tags=["report-fit", "simulated"]), "no report runs"),
        (code("own_answer()"), "2 calls of own_answer"),
        (code("display(Markdown(f'{city}'))"), "data in Markdown"),
        (code("display(IPython.display.HTML(city))"), "data in IPython.display.HTML"),
    ],
)
def test_a_chapter_that_takes_a_file_has_a_report(fault, message):
    check = checks.own_data_are_reported
    assert check(takes_file(code("Markdown(f'{a}')", tags=["simulated"]))) == []
    assert any(message in problem for problem in check(takes_file(fault)))
    assert check(notebook(code("1", tags=["report-fit"])))  # it takes none
    for missing in (5, 6, 7):
        less = takes_file()
        del less.cells[missing]
        assert check(less)


def test_faults_that_no_added_cell_can_plant():
    twice = notebook(code("1"))
    twice.cells[-1].id = twice.cells[0].id
    assert "needs its own" in checks.format_is_valid(twice)[0]

    nameless = notebook()
    del nameless.cells[0]["id"]
    assert "needs its own" in checks.format_is_valid(nameless)[0]

    invalid = notebook()
    invalid.cells[0].cell_type = "prose"
    assert checks.format_is_valid(invalid)

    other_kernel = notebook()
    other_kernel.metadata.kernelspec.name = "conda"
    assert "python3" in checks.metadata_is_authored(other_kernel)[0]

    few = notebook()
    few.cells[2].source = "DRAWS = 9\nTUNE = 2 * DRAWS"
    problems = checks.parameters_are_complete(few)
    assert "TUNE = 2 * DRAWS: not one name and one literal" in problems
    assert "no parameter SEED" in problems

    other_cell = notebook()
    other_cell.cells[1].source += "\n%pip install x"
    assert checks.first_cell_is_for_colab(other_cell)
    assert checks.network_is_not_used(other_cell)

    for fault in ("**Do they work?**\n\n", "{glue:text}`answer`\n\n", "A shop buys ads.\n\n"):
        other_opening = notebook()
        other_opening.cells[0].source = OPENING.replace(fault, "")
        assert checks.opens_with_its_answer(other_opening)
    longer = notebook()
    longer.cells[0].source += "\n\nYou will learn."
    assert checks.opens_with_its_answer(longer)
    nothing = notebook()
    nothing.cells.pop(4)
    assert "0 figures" in checks.one_figure_answers(nothing)[0]
    captioned = notebook(plot(figure={"figure": {"caption": "As in chapter 2, sales rise."}}))
    assert checks.chapters_are_named(captioned)

    assert "two figures" in checks.figures_are_described(notebook(plot(), plot()))[0]


def test_dangling_citations_and_terms_are_caught(tmp_path):
    bibliography, glossary = tmp_path / "references.bib", tmp_path / "glossary.md"
    bibliography.write_text("@book{known, title={A}, author={B, C}, year={2020}}")
    glossary.write_text("# Glossary\n\n```{glossary}\nprior\n  Before.\n\nLift\n  More.\n```\n")
    good = notebook(new_markdown_cell("{cite:t}`known` {term}`prior` {term}`gain <Lift>`"))
    assert checks.cited_works_exist(good, bibliography) == []
    assert checks.terms_are_defined(good, glossary) == []
    bad = notebook(new_markdown_cell("{cite:p}`known, unknown` and {term}`posterior`"))
    assert checks.cited_works_exist(bad, bibliography) == ["unknown is not in references.bib"]
    assert checks.terms_are_defined(bad, glossary) == ["posterior is not in the glossary"]
