"""Requests of htmx, which replaces parts of a page."""

from __future__ import annotations

from flask import request


def asked_by_htmx() -> bool:
    """Return whether htmx sent the request and expects a part of a page."""
    return "HX-Request" in request.headers
