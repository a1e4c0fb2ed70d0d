"""A reader's files and surroundings through the command line, refused before a kernel starts."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from malformed import (
    MALFORMED,
    MALFORMED_MEDIA,
    MALFORMED_PRICES,
    MALFORMED_STORES,
    good_frame,
    good_media_frame,
    good_price_frame,
    good_store_frame,
)

from helpers.bookmaking import own
from helpers.bookmaking.book import UsageError
from helpers.bookmaking.cli import CHECKOUT, main

# By Part: a good table and what spoils it, every third here, for the loaders' own tests see all.
# The Part's chapters take turns.
KINDS = [
    (own.CITIES, good_frame, MALFORMED),
    (own.PRICES, good_price_frame, MALFORMED_PRICES),
    (own.MEDIA, good_media_frame, MALFORMED_MEDIA),
    (own.STORES, good_store_frame, MALFORMED_STORES),
]
# What a chapter must be told.
TOLD = {
    "what-to-believe-in-a-media-mix-model": ("CHANNELS=tv,radio", "CONTROLS=promo"),
    "new-regions-and-best-prices": ("UNIT_COST_EUR=0.8",),
}


def cases():
    """Chapters and malformed files."""
    for part, good, files in KINDS:
        takers = [stem for stem, (own_part, *_) in own.CHAPTERS.items() if own_part is part]
        takers = takers[-1:] if part is own.MEDIA else takers  # without held-out periods
        for i, name in enumerate(list(files)[::3]):
            yield pytest.param(takers[i % len(takers)], good, files[name], id=name)


def words(chapter, data, out):
    told = [word for parameter in TOLD.get(chapter, ()) for word in ("-p", parameter)]
    return ["run", chapter, "--data", str(data), "--out", str(out), *told]


@pytest.mark.parametrize(("chapter", "good", "spoilt"), cases())
def test_a_malformed_file_is_refused_in_one_line(
    chapter, good, spoilt, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(own, "execute_one", None)
    spoil, message = spoilt
    data, out = tmp_path / "sales.csv", tmp_path / "out"
    spoil(good()).to_csv(data, index=False)
    assert main(words(chapter, data, out)) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(f"{data}: {message}")
    assert len(shown.splitlines()) == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty; export it again"),
        (b"date,city,sales\n", "no rows under the header; export it again"),
        (b"<html><body>log in</body></html>", ""),
        (b"PK\x03\x04 cut short", "unreadable ("),
        (b"\x00\x01\x02\xff\xfe" * 40, ""),
        (b"%PDF-1.7\n1 0 obj << /Type /Catalog >>\n", ""),
        (b"date;city;sales\n2024-01-01;Ulm", "city: "),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(content, message, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(own, "execute_one", None)
    data, out = tmp_path / "sales.csv", tmp_path / "out"
    data.write_bytes(content)
    for arguments in (["check", str(data)], words("2", data, out)):
        code, shown = main(arguments), capsys.readouterr()
        assert code == 1 or "It fits no chapter" in shown.out
        if code:
            assert shown.err.startswith(f"{data}: {message}"), shown.err
            assert len(shown.err.splitlines()) == 1
    assert not out.exists()


def test_kaggles_folder_is_taken_for_stores_and_refused_elsewhere(tmp_path, capsys):
    frame = good_store_frame()
    days = {"date": "Date", "store": "Store", "sales": "Sales", "open": "Open", "promo": "Promo"}
    train = frame[list(days)].rename(columns=days).assign(Customers=1, StateHoliday="0")
    train.to_csv(tmp_path / "train.csv", index=False)
    stores = train[["Store"]].drop_duplicates()
    stores = stores.assign(StoreType="a", Assortment="a", CompetitionDistance=100)
    stores.to_csv(tmp_path / "store.csv", index=False)
    assert main(["check", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "beyond-one-machine" in shown.split("For")[0]
    with pytest.raises(UsageError, match="a folder; name the file in it"):
        own.at_hand(tmp_path, own.CITIES, tmp_path)


def test_options_say_how_a_file_is_read(tmp_path, capsys):
    frame = good_frame().rename(columns={"sales": "Umsatz, €"})
    data = tmp_path / "ümsatz's.csv"
    days = frame["date"].astype(str).str.split("-").str
    frame["date"] = days[2] + "/" + days[1] + "/" + days[0]
    frame.to_csv(data, index=False, sep=";", decimal=",")
    assert main(["check", str(data)]) == 0
    assert "For 2 shocks-both-cities-share" in capsys.readouterr().out
    told = ["--column", "sales=Umsatz, €", "--dates", "DMY", "--decimal", ","]
    assert main(["check", str(data), *told]) == 0
    shown = capsys.readouterr().out
    assert "2 shocks-both-cities-share, about" in shown.split("It fits")[1].split("For")[0]
    assert "columns taken: Umsatz, € as sales" in shown
    assert main(["check", str(data), "--column", "sales=Umsätze"]) == 1
    assert "Umsätze: " in capsys.readouterr().err
    assert main(["check", str(data), "--sheet", "Tabelle 7"]) in (0, 1)
    assert "Traceback" not in capsys.readouterr().err


# Surroundings, in processes of their own: environment, what stands on stdin, and what is shown.
SURROUNDINGS = {
    "an ASCII locale": ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, False),
    "an ASCII terminal": ({"PYTHONIOENCODING": "ascii"}, False),
    "no home": ({"HOME": None, "PATH": "/nowhere"}, False),
    "a pipe": ({}, True),
}


def checked(directory, case):
    changes, piped = SURROUNDINGS[case]
    environment = {k: v for k, v in {**os.environ, **changes}.items() if v is not None}
    data = directory / 'Köln "1", neu.csv'
    frame = good_frame().replace({"city": {"A": "Köln"}})
    data.write_text(frame.to_csv(index=False), encoding="utf-8")
    command = [sys.executable, "-m", "helpers.bookmaking.cli", "check"]
    command.append("/dev/stdin" if piped else str(data))
    pipe = {"input": data.read_bytes()} if piped else {"stdin": subprocess.DEVNULL}
    return subprocess.run(
        command, capture_output=True, env=environment, cwd=CHECKOUT, check=False, **pipe
    )


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory):
    directories = [tmp_path_factory.mktemp("own") for _ in SURROUNDINGS]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(SURROUNDINGS, pool.map(checked, directories, SURROUNDINGS), strict=True))


@pytest.mark.parametrize("case", SURROUNDINGS)
def test_surroundings_do_not_matter(case, surroundings):
    done = surroundings[case]
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert b"2 shocks-both-cities-share, about" in done.stdout
    name = "K\\xf6ln" if case == "an ASCII terminal" else "Köln"
    assert name.encode() in done.stdout
