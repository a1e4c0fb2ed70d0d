"""A chapter on a reader's file: from the command to what lies in the folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import nbformat
import pandas as pd
import psutil
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell
from tiny_book import TINY, tiny_book, write_chapter

from helpers.bookmaking import own
from helpers.bookmaking.book import Book, UsageError, read_notebook, read_parameters
from helpers.bookmaking.cli import CHECKOUT, main

CHAPTER = """\
import os, sys, pathlib
import pandas as pd
from helpers.notebook.answer import own_answer
from helpers.notebook.claims import publish
class NotConverged(AssertionError): pass
sales = pd.read_csv(DATA_PATH)["sales"]
print("of", "libraries", file=sys.stderr)
if DRAWS < sales.iloc[0]:
    raise NotConverged(f"{DRAWS} draws, {ENFORCE_CLAIMS}")
publish("total", f"{sales.sum():.0f} orders")
results = pd.DataFrame([["sales", "", "orders", 42.0, 40.0, 44.0]])
results.columns = ["name", "group", "unit", "mean", "lower", "upper"]
own_answer(
    question="How many?", trust="Yes.", trusted=True,
    answer=f"You sold {sales.sum()}.", decision="Go on.", results=results,
)"""


@pytest.fixture
def book(tmp_path, monkeypatch):
    monkeypatch.setitem(own.CHAPTERS, "own", (TINY, 1, 0))
    book = tiny_book(tmp_path / "book", own=CHAPTER)
    figure = {"name": "fig-line", "caption": "A line that rises to the right."}
    tags = ["report-picture"]
    drawn = {"mystnb": {"figure": figure, "image": {"alt": "A line rises"}}, "tags": tags}
    write_chapter(
        book.chapters[0],
        CHAPTER,
        new_code_cell("raise SystemError('simulated')", metadata={"tags": ["simulated"]}),
        new_code_cell("import matplotlib.pyplot as plt\nplt.plot([1, 2]);", metadata=drawn),
        new_markdown_cell("You sold {glue:text}`total`.", metadata={"tags": ["report-method"]}),
    )
    notebook = nbformat.read(book.chapters[0], as_version=4)
    notebook.cells[0].metadata["tags"] = ["simulated"]  # as where it tells of the book's study
    notebook.cells[0].source += "\n\nOur study is simulated."
    nbformat.write(notebook, book.chapters[0])
    return book


def files(directory):
    """Everything below a directory but what caches keep."""
    found = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if path.parts[0] != "cache" or "run-" in str(path))


def run(book, data, out, *words):
    return main(
        ["--book", str(book.root), "run", "1", "--data", str(data), "--out", str(out), *words]
    )


def test_own_data_give_a_notebook_a_report_and_a_table(tmp_path, book, capsys):
    data, out = tmp_path / "Bj\u00f6rn's, own.csv", tmp_path / "new" / "out"
    data.write_text("sales\n40\n2\n")
    assert run(book, data, out, "-p", "DRAWS=30") == 0
    shown = capsys.readouterr()
    assert "30 draws, sampler: not good enough; once more with twice the draws" in shown.out
    paths = [str(out / name) for name in ("own.html", "own.ipynb", "results.csv")]
    assert shown.out.splitlines()[-5:] == ["You sold 42.", "Go on.", *paths]
    assert not shown.err
    assert files(out) == ["own.html", "own.ipynb", "results.csv"]
    assert pd.read_csv(out / "results.csv")["mean"].tolist() == [42]
    cells = read_notebook(out / "own.ipynb").cells
    assert "DRAWS = 60" in cells[1].source and "of libraries" not in str(cells)
    text = (out / "own.html").read_text()
    page = BeautifulSoup(text, "html.parser")
    for said in ("You sold 42 orders.", "read with <care>", "few rows"):
        assert said in page.get_text()
    assert [image["alt"] for image in page.select("img")] == ["A line rises"]
    assert page.title.text == f"How many? \u2013 {data.name}"
    assert "Our study" not in page.get_text()
    for path in (out / "own.html", out / "own.ipynb"):  # they may be sent to somebody
        assert str(tmp_path) not in path.read_text()
    assert files(book.build_directory) == []


def test_a_sampler_that_fails_twice_gives_advice_and_no_estimates(tmp_path, book, capsys):
    data, out = tmp_path / "own.csv", tmp_path / "out"
    data.write_text("sales\n1000\n2\n")
    out.mkdir()
    (out / "results.csv").write_text("of another run")
    assert run(book, data, out, "-p", "DRAWS=30") == 1
    message = capsys.readouterr().err
    assert "nor with twice the draws (60 draws, sampler)" in message and "-p DRAWS=120" in message
    assert files(out) == ["own.html", "own.ipynb"]
    page = BeautifulSoup((out / "own.html").read_text(), "html.parser").get_text()
    assert "-p DRAWS=120" in page and "Go on" not in page.split("The code")[0]


def test_unusable_data_give_one_message_before_a_kernel_starts(tmp_path, book, capsys, monkeypatch):
    monkeypatch.setattr(own, "execute_one", None)
    data, out = tmp_path / "own.csv", tmp_path / "out"
    data.write_text("sales\n-1\n")
    assert run(book, data, out) == 1
    message = f"{data}: sales: 1 negative value (first -1); set refunds to 0\n"
    assert capsys.readouterr().err == message
    assert not out.exists()


def test_a_run_that_is_ended_leaves_nothing(tmp_path, book):
    started = tmp_path / "started"
    write_chapter(
        book.chapters[0],
        "import os, pathlib, time\n"
        f"pathlib.Path({str(started)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(60)",
    )
    data, out = tmp_path / "own.csv", tmp_path / "out"
    data.write_text("sales\n1\n")
    code = (
        "import sys; from tiny_book import TINY; from helpers.bookmaking import cli, own\n"
        "own.CHAPTERS['own'] = (TINY, 1, 0); sys.exit(cli.main(sys.argv[1:]))"
    )
    support = str(CHECKOUT / "tests" / "support")
    words = ["--book", book.root, "run", "1", "--data", data, "--out", out]
    for end, code_of_exit in ((signal.SIGTERM, 130), (signal.SIGKILL, -9)):
        command = [sys.executable, "-c", code, *map(str, words)]
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        done = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": support}, **pipes)
        wait_until(lambda: started.exists() and started.read_text())
        kernel = psutil.Process(int(started.read_text()))
        started.unlink()
        done.send_signal(end)
        assert done.wait(60) == code_of_exit
        wait_until(lambda kernel=kernel: not kernel.is_running() or kernel.status() == "zombie")
        wait_until(lambda: files(book.build_directory) == [])
        assert not out.exists()


def wait_until(condition):
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


def test_a_checkout_that_cannot_be_written_to_is_left_alone(tmp_path, book, monkeypatch):
    book.build_directory.write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with own.scratch(book) as (elsewhere, folder):
        assert folder.parent == elsewhere.build_directory / "cache"
        assert elsewhere.build_directory == tmp_path / "cache" / "market-book"
    assert not folder.exists()


def test_data_come_through_a_pipe(tmp_path):
    reading, writing = os.pipe()
    with open(writing, "wb") as file:
        file.write(b"sales\n1\n")
    copy = own.at_hand(own.Path(f"/dev/fd/{reading}"), TINY, tmp_path)
    os.close(reading)
    assert copy.parent == tmp_path and copy.read_text() == "sales\n1\n"
    with pytest.raises(UsageError, match="a folder"):
        own.at_hand(tmp_path, TINY, tmp_path)


@pytest.mark.parametrize("stem", own.CHAPTERS)
def test_an_example_fits_its_chapter(stem, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["example", stem]) == 0
    command = capsys.readouterr().out.splitlines()[-1]
    assert command.startswith(f"market-book run {stem} --data {stem}.csv --out report")
    chapter = Book(CHECKOUT).chapter(stem)
    words = command.split("report")[-1].split(" -p ")[1:]
    known = read_parameters(read_notebook(chapter))
    values, _ = own.parameters.checked(stem, known, words)
    part = own.part_of(chapter)
    assert part.size(part.loaded(own.Path(f"{stem}.csv"), values)) > 0


def test_check_says_what_fits_and_what_is_missing(tmp_path, capsys):
    path = tmp_path / "markets.csv"
    frame = own.MARKETS.example().assign(promo=1)
    frame.loc[::3, "promo"] = 0
    frame.loc[5, "\x1b[2Jodd"] = 1.5
    frame.drop(index=7).to_csv(path, index=False)
    assert main(["check", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "date: dates, 20" in shown and "market: 6 different: " in shown
    assert "a row every 7 days, for each market, 1 gap\n" in shown
    assert "\x1b" not in shown
    frame = frame.drop(columns="\x1b[2Jodd")
    pd.concat([frame, frame.iloc[[3]]]).to_csv(path, index=False)
    assert main(["check", str(path)]) == 0
    assert "a row every 7 days, for each market, no gaps, 1 repeated\n" in capsys.readouterr().out
    frame.to_csv(path, index=False)
    assert main(["check", str(path)]) == 0
    shown = capsys.readouterr().out
    fits = shown.split("It fits")[1].split("For")[0]
    assert "9 hierarchical-markets, about" in fits
    assert "-p CHANNELS=tv,radio,online -p CONTROL_COLUMNS=promo" in fits
    assert "For 2 shocks-both-cities-share, 3 what-the-ads-did\n  city: column missing" in shown
