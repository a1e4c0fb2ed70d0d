"""Colab in small: a fresh environment without the book, and the release it installs itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Callable
from pathlib import Path

import pymc
import yaml

from helpers.bookmaking.cli import CHECKOUT

VERSION = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]

COLAB_CELL = """\
# On Colab, install the book's packages; elsewhere do nothing.
try:
    import google.colab  # noqa: F401
except ImportError:
    pass
else:
    from importlib.metadata import version

    numpy = f"numpy>={version('numpy')}"
    book = "git+https://github.com/bayesian-market-models/book@vVERSION"
    %pip install -q "{numpy}" "bayesian-market-models[colab] @ {book}"
    from helpers.notebook.colab import check_session

    check_session()""".replace("VERSION", VERSION)

REPOSITORY = yaml.safe_load((CHECKOUT / "_config.yml").read_text())["repository"]["url"]


def make_release(directory: Path, tag: str) -> None:
    """Commit and tag the tree as it stands in a repository of its own."""

    def git(*arguments, cwd=directory):
        command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout

    git("init", "--quiet", directory, cwd=directory.parent)
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=CHECKOUT)
    for name in filter(None, listed.split("\0")):
        if (CHECKOUT / name).is_file():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, directory / name)
    git("add", "--all")
    git("commit", "--quiet", "--message", tag)
    git("tag", tag)


def colab_session(release: Path) -> Callable[[Path], dict[str, str]]:
    """Return what furnishes a notebook's scratch directory as a session on Colab.

    The environment has links to every installed package but the book's, and pip; the book's
    repository is the local release, and pip asks no index.
    """

    def colab(scratch: Path) -> dict[str, str]:
        root = scratch / "colab"
        venv.create(root, symlinks=True)
        packages = next(root.glob("lib/python*/site-packages"))
        for path in Path(pymc.__file__).parents[1].iterdir():
            if "bayesian_market_models" not in path.name:
                (packages / path.name).symlink_to(path)
        stub = root / "stub" / "google" / "colab"
        stub.mkdir(parents=True)
        (stub / "__init__.py").write_text("output = None\n")
        (packages / "colab.pth").write_text(f"{stub.parents[1]}\n")
        kernel = root / "share" / "jupyter" / "kernels" / "python3"
        kernel.mkdir(parents=True)
        python = str(root / "bin" / Path(sys.executable).name)
        arguments = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"argv": arguments, "display_name": "Python 3", "language": "python"}
        (kernel / "kernel.json").write_text(json.dumps(spec))
        return {
            "JUPYTER_PATH": str(kernel.parents[1]),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.file://{release}.insteadOf",
            "GIT_CONFIG_VALUE_0": REPOSITORY,
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it as: do not isolate
            "PIP_ROOT_USER_ACTION": "ignore",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    return colab


def furnished_session(release: Path, directory: Path) -> Callable[[Path], dict[str, str]]:
    """Return what lends each notebook one session in which the release is installed.

    Notebooks share their first cell, and its own tests run it: fifteen installations say no more.
    """
    variables = colab_session(release)(directory)
    python = directory / "colab" / "bin" / Path(sys.executable).name
    book = f"bayesian-market-models[colab] @ git+{REPOSITORY}@v{VERSION}"
    command = [python, "-m", "pip", "install", "--quiet", book]
    subprocess.run(command, env={**os.environ, **variables}, check=True)
    next(directory.glob("colab/lib/python*/site-packages/colab.pth")).unlink()

    def colab(_: Path) -> dict[str, str]:
        return variables

    return colab
