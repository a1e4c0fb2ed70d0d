"""Sphinx extension: pages that ask nothing of another server, are light, and are accessible."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

# The icons come from a font that the style sheet loads; the script would draw them once more.
ICON_SCRIPT = re.compile(r"<(?:script|link)[^>]*fontawesome\.js[^>]*>(?:</script>)?\s*")
# docutils gives a list of references roles that browsers no longer know.
CITATION_ROLES = re.compile(r' role="(?:doc-biblioentry|list)"(?=[^>]*>)')
NUMBER = re.compile(r"(\d\.\d\d)\d+")  # a hundredth of a point is finer than any screen
COORDINATES = re.compile(r' (?:d|x|y|points)="[^"]*"')


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.config.mathjax_path = "mathjax/startup.js"  # loads what _config.yml names
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("build-finished", finish, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def drop_thebe(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Leave out Thebe: jupyter-book adds it, unasked, to every page, from a CDN."""
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "thebe" not in f"{script} {getattr(script, 'attributes', {}).get('body')}".lower()
    ]


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Mend what the themes write, and take the superfluous digits out of drawings."""
    if exception or app.builder.name != "html":
        return
    out = Path(app.outdir)
    for page in out.rglob("*.html"):
        html = ICON_SCRIPT.sub("", page.read_text(encoding="utf-8"))
        page.write_text(CITATION_ROLES.sub("", html), encoding="utf-8")
    for drawing in (out / "_images").glob("*.svg"):
        svg = drawing.read_text(encoding="utf-8")
        short = COORDINATES.sub(lambda found: NUMBER.sub(r"\1", found[0]), svg)
        drawing.write_text(short, encoding="utf-8")
