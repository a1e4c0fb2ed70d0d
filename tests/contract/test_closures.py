"""A chapter depends on its own Part and on the shared rooms, so no other edit executes it."""

from __future__ import annotations

import pytest

from helpers.bookmaking.book import Book, read_notebook
from helpers.bookmaking.cli import CHECKOUT
from helpers.bookmaking.closure import code_of, imported
from helpers.bookmaking.execute import digest

BOOK = Book(CHECKOUT)
PARTS = {"cities", "prices", "media", "stores"}
CHAPTERS = [path for path in BOOK.chapters if path.parent.name in PARTS]


@pytest.mark.parametrize("path", [pytest.param(p, id=p.stem) for p in BOOK.chapters])
def test_a_chapter_imports_its_own_part_and_not_the_machine(path):
    modules = imported(BOOK.root, code_of(read_notebook(path)))
    rooms = {module.parent.name for module in modules}
    assert rooms & PARTS  # the closure is not empty for want of finding anything
    assert "bookmaking" not in rooms
    if path in CHAPTERS:
        assert rooms & PARTS == {path.parent.name}


@pytest.mark.parametrize("part", sorted(PARTS))
def test_a_changed_comment_executes_no_chapter_of_another_part(part, tmp_path):
    (tmp_path / "helpers").symlink_to(CHECKOUT / "helpers")
    (tmp_path / "requirements.lock").symlink_to(CHECKOUT / "requirements.lock")
    before = {path: digest(Book(tmp_path), read_notebook(path)) for path in CHAPTERS}
    (tmp_path / "helpers").unlink()
    copy_with_comments(part, tmp_path / "helpers")
    after = {path: digest(Book(tmp_path), read_notebook(path)) for path in CHAPTERS}
    changed = {path.parent.name for path in CHAPTERS if after[path] != before[path]}
    assert changed == {part}


def copy_with_comments(part, target):
    """Copy the helpers, with one more comment in each module of a Part."""
    for path in (CHECKOUT / "helpers").rglob("*.py"):
        copy = target / path.relative_to(CHECKOUT / "helpers")
        copy.parent.mkdir(parents=True, exist_ok=True)
        more = "# changed\n" if copy.parent.name == part else ""
        copy.write_text(path.read_text() + more)
