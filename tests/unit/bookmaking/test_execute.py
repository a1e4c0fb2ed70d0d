"""The machine with real kernels, few of them: each start costs a second or two."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import psutil
from tiny_book import tiny_book, write_chapter

from helpers.bookmaking.cli import main
from helpers.bookmaking.execute import execute_book


def files(directory):
    """Everything below a directory but the caches."""
    found = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if path.parts[0] not in ("cache", ".lock"))


def outputs(path):
    notebook = nbformat.read(path, as_version=4)
    return [output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])]


def test_what_runs_is_what_is_shown_and_only_changes_run_again(tmp_path, monkeypatch, capsys):
    book = tiny_book(
        tmp_path / "book",
        one="import sys, os\nprint(DRAWS, sys.prefix, sys.dont_write_bytecode, os.listdir())",
        two="import sys\nprint('careful', file=sys.stderr)",
    )
    (book.root / "notebooks" / "profiles.yml").write_text("smoke: {one: {DRAWS: 10}}")
    kernels = tmp_path / "kernels" / "python3"
    kernels.mkdir(parents=True)
    (kernels / "kernel.json").write_text('{"argv": ["false"], "display_name": "A reader\'s own"}')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    sources = [path.read_bytes() for path in book.chapters]

    one, two = execute_book(book, profile="smoke")
    assert "2 of 2 to execute\n" in capsys.readouterr().out  # nobody knows how long
    assert one.error is None
    assert outputs(one.path) == [f"10 {sys.prefix} False []\n"]
    notebook = nbformat.read(one.path, as_version=4)
    assert notebook.cells[1].source.startswith("DRAWS = 10  # published\n")
    assert notebook.cells[2].metadata == {}
    assert "papermill" not in notebook.metadata
    record = json.loads(one.path.with_suffix(".json").read_text())
    assert record == one.record
    assert 10 < record["peak_mb"] < 1000
    assert record["seconds"] > 0
    assert record["profile"] == "smoke"
    assert {"date", "commit", "python", "versions"} < record.keys()
    assert two.record["stderr"] == ["cell 3: careful"]
    assert [path.read_bytes() for path in book.chapters] == sources

    before = {result.path: result.path.read_bytes() for result in (one, two)}
    assert not any(result.fresh for result in execute_book(book, profile="smoke"))
    two.path.unlink()
    again = execute_book(book, profile="smoke")
    assert [result.fresh for result in again] == [False, True]
    assert {path: path.read_bytes() for path in before} == before
    write_chapter(book.chapters[1], "print('changed')")
    capsys.readouterr()
    changed = execute_book(book, profile="smoke")
    assert "1 of 2 to execute; about 1 min left\n" in capsys.readouterr().out
    assert [result.fresh for result in changed] == [False, True]
    assert not two.path.exists()  # replaced, once the new one was there
    assert sorted(one.path.parent.glob("*.ipynb")) == sorted(result.path for result in changed)


def test_a_study_that_a_failure_stopped_finds_what_it_had_finished(tmp_path):
    source = """
import os, pathlib
folder = pathlib.Path(os.environ["MARKET_BOOK_CHECKPOINTS"])
folder.mkdir(parents=True, exist_ok=True)
done = sorted(path.name for path in folder.iterdir())
print(done)
(folder / "first").touch()
assert done
"""
    book = tiny_book(tmp_path, study=source)
    (first,) = execute_book(book, profile="full")
    assert first.error["type"] == "AssertionError"
    (second,) = execute_book(book, profile="full")
    assert outputs(second.path) == ["['first']\n"]
    assert list((book.build_directory / "checkpoints").iterdir()) == []  # finished: not needed


def test_failures_name_notebook_cell_and_error_and_stop_no_other(tmp_path, capsys):
    book = tiny_book(
        tmp_path,
        broken="weekly = 0\n1 / weekly",
        false="from helpers.notebook.claims import Claims\n"
        "Claims(ENFORCE_CLAIMS)(1 > 2, 'one exceeds two')",
        killed="import os\nos.kill(os.getpid(), 9)",
        sound="print('fine')",
    )
    assert main(["--book", str(tmp_path), "build"]) == 1
    shown = capsys.readouterr()
    assert "1 executed, 0 unchanged, 3 failed" in shown.out
    for line in (
        "broken, cell 3: weekly = 0\n  ZeroDivisionError: division by zero",
        "false, cell 3: from helpers.notebook.claims import Claims\n  ClaimError: one exceeds two",
        "killed, cell 3: import os\n  DeadKernelError: the kernel died",
    ):
        assert line in shown.err
    assert "----> 2 1 / weekly" in shown.err
    kept = [name.rpartition("-")[0] for name in files(book.build_directory)]
    assert kept == ["executed/full/sound", "executed/full/sound"]


def test_a_killed_build_goes_on_where_it_was(tmp_path):
    go, started = tmp_path / "go", tmp_path / "started"
    book = tiny_book(
        tmp_path / "book",
        quick="print('quick')",
        slow="import os, pathlib, time\n"
        f"pathlib.Path({str(started)!r}).write_text(str(os.getpid()))\n"
        f"while not pathlib.Path({str(go)!r}).exists():\n"
        "    time.sleep(0.1)\n"
        "print('slow')",
    )
    command = [sys.executable, "-P", "-m", "helpers.bookmaking.cli", "--book", str(book.root)]
    build = subprocess.Popen([*command, "build"], stdout=subprocess.DEVNULL)
    wait_until(lambda: started.exists() and started.read_text(), seconds=60)
    wait_until(lambda: "executed/full/quick" in str(files(book.build_directory)), seconds=60)
    kernel = psutil.Process(int(started.read_text()))
    build.send_signal(signal.SIGKILL)
    build.wait()
    wait_until(lambda: not kernel.is_running() or kernel.status() == "zombie", seconds=20)
    finished = files(book.build_directory / "executed")
    assert [name.rpartition("-")[0] for name in finished] == ["full/quick", "full/quick"]
    quick = (book.build_directory / "executed" / finished[0]).stat()

    go.touch()
    results = execute_book(book, profile="full")
    assert [result.fresh for result in results] == [False, True]
    assert outputs(results[1].path) == ["slow\n"]
    assert os.stat(book.build_directory / "executed" / finished[0]) == quick
    assert not any("work" in name or ".part" in name for name in files(book.build_directory))


def wait_until(condition, *, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


def test_a_chapter_too_large_for_binder_fails_the_build(tmp_path, capsys):
    tiny_book(tmp_path, large="bytes_ = b'x' * 2_100_000_000")
    assert main(["--book", str(tmp_path), "build"]) == 1
    assert "large peaks at 2" in capsys.readouterr().err
    assert not (tmp_path / "_build" / "html").exists()


def test_a_kernel_that_dies_before_the_first_cell_is_started_again(tmp_path):
    book = tiny_book(tmp_path / "book", one="print('fine')")
    died = tmp_path / "died"
    # the same kernel, but its first process ends as one whose port was taken does
    first = f"import os, sys; p = {str(died)!r}; os.path.exists(p) or (open(p, 'w'), sys.exit(1))"
    launch = f"{first}; from ipykernel import kernelapp; kernelapp.launch_new_instance()"
    spec = {
        "argv": [sys.executable, "-c", launch, "-f", "{connection_file}"],
        "display_name": "Python 3",
        "language": "python",
    }
    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(json.dumps(spec))

    def fragile(scratch):
        return {"JUPYTER_PATH": str(tmp_path / "jupyter")}

    [result] = execute_book(book, profile="smoke", prepare=fragile)
    assert not result.error
    assert died.exists()
    assert outputs(result.path) == ["fine\n"]
