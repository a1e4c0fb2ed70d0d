"""Checks a Colab session, which brings packages of its own and may have loaded them already."""

from __future__ import annotations

import sys
from importlib.metadata import distributions, requires

from packaging.requirements import Requirement


def check_session() -> None:
    """Raise a ``RuntimeError`` unless the pinned packages are installed and no other is loaded."""
    # the first one found is the one that an import finds
    installed = {d.name: d.version for d in reversed(list(distributions()))}
    pins = [
        one for one in map(Requirement, requires("bayesian-market-models") or []) if _is_pin(one)
    ]
    for pin in pins:
        found = installed.get(pin.name, "no version")
        if found == "no version" or found not in pin.specifier:
            raise RuntimeError(
                f"{pin.name}: {found} is installed and {pin.specifier} is needed; "
                "run this cell again and read what pip says"
            )
    for name in ("numpy", *(pin.name for pin in pins)):
        module = sys.modules.get(name.replace("-", "_"))
        loaded = getattr(module, "__version__", installed[name])
        if loaded != installed[name]:
            raise RuntimeError(
                f"{name} {loaded} is loaded and {installed[name]} is installed: choose "
                "Runtime > Restart session, once, and then Run all"
            )


def _is_pin(requirement: Requirement) -> bool:
    marker = requirement.marker
    return bool(marker) and "colab" in str(marker) and marker.evaluate({"extra": "colab"})
