"""``/preferences``: the language and the colours that a browser gets from now on."""

from __future__ import annotations

from typing import Literal

from flask import current_app, has_request_context, redirect, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response as AnyResponse

from web.edge import Fields, fields
from web.i18n import COOKIE as LANGUAGE_COOKIE
from web.pages.blueprint import pages

THEME_COOKIE = "theme"
_A_YEAR_S = 365 * 24 * 3600


class PreferencesForm(Fields):
    """What to change, and the page to come back to."""

    language: Literal["en", "zh"] | None = None
    theme: Literal["auto", "light", "dark"] | None = None
    then: str = "/"


@pages.post("/preferences")
def keep_preferences() -> AnyResponse:
    """Keep what was chosen in cookies."""
    form = fields(PreferencesForm, request.form)
    response = redirect(_page(form.then) or url_for("pages.classify"), 303)
    for name, value in ((LANGUAGE_COOKIE, form.language), (THEME_COOKIE, form.theme)):
        if value is not None:
            response.set_cookie(name, value, max_age=_A_YEAR_S, httponly=True, samesite="Lax", secure=request.is_secure)
    return response


def _page(address: str) -> str | None:
    """The path and query of ``address`` if they are a page of ours that can be asked for: nothing else is led to."""
    path, separator, query = address.partition("?")
    # A browser takes "//host" and "/\\host" for another server.
    if not path.startswith("/") or path.startswith("//"):
        return None
    try:
        endpoint, _ = current_app.url_map.bind("").match(path, method="GET")
    except (HTTPException, RequestRedirect):
        return None
    return f"{path}{separator}{query}" if endpoint.startswith("pages.") else None


@pages.app_context_processor
def preferences() -> dict[str, str]:
    """For templates: ``theme``, and ``here``, the page to come back to when the language or the theme is changed."""
    if not has_request_context():
        return {"theme": "auto", "here": "/"}
    chosen = request.cookies.get(THEME_COOKIE, "auto")
    # What a form was sent to is asked for anew, if it can be; what was entered is lost, and is in no address.
    here = request.full_path.removesuffix("?") if request.method == "GET" else request.path
    return {"theme": chosen if chosen in {"light", "dark"} else "auto", "here": here}
