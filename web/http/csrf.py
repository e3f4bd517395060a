"""Forms are taken only from pages of ours: each carries a token that belongs to the browser's session."""

from __future__ import annotations

from flask import Flask, g, request
from flask_wtf.csrf import generate_csrf, validate_csrf
from wtforms.validators import ValidationError

from yeban.errors import Forbidden, msg

#: The form field and the header that hold the token; htmx sends the header.
FIELD = "csrf_token"
HEADER = "X-CSRF-Token"


def install(app: Flask) -> None:
    """Let templates ask for the token with ``csrf_token()``."""
    app.config["WTF_CSRF_TIME_LIMIT"] = None  # it lasts as long as the session: a page may stay open all night
    app.jinja_env.globals[FIELD] = generate_csrf


def protect(*, read_form: bool = True) -> None:
    """Refuse the request that is being handled unless it carries its session's token, in its header or its form.

    Reads the form, so whoever takes large ones sets the limits first. Raises :class:`~yeban.errors.Forbidden`.
    """
    token = request.headers.get(HEADER)
    if token is None and read_form:
        token = request.form.get(FIELD)
    try:
        validate_csrf(token)
    except ValidationError:
        g.form_refused = True
        raise Forbidden(msg("This form has expired, or cookies are disabled; reload the page.")) from None


def was_refused() -> bool:
    """Whether :func:`protect` has refused the request that is being handled."""
    return bool(g.get("form_refused"))
