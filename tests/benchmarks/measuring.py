"""What every benchmark does: a process for each way, its peak memory, and what it ran on."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any


def in_process(script: str, *arguments: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """Run a script in a process of its own; the last line that it prints is its record."""
    done = subprocess.run(
        [sys.executable, script, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ | dict(variables),
    )
    return json.loads(done.stdout.splitlines()[-1])


def peak_mb() -> int:
    """Largest memory that this process has had."""
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_kb /= 1024 if sys.platform == "darwin" else 1
    return round(peak_kb / 1024)


def conditions(load_before: float, packages: Sequence[str]) -> dict[str, Any]:
    """Date, machine, load and versions; the machine is described, not named."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "load": [round(load_before, 1), round(os.getloadavg()[0], 1)],
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in packages},
    }
