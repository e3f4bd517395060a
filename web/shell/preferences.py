"""``/preferences``: the language and the colours that a browser gets from now on."""

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
    """What to change, and the page to come back to."""

    language: Literal["en", "zh"] | None = None
    theme: Literal["auto", "light", "dark"] | None = None
    then: str = "/"


@pages.post("/preferences", policy=PUBLIC)
def keep_preferences() -> AnyResponse:
    """Keep what was chosen in cookies."""
    form = fields(PreferencesForm, request.form)
    response = redirect(own_path(form.then), 303)
    for name, value in ((LANGUAGE_COOKIE, form.language), (THEME_COOKIE, form.theme)):
        if value is not None:
            response.set_cookie(name, value, max_age=_A_YEAR_S, httponly=True, samesite="Lax", secure=request.is_secure)
    return response


@pages.app_context_processor
def preferences() -> dict[str, str]:
    """For templates: ``theme``, and ``here``, the page to come back to when the language or the theme is changed."""
    if not has_request_context():
        return {"theme": "auto", "here": "/"}
    chosen = request.cookies.get(THEME_COOKIE, "auto")
    # What a form was sent to is asked for anew, if it can be; what was entered is lost, and is in no address.
    here = request.full_path.removesuffix("?") if request.method == "GET" else request.path
    return {"theme": chosen if chosen in {"light", "dark"} else "auto", "here": here}
