"""CSRF protection: each form carries a token of the browser's session."""

from __future__ import annotations

from flask import Flask, g, request
from flask_wtf.csrf import generate_csrf, validate_csrf
from wtforms.validators import ValidationError

from yeban.errors import Forbidden, msg

#: Form field and header of the token. htmx sends the header.
FIELD = "csrf_token"
HEADER = "X-CSRF-Token"


def install(app: Flask) -> None:
    """Add ``csrf_token()`` to the templates."""
    app.config["WTF_CSRF_TIME_LIMIT"] = None  # as long as the session: a page may stay open overnight
    app.jinja_env.globals[FIELD] = generate_csrf


def protect(*, read_form: bool = True) -> None:
    """Refuse the request unless its header or its form carries the session's token.

    Raises :class:`~yeban.errors.Forbidden`. Views that take large forms set their limits first: this reads the form.
    """
    token = request.headers.get(HEADER)
    if token is None and read_form:
        token = request.form.get(FIELD)
    try:
        validate_csrf(token)
    except ValidationError:
        g.form_refused = True
        raise Forbidden(msg("This form has expired, or cookies are disabled. Reload the page.")) from None


def was_refused() -> bool:
    """Return whether :func:`protect` refused the current request."""
    return bool(g.get("form_refused"))
