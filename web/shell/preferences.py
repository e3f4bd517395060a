"""``/preferences``: language and colour theme of a browser."""

from __future__ import annotations

from typing import Literal

from flask import has_request_context, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from web.blueprints import PUBLIC, pages
from web.http.parsing import Fields, fields
from web.http.redirects import own_path
from web.i18n.locale import COOKIE as LANGUAGE_COOKIE

THEME_COOKIE = "theme"
_A_YEAR_S = 365 * 24 * 3600


class PreferencesForm(Fields):
    """The changed preferences, and the page to return to."""

    language: Literal["en", "zh"] | None = None
    theme: Literal["auto", "light", "dark"] | None = None
    then: str = "/"


@pages.post("/preferences", policy=PUBLIC)
def keep_preferences() -> AnyResponse:
    """Store the choice in cookies."""
    form = fields(PreferencesForm, request.form)
    response = redirect(own_path(form.then), 303)
    for name, value in ((LANGUAGE_COOKIE, form.language), (THEME_COOKIE, form.theme)):
        if value is not None:
            response.set_cookie(name, value, max_age=_A_YEAR_S, httponly=True, samesite="Lax", secure=request.is_secure)
    return response


@pages.app_context_processor
def preferences() -> dict[str, str]:
    """Template values: ``theme``, and ``here``, the page to return to after a change."""
    if not has_request_context():
        return {"theme": "auto", "here": "/"}
    chosen = request.cookies.get(THEME_COOKIE, "auto")
    # A form's target is requested again if it allows GET; entered values are lost, and never part of a URL.
    here = request.full_path.removesuffix("?") if request.method == "GET" else request.path
    return {"theme": chosen if chosen in {"light", "dark"} else "auto", "here": here}
