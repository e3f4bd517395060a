"""Addresses to go back to, which come from whoever made the link."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import url_for


def own_path(given: str | None) -> str:
    """``given`` if it is a path of this site, with its query; else the first page.

    A browser takes ``//host`` and ``/\\host`` for another site.
    """
    first = url_for("pages.classify")
    if given is None or not given.startswith("/") or given.startswith(("//", "/\\")) or not given.isprintable():
        return first
    parts = urlsplit(given)
    return first if parts.scheme or parts.netloc else given
