"""``/preferences``: the language and the colours that a browser gets from now on."""

from __future__ import annotations

from typing import Literal

from flask import redirect, request
from werkzeug.wrappers import Response as AnyResponse

from web.edge import Fields, fields
from web.i18n import COOKIE as LANGUAGE_COOKIE
from web.pages.addresses import own_path
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
    response = redirect(own_path(form.then), 303)
    for name, value in ((LANGUAGE_COOKIE, form.language), (THEME_COOKIE, form.theme)):
        if value is not None:
            response.set_cookie(name, value, max_age=_A_YEAR_S, httponly=True, samesite="Lax", secure=request.is_secure)
    return response


@pages.app_context_processor
def theme() -> dict[str, str]:
    """``theme`` for templates."""
    chosen = request.cookies.get(THEME_COOKIE, "auto") if request else "auto"
    return {"theme": chosen if chosen in {"light", "dark"} else "auto"}
