"""Public data files that the book may fetch once, and does without where it cannot."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from helpers.data.columns import DataError


def find_published(names: Sequence[str], *, sha256: str, url: str | None = None) -> Path | None:
    """Path of a published file, from the folder, the cache or the network, or None.

    Another file of its first name is refused, of a further name passed over.
    """
    given = os.environ.get("MARKET_BOOK_DATA")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "market-book"
    for folder in [Path(given), cache] if given else [cache]:
        for name in names:
            path = folder / name
            if path.is_file() and _is_published(path.read_bytes(), sha256):
                return path
            if path.is_file() and name == names[0]:
                raise DataError(f"{name}: not the published file; delete it or fetch it again")
    if url is None:
        return None
    path = cache / names[0]
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            content = answer.read()
        if not _is_published(content, sha256):
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError:  # no network, or no place to keep the file
        return None
    return path


def _is_published(content: bytes, sha256: str) -> bool:
    return hashlib.sha256(content).hexdigest() == sha256
