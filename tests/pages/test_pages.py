"""Every rendered page passes every check, and every check catches the fault planted for it."""

from __future__ import annotations

import re

import page_checks as checks
import pytest

PAGE = """<html><head><title>T</title><script src="_static/a.js"></script>
<link rel="canonical" href="https://a.b/page.html"><meta property="og:url"
content="https://a.b/page.html"><meta property="og:title" content="T">
<meta property="og:description" content="D"><meta name="description" content="D">
<meta property="og:image" content="https://a.b/_images/c.png">
<meta property="og:image:alt" content="A"></head>
<body><article><h1 id="t">T</h1>{}</article></body></html>"""

OUTPUT = "<div class='cell_output'><pre>{}</pre></div>"

every_check = pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)


@every_check
def test_pages_pass(site, check):
    pages = checks.pages(site)
    assert len(pages) > 3
    problems = {str(page.relative_to(site)): check(page, site) for page in pages}
    assert {page: found for page, found in problems.items() if found} == {}


def test_every_page_has_the_style_of_the_book(site):
    for page in checks.pages(site):
        sheets = [address.split("?")[0] for address in checks.addresses(page, "link")]
        assert any(sheet.endswith("_static/custom.css") for sheet in sheets), page


def test_the_front_page_leads_into_the_book(site):
    assert checks.links_lead_somewhere(site / "index.html", site) == []
    assert 'url=book/index.html"' in (site / "index.html").read_text()


@pytest.fixture
def page_of(tmp_path):
    """Write a page of a small site."""
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "a.js").touch()
    (tmp_path / "_images").mkdir()
    (tmp_path / "_images" / "c.png").touch()
    (tmp_path / "other.html").write_text(PAGE.format("<p id='here'>x</p>"))

    def write(body):
        path = tmp_path / "page.html"
        path.write_text(PAGE.replace("{}", body))
        checks.soup.cache_clear()
        return path

    return write


@every_check
def test_a_good_page_has_no_problem(page_of, tmp_path, check):
    good = """<a href="other.html#here">x</a>
    <a href="#t">t</a> <a href="https://a.b/c">out</a>
    <img src="data:image/png;base64,AA" alt="A line"> Is it? 5/home/2
    <table><tr><th>a</th><td>1</td></tr></table>
    <code>~/tmp/x {term}`y`</code>"""
    assert check(page_of(good), tmp_path) == []


@pytest.mark.parametrize(
    ("check", "fault", "message"),
    [
        (checks.links_lead_somewhere, "<a href='gone.html'>x</a>", "no such file"),
        (checks.links_lead_somewhere, "<a href='../page.html'>x</a>", "no such file"),
        (checks.links_lead_somewhere, "<a href='other.html#gone'>x</a>", "no such anchor"),
        (checks.links_lead_somewhere, "<a href='#gone'>x</a>", "no such anchor"),
        (checks.links_lead_somewhere, "<img src='gone.png' alt='x'>", "no such file"),
        (checks.images_have_text, "<img src='_static/a.js'>", "no alt"),
        (checks.images_have_text, "<img src='_static/a.js' alt=' '>", "no alt"),
        (checks.tables_have_headers, "<table><tr><td>1</td></tr></table>", "1: no headers"),
        (checks.tables_have_headers, "<table><tr><th></th><td>1</td></tr></table>", "1: no"),
        (checks.nothing_comes_from_elsewhere, "<script src='https://a.b/c.js'></script>", "a.b"),
        (checks.nothing_comes_from_elsewhere, "<link href='//a.b/c.css' rel='x'>", "a.b"),
        (checks.nothing_comes_from_elsewhere, "<img src='http://a.b/c.png' alt='x'>", "a.b"),
        (checks.nothing_comes_from_elsewhere, "<style>@import 'https://a.b';</style>", "a.b"),
        (checks.nothing_comes_from_elsewhere, "<script>import('https://a.b')</script>", "a.b"),
        (checks.nothing_is_left_over, "&lt;Figure size 640x480&gt;", "Figure size"),
        (checks.nothing_is_left_over, "the lift is {glue:text}`lift`", "{glue"),
        (checks.nothing_is_left_over, "in Section ??", "??"),
        (checks.nothing_is_left_over, "<pre>/tmp/ipykernel_1/2.py: Warning</pre>", "/tmp/"),
        (checks.nothing_is_left_over, "&lt;Axes object at 0x7f&gt;", "object at"),
        (checks.nothing_is_left_over, "read /home/me/data.csv", "/home/"),
        (checks.outputs_are_for_readers, OUTPUT.format("a 1.0\ndtype: float64"), "show a table"),
        (checks.outputs_are_for_readers, OUTPUT.format("'the median'"), "print it"),
        (checks.outputs_are_for_readers, OUTPUT.format("[1, 2]"), "print it"),
        (checks.page_has_a_title, "<h1>Another</h1>", "one title"),
    ],
)
def test_a_planted_fault_is_caught(page_of, tmp_path, check, fault, message):
    assert any(message in problem for problem in check(page_of(fault), tmp_path))


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        ('rel="canonical" href="', 'rel="canonical" href="x', "no canonical address"),
        ("og:description", "og:other", "no og:description"),
        ("c.png", "gone.png", "no such card"),
    ],
)
def test_a_page_that_cannot_be_shared_is_caught(page_of, tmp_path, was, becomes, message):
    page = page_of("")
    page.write_text(page.read_text().replace(was, becomes))
    checks.soup.cache_clear()
    assert any(message in problem for problem in checks.page_can_be_shared(page, tmp_path))


def test_the_sitemap_lists_every_page(site):
    listed = addresses_in(site / "sitemap.xml")
    written = {str(page.relative_to(site)) for page in checks.pages(site)}
    assert written <= {address.partition("/book/")[2] for address in listed}


def addresses_in(path):
    return re.findall(r"<loc>([^<]+)</loc>", path.read_text())
