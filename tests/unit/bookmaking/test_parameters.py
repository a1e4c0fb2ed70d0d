"""Parameters of a run: each is in the table, and a value that is none is refused in one line."""

from __future__ import annotations

import ast

import pytest

from helpers.bookmaking.book import Book, UsageError, has_tag, read_notebook, read_parameters
from helpers.bookmaking.cli import CHECKOUT
from helpers.bookmaking.closure import parsed
from helpers.bookmaking.own import CHAPTERS, for_own_data
from helpers.bookmaking.parameters import checked, defaults, parameter, value_of

BOOK = Book(CHECKOUT)
KNOWN = {p.stem: read_parameters(read_notebook(p)) for p in BOOK.chapters if p.exists()}
MIX, MARKETS, PRICES = (
    "media-mix-case-study",
    "hierarchical-markets",
    "new-regions-and-best-prices",
)
NEEDED = {MIX: ["CHANNELS=tv"], PRICES: ["UNIT_COST_EUR=0.8"]}


def test_chapters_that_take_a_file_are_registered():
    assert {stem for stem, known in KNOWN.items() if "DATA_PATH" in known} == {*CHAPTERS}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_each_parameter_is_in_the_table_and_its_default_fits(chapter):
    for name, value in defaults(KNOWN[chapter]).items():
        entry = parameter(chapter, name)
        assert entry.about or name == "DATA_PATH", name
        if value is not None:
            assert value_of(name, entry, str(value)) in (value, [])
        elif name != "DATA_PATH":
            assert entry.optional, name


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_what_a_readers_run_does_not_use_is_of_the_books_study(chapter):
    cells = for_own_data(BOOK.chapter(chapter), {}).cells
    code = [c.source for c in cells if c.cell_type == "code" and not has_tag(c, "parameters")]
    used = {getattr(node, "id", "") for source in code for node in ast.walk(parsed(source))}
    unused = KNOWN[chapter].keys() - used
    assert [name for name in unused if not parameter(chapter, name).study] == []


def value(chapter, text):
    name = text.partition("=")[0]
    others = [word for word in NEEDED.get(chapter, []) if not word.startswith(f"{name}=")]
    return checked(chapter, KNOWN[chapter], [*others, text])[0][name]


@pytest.mark.parametrize(
    ("chapter", "text", "expected"),
    [
        (MIX, "DRAWS=1e3", 1000),
        (MIX, "CONTROLS=on", ["on"]),
        (MIX, "CONTROLS=", []),
        (MIX, "CHANNELS= tv , out of home", ["tv", "out of home"]),
        (MIX, 'CHANNELS=["a, b", "$$", 007, {x]', None),
        (MIX, 'CHANNELS=["a, b", "$$", 007]', ["a, b", "$$", "007"]),
        (MIX, "CHANNELS=2024-01-01", ["2024-01-01"]),
        (MIX, "TARGET=yes", "yes"),
        (MIX, "TARGET='a b'", "a b"),
        (MIX, "ENFORCE_CLAIMS=FALSE", False),
        (MARKETS, "BACKEND=JAX", "jax"),
        ("shocks-both-cities-share", "SCALE=Log", "log"),
        ("shocks-both-cities-share", "CITIES=[NO, SE]", ["NO", "SE"]),
        ("shocks-both-cities-share", "CITIES=Ulm,Bonn", ["Ulm", "Bonn"]),
        ("shocks-both-cities-share", "CITIES=null", None),
        (PRICES, "PRICE_BOUNDS=(1, 2.5)", [1, 2.5]),
        (PRICES, "PRICE_BOUNDS=None", None),
    ],
)
def test_values_are_taken_as_they_are_meant(chapter, text, expected):
    if text.endswith("{x]"):
        with pytest.raises(UsageError):
            value(chapter, text)
    else:
        assert value(chapter, text) == expected


@pytest.mark.parametrize(
    ("chapter", "text", "message"),
    [
        (PRICES, "UNIT_COST_EUR=0,8", "UNIT_COST_EUR=0,8: a number is wanted, write 0.8"),
        (PRICES, "UNIT_COST_EUR=nan", "is not a number above 0"),
        (PRICES, "UNIT_COST_EUR=1 EUR", "is not a number above 0"),
        (PRICES, "PRICE_BOUNDS=[2, 1]", "is not two prices, the lower first"),
        (PRICES, "PRICE_BOUNDS=[1]", "is not two prices"),
        (PRICES, "PRICE_BOUNDS=[-1, 1]", "is not two prices"),
        (PRICES, "NEW_INCOME=-3", "is not a number above 0"),
        (MIX, "DRAWS=inf", "is not a whole number from 20"),
        (MIX, "DRAWS=1.5", "is not a whole number"),
        (MIX, "DRAWS=", "is not a whole number"),
        (MIX, "CHAINS=1", "is not a whole number from 2"),
        (MIX, "HELD_OUT=0", "is not a whole number from 4"),
        (MIX, "SEED=-1", "is not a whole number from 0"),
        (MIX, "BUDGET_CHANGE=50", "and at most 1"),
        (MIX, "CHANNELS=tv,tv", "is not different names"),
        (MIX, "CHANNELS=[[tv]]", "is not different names"),
        (MIX, "DRAW=3", "did you mean DRAWS?"),
        (MIX, "draws=30", "did you mean DRAWS?"),
        (MIX, "XYZ=30", "`market-book list` shows those"),
        (MIX, "DATA_PATH=x.csv", "name your file with --data"),
        (MARKETS, "BACKEND=cuda", "is not one of numba, jax"),
        (MARKETS, "GLOBAL_CHANNELS=print", "print is none of the CHANNELS"),
        ("shocks-both-cities-share", "CITIES=Ulm", "is not two different names"),
        ("shocks-both-cities-share", "SCALE=sqrt", "is not one of log, level"),
    ],
)
def test_other_values_are_refused_in_one_line(chapter, text, message):
    with pytest.raises(UsageError, match=r"^[^\n]*$") as error:
        value(chapter, text)
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["DRAWS", "=1", "A-B=1"])
def test_other_words_are_refused(text):
    with pytest.raises(UsageError, match="is not NAME=VALUE"):
        checked(MIX, KNOWN[MIX], [text])


@pytest.mark.parametrize(("chapter", "name"), [(MIX, "CHANNELS"), (PRICES, "UNIT_COST_EUR")])
def test_what_no_default_can_be_must_be_given(chapter, name):
    with pytest.raises(UsageError, match=f"{name}: not given; say"):
        checked(chapter, KNOWN[chapter], [])


def test_what_the_book_assumes_is_said():
    _, said = checked("what-the-ads-did", KNOWN["what-the-ads-did"], ["COST_EUR=5", "N_DAYS=9"])
    assert said == [
        "N_DAYS is of the book's own study and changes nothing on your file.",
        "MARGIN_EUR was not given: 8.0 is taken (what a unit sold earns you).",
    ]
    values, said = checked(MARKETS, KNOWN[MARKETS], ["CHANNELS=tv,print"])
    assert values["GLOBAL_CHANNELS"] == [] and said == []
