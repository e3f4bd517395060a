"""Safe targets for redirects that a link or form names."""

from __future__ import annotations

from flask import current_app, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect


def own_path(given: str | None) -> str:
    """Return ``given`` if it is the path of a page, else the first page.

    Browsers take ``//host`` and ``/\\host`` for another site.
    """
    first = url_for("pages.classify")
    if given is None or not given.startswith("/") or given.startswith("//") or not given.isprintable():
        return first
    try:
        endpoint, _ = current_app.url_map.bind("").match(given.partition("?")[0], method="GET")
    except (HTTPException, RequestRedirect):
        return first
    return given if endpoint.startswith("pages.") else first
