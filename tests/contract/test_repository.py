"""The files at the top of the repository agree with each other."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib

import pytest
import yaml
from colab import COLAB_CELL
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from helpers.bookmaking.book import PROFILES, Book, parameterised, read_notebook
from helpers.bookmaking.cli import CHECKOUT

BOOK = Book(CHECKOUT)
LOCK = (CHECKOUT / "requirements.lock").read_text()
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]


def test_lock_has_hashes_and_no_address():
    pins = re.findall(r"^[a-z0-9].*", LOCK, re.MULTILINE)
    assert len(pins) > 100
    assert all(re.match(r"[a-z0-9][\w.-]*==\S+", pin) for pin in pins)
    assert LOCK.count(" \\\n    --hash=") >= len(pins)
    assert "://" not in LOCK
    assert "file:" not in LOCK


def test_lock_fulfils_the_project():
    locked = {
        canonicalize_name(name): version
        for name, version in re.findall(r"^([a-z0-9][\w.-]*)==([^\s;]+)", LOCK, re.MULTILINE)
    }
    extras = PROJECT["optional-dependencies"].values()
    for text in [*PROJECT["dependencies"], *(one for extra in extras for one in extra)]:
        requirement = Requirement(text)
        assert locked[canonicalize_name(requirement.name)] in requirement.specifier, text


def test_binder_uses_the_lock_and_its_python():
    dependencies = yaml.safe_load((CHECKOUT / "environment.yml").read_text())["dependencies"]
    python = (CHECKOUT / ".python-version").read_text().strip()
    assert dependencies == [f"python={python}", "pip", {"pip": ["-r requirements.lock"]}]
    assert python in SpecifierSet(PROJECT["requires-python"])


def test_colab_installs_this_release_with_pins_of_the_lock():
    repository = yaml.safe_load((CHECKOUT / "_config.yml").read_text())["repository"]["url"]
    assert f'"git+{repository}@v{PROJECT["version"]}"' in COLAB_CELL
    pins = PROJECT["optional-dependencies"]["colab"]
    assert all(re.search(rf"^{re.escape(pin)}[ ;]", LOCK, re.MULTILINE) for pin in pins)
    direct = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    samplers = {"arviz", "numpyro", "nutpie", "pymc", "pymc-marketing"}
    assert samplers <= direct & {canonicalize_name(Requirement(pin).name) for pin in pins}
    assert sum(pin.startswith("arviz") for pin in pins) == 4  # they share a minor version


def test_one_version_stands_everywhere():
    version = PROJECT["version"]
    assert yaml.safe_load((CHECKOUT / "CITATION.cff").read_text())["version"] == version
    assert f"\n## {version} " in (CHECKOUT / "CHANGELOG.md").read_text()


def test_contents_list_every_notebook_and_page():
    parts = yaml.safe_load((CHECKOUT / "_toc.yml").read_text())
    listed = [parts["root"], *(c["file"] for part in parts["parts"] for c in part["chapters"])]
    pages = [*(CHECKOUT / "notebooks").glob("*/*.ipynb"), *(CHECKOUT / "book").glob("*.md")]
    assert sorted(listed) == sorted(str(p.relative_to(CHECKOUT).with_suffix("")) for p in pages)


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_name_existing_chapters_and_parameters(profile):
    overrides = BOOK.overrides(profile)
    for path in BOOK.chapters:
        parameterised(path, overrides.get(path.stem, {}))


@pytest.mark.parametrize("path", [pytest.param(p, id=p.stem) for p in BOOK.chapters])
def test_file_names_are_words(path):
    assert re.fullmatch(r"[a-z]+(?:-[a-z0-9]+)+", path.stem)
    assert path.parent.name in {"cities", "prices", "media", "stores", "appendix"}
    assert read_notebook(path).nbformat_minor >= 5


def make(directory, *arguments, **environment):
    """Run the Makefile where there is no environment yet."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(CHECKOUT / name, directory)
    # as typed, not as part of the make that runs the tests: `make PYTHON=... test` reaches it too
    outer = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "PYTHON")
    inherited = {name: value for name, value in os.environ.items() if name not in outer}
    return subprocess.run(
        ["make", *arguments],
        cwd=directory,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_python_that_does_not_run_is_passed_over(tmp_path):
    for name, script in (("python3.12", "exit 127"), ("python3.13", '[ "$1" = -c ]')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    made = make(tmp_path, "setup", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert "setting up .venv with python3.13" in made.stdout
    assert made.returncode  # the stand-in makes no environment


def test_without_a_python_the_error_says_how_to_name_one(tmp_path):
    made = make(tmp_path, "PYTHON=no-such-python", "book")
    assert made.returncode
    assert "among: no-such-python. Try: make PYTHON=/path/to/python3.12 book" in made.stderr


def test_nothing_names_this_machine():
    texts = ["Makefile", "README.md", "_config.yml", "environment.yml", ".ci/run", "postBuild"]
    for name in texts:
        assert str(CHECKOUT) not in (CHECKOUT / name).read_text(), name
