"""What concerns htmx, which asks for parts of pages and puts them in their places."""

from __future__ import annotations

from flask import request


def asked_by_htmx() -> bool:
    """Whether a script asks, which wants a part of a page and not all of it."""
    return "HX-Request" in request.headers
