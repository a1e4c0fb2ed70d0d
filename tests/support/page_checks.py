"""What each rendered page must be; a check takes a page of a site and returns its problems."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

ADDRESSES = {"a": "href", "link": "href", "script": "src", "img": "src", "source": "src"}
FETCHED = re.compile(r"(?:url\(|@import\s|import\()\s*['\"]?(?:https?:)?//[^)'\"]+")
RAW = re.compile(
    r"<Figure size|\bobject at 0x|Traceback \(most recent|(?<![\w.~/])/(?:home|root|tmp|Users)/"
)
REPR = re.compile(r"^\s*(?:['\"\[{(<]|array\()|\bdtype: ")
UNRESOLVED = re.compile(r"\{(?:glue|cite|term|numref|doc|ref|eq)\b[\w:]*\}|\?\?")


@cache
def soup(path: Path) -> BeautifulSoup:
    """Parse a page once."""
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def pages(site: Path) -> list[Path]:
    """Pages that were written for the book; the front page only forwards to the first one."""
    generated = {"index.html", "genindex.html", "search.html"}
    found = (path for path in site.rglob("*.html") if "_static" not in path.parts)
    return sorted(path for path in found if str(path.relative_to(site)) not in generated)


def addresses(page: Path, *tags: str) -> Iterator[str]:
    """Addresses that a page names in some kinds of element."""
    for tag in soup(page).find_all(tags):
        if "canonical" in tag.get("rel", []):
            continue  # the page's own public address, which nobody fetches
        if address := tag.get(ADDRESSES[tag.name]):
            yield address


def links_lead_somewhere(page: Path, site: Path) -> list[str]:
    """Each local address is a file of the site, each anchor an element of its page."""
    problems = []
    for address in sorted(set(addresses(page, *ADDRESSES))):
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        if target.is_dir():
            target /= "index.html"
        if not target.is_file() or site.resolve() not in target.resolve().parents:
            problems.append(f"{address}: no such file")
        elif parts.fragment and target.suffix == ".html":
            anchor = unquote(parts.fragment)
            if not soup(target).find(attrs={"id": anchor}):
                problems.append(f"{address}: no such anchor")
    return problems


def images_have_text(page: Path, site: Path) -> list[str]:
    """Each image has alternative text."""
    images = soup(page).find_all("img")
    return [f"{str(image)[:80]}: no alt" for image in images if not image.get("alt", "").strip()]


def tables_have_headers(page: Path, site: Path) -> list[str]:
    """Each table names its columns or its rows in header cells that hold text."""
    tables = soup(page).select("article table")
    return [
        f"{table.get_text(' ', strip=True)[:60]}: no headers"
        for table in tables
        if not any(cell.get_text(strip=True) for cell in table.find_all("th"))
    ]


def nothing_comes_from_elsewhere(page: Path, site: Path) -> list[str]:
    """No script, style, font or image of another server."""
    loaded = [one for one in addresses(page, "link", "script", "img", "source") if _is_outside(one)]
    inline = " ".join(tag.get_text() for tag in soup(page).find_all(["style", "script"]))
    return loaded + FETCHED.findall(inline)


def nothing_is_left_over(page: Path, site: Path) -> list[str]:
    """Nothing raw: no unresolved markup, no object's address, no path of a machine."""
    article = copy.copy(soup(page).find("article"))
    shown = article.get_text(" ")
    for code in article.find_all(["code", "pre"]):
        code.clear()
    prose = article.get_text()
    found = [(shown, match) for match in RAW.finditer(shown)]
    found += [(prose, match) for match in UNRESOLVED.finditer(prose)]
    return [text[max(0, match.start() - 30) : match.end() + 30] for text, match in found]


def outputs_are_for_readers(page: Path, site: Path) -> list[str]:
    """No output is what Python writes for an object: a quoted text, a list, a Series' dtype."""
    outputs = [output.get_text() for output in soup(page).select(".cell_output pre")]
    return [
        f"{output[:60]}: print it, or show a table" for output in outputs if REPR.search(output)
    ]


def page_can_be_shared(page: Path, site: Path) -> list[str]:
    """What search engines and messengers show: address, title, description and card."""
    head = soup(page).head
    canonical = head.find("link", rel="canonical")
    named = {
        meta.get("property") or meta.get("name"): meta.get("content", "").strip()
        for meta in head.find_all("meta")
    }
    wanted = ("description", "og:title", "og:description", "og:url", "og:image", "og:image:alt")
    problems = [f"no {name}" for name in wanted if not named.get(name)]
    if not canonical or canonical["href"] != named.get("og:url"):
        problems.append("no canonical address, or another one than og:url")
    card = named.get("og:image", "").partition("/_images/")[2]
    if card and not (site / "_images" / card).is_file():
        problems.append(f"{card}: no such card")
    return problems


def page_has_a_title(page: Path, site: Path) -> list[str]:
    """One first-level heading, and a title for the browser's tab."""
    headings, title = soup(page).select("article h1"), soup(page).title
    written = [heading for heading in headings if heading.get_text().strip("#¶ \n")]
    return [] if len(written) == 1 and title and title.text.strip() else ["needs one title"]


def _is_outside(address: str) -> bool:
    return urlsplit(address).scheme in ("http", "https") or address.startswith("//")


CHECKS = (
    links_lead_somewhere,
    images_have_text,
    tables_have_headers,
    nothing_comes_from_elsewhere,
    nothing_is_left_over,
    outputs_are_for_readers,
    page_has_a_title,
    page_can_be_shared,
)
