"""Compile by numba what the chapters share: `python -m helpers.bookmaking.warm`.

Each Part names its models in a module `warm`. A process keeps several hundred megabytes of what a
cold compilation took, so each model has one of its own; the chapters find the code in the caches.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import helpers
from helpers.inference.sampling import compile_for_nutpie

ROOMS = Path(helpers.__file__).parent.glob("*/warm.py")
PARTS = sorted(path.parent.name for path in ROOMS if path.parent.name != "bookmaking")


def _compile_apart(name):
    print(f"  {name}", flush=True)
    subprocess.run([sys.executable, "-P", "-m", "helpers.bookmaking.warm", name], check=True)


def main() -> None:
    """Compile the model named on the command line, or each in a process of its own."""
    rooms = (import_module(f"helpers.{part}.warm") for part in PARTS)
    models = {name: build for room in rooms for name, build in room.MODELS.items()}
    for name in sys.argv[1:]:
        compile_for_nutpie(models[name]())
    if not sys.argv[1:]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(_compile_apart, models))


if __name__ == "__main__":
    main()
