"""What a page must be in a browser without a connection; a check returns a page's problems."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--no-sandbox"]
TEXT = {".html", ".css", ".js", ".svg", ".json"}
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 900}
WEIGHT_BUDGET = 3_000_000  # bytes, all that the page loads, as a server sends it


def chromium() -> str | None:
    """Path of an installed Chromium; Debian's is installed where that is permitted."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if not found and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["update"], ["install", "--no-install-recommends", "chromium"]):
            subprocess.run(["apt-get", "-qq", "-y", *command], capture_output=True, check=False)
        found = shutil.which("chromium")
    return found


@contextmanager
def offline_browser(path: str) -> Iterator[Browser]:
    """Start Chromium without a screen."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@cache
def transferred(file: Path) -> int:
    """Bytes of a file on the way: servers compress text."""
    content = file.read_bytes()
    return len(gzip.compress(content) if file.suffix in TEXT else content)


class Visit:
    """One page opened from its file in one theme and width, and what happened meanwhile."""

    def __init__(self, browser: Browser, path: Path, *, theme: str, size: dict[str, int]):
        self.context = browser.new_context(viewport=size, color_scheme=theme, offline=True)
        self.page: Page = self.context.new_page()
        self.problems: list[str] = []
        self.bytes = self.requests = 0
        self.page.on("request", self._on_request)
        self.page.on("requestfailed", lambda r: self.problems.append(f"failed: {r.url}"))
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("console", self._on_console)
        self.page.on("dialog", self._on_dialog)
        self.page.add_init_script("localStorage.setItem('mode', 'auto')")
        self.page.goto(path.resolve().as_uri(), wait_until="load")
        self.page.evaluate("() => window.MathJax?.startup?.promise")

    def close(self) -> None:
        """Close the page."""
        self.context.close()

    def _on_request(self, request) -> None:
        self.requests += 1
        if request.url.startswith("file:"):
            file = Path(request.url.removeprefix("file://").partition("?")[0])
            self.bytes += transferred(file) if file.is_file() else 0
        elif not request.url.startswith(("data:", "blob:")):
            self.problems.append(f"asks another server: {request.url}")

    def _on_dialog(self, dialog) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _on_console(self, message) -> None:
        if message.type == "error":
            self.problems.append(f"console: {message.text}")


def loads_without_a_connection(visit: Visit) -> list[str]:
    """No request leaves the page, none fails, and no script complains."""
    return visit.problems


def mathematics_is_typeset(visit: Visit) -> list[str]:
    """Each formula became a picture of itself, without an error."""
    return visit.page.evaluate("""() => {
        const problems = [];
        for (const formula of document.querySelectorAll('article .math')) {
            if (!formula.querySelector('mjx-container'))
                problems.push('not typeset: ' + formula.textContent.slice(0, 60));
            const error = formula.querySelector('mjx-merror, [data-mjx-error]');
            if (error) problems.push('error in: ' + error.textContent.slice(0, 60));
        }
        return problems;
    }""")


def is_accessible(visit: Visit, *, within_code: bool = False) -> list[str]:
    """No violation of WCAG 2.1, levels A and AA, that axe can see.

    The words of code, thousands a chapter, have the same few colours everywhere: one page is
    enough for them, and the others lose them here.
    """
    if not within_code:
        visit.page.evaluate(
            "document.querySelectorAll('.highlight pre').forEach(e => e.textContent = 'code')"
        )
    found = Axe().run(visit.page, options=WCAG).response["violations"]
    return [
        f"{violation['id']}: {len(violation['nodes'])}, first {violation['nodes'][0]['html'][:160]}"
        for violation in found
    ]


def fits_its_width(visit: Visit) -> list[str]:
    """Nothing makes the page itself scroll sideways."""
    return visit.page.evaluate("""() => {
        const width = document.documentElement.clientWidth;
        const all = document.documentElement.scrollWidth;
        if (all <= width) return [];
        const wide = [...document.querySelectorAll('article *')]
            .filter(e => e.getBoundingClientRect().right > width + 1)
            .slice(-3).map(e => e.outerHTML.slice(0, 80));
        return [`${all} > ${width} px: ${wide.join(' | ')}`];
    }""")


def is_light(visit: Visit) -> list[str]:
    """All that the page loads is within the budget."""
    heavy = visit.bytes > WEIGHT_BUDGET
    return [f"{visit.bytes / 1e6:.1f} MB"] if heavy else []


def keyboard_reaches(visit: Visit, presses: int = 400) -> set[str]:
    """Kinds of element that the tab key alone comes by."""
    kinds = set()
    for _ in range(presses):
        visit.page.keyboard.press("Tab")
        kinds.add(
            visit.page.evaluate("""() => {
                const e = document.activeElement;
                if (e.closest('details') && e.tagName === 'SUMMARY') return 'collapsed solution';
                if (e.matches('.search-button, .search-button__button, .search-button-field'))
                    return 'search';
                if (e.closest('.bd-sidebar-primary nav')) return 'navigation';
                return '';
            }""")
        )
    return kinds - {""}


CHECKS = (
    loads_without_a_connection,
    mathematics_is_typeset,
    fits_its_width,
    is_light,
    is_accessible,
)
