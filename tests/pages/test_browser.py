"""Every page in headless Chromium with the network cut: at two widths, light and dark."""

from __future__ import annotations

import browser_checks as checks
import page_checks
import pytest

VIEWS = {
    "desktop, light": {"theme": "light", "size": checks.DESKTOP},
    "phone, dark": {"theme": "dark", "size": checks.PHONE},
}


@pytest.mark.parametrize("view", VIEWS)
def test_pages_pass_in_a_browser(site, browser, view):
    problems = {}
    for page in page_checks.pages(site):
        visit = checks.Visit(browser, page, **VIEWS[view])
        for check in checks.CHECKS:
            if found := check(visit):
                problems[f"{page.relative_to(site)}: {check.__name__}"] = found
        visit.close()
    assert problems == {}


@pytest.mark.parametrize("view", VIEWS)
def test_code_is_accessible(site, browser, view):
    (page,) = site.glob("notebooks/appendix/is-*.html")
    visit = checks.Visit(browser, page, **VIEWS[view])
    assert checks.is_accessible(visit, within_code=True) == []
    visit.close()


def test_the_keyboard_reaches_search_navigation_and_solutions(site, browser):
    (page,) = site.glob("notebooks/prices/a-market-*.html")
    visit = checks.Visit(browser, page, **VIEWS["desktop, light"])
    assert checks.keyboard_reaches(visit) == {"search", "navigation", "collapsed solution"}
    visit.page.keyboard.press("Control+k")
    assert visit.page.evaluate("document.activeElement.type") == "search"
    visit.page.keyboard.press("Escape")
    summary = visit.page.locator("article details > summary").first
    summary.focus()
    visit.page.keyboard.press("Enter")
    assert summary.evaluate("e => e.parentElement.open")
    visit.close()


@pytest.mark.parametrize(
    ("check", "fault", "message"),
    [
        (checks.loads_without_a_connection, "<img src='https://a.b/c.png' alt='x'>", "a.b"),
        (checks.loads_without_a_connection, "<img src='gone.png' alt='x'>", "failed"),
        (checks.loads_without_a_connection, "<script>nothing.here</script>", "error"),
        (checks.loads_without_a_connection, "<script>console.error('x')</script>", "console: x"),
        (checks.mathematics_is_typeset, "<span class='math'>\\(x\\)</span>", "not typeset"),
        (checks.is_accessible, "<img src='data:image/png;base64,AA'>", "image-alt"),
        (
            checks.is_accessible,
            "<p style='color: #ccc'>pale</p>",
            "color-contrast",
        ),
        (checks.fits_its_width, "<p style='width: 2000px'>wide</p>", "2000px"),
    ],
)
def test_a_planted_fault_is_caught(browser, tmp_path, check, fault, message):
    page = tmp_path / "page.html"
    head = "<!doctype html><html lang='en'><head><title>T</title></head><body><article><h1>T</h1>"
    found = {}
    for name, body in (("good", ""), ("bad", fault)):
        page.write_text(f"{head}{body}</article></body></html>")
        visit = checks.Visit(browser, page, theme="light", size=checks.PHONE)
        found[name] = check(visit)
        visit.close()
    assert found["good"] == []
    assert any(message in problem for problem in found["bad"])


def test_a_heavy_page_is_caught(browser, tmp_path):
    (tmp_path / "noise.png").write_bytes(bytes(checks.WEIGHT_BUDGET))
    page = tmp_path / "page.html"
    page.write_text("<img src='noise.png'>")
    visit = checks.Visit(browser, page, theme="light", size=checks.PHONE)
    assert checks.is_light(visit)
    visit.close()
