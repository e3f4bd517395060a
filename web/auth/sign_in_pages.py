"""``/sign-in`` and ``/sign-out``."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from web.auth import authentication
from web.blueprints import PUBLIC, SIGNED_IN, pages
from web.http import errors as problems
from web.http.redirects import own_path
from web.services import services
from yeban.accounts import people
from yeban.errors import RateLimited, Unauthorized

_TEMPLATE = "signin.html"


@pages.get("/sign-in", policy=PUBLIC)
def sign_in() -> str | AnyResponse:
    """Show the form, unless accounts are off or the browser is signed in."""
    then = own_path(request.args.get("then"))
    if not authentication.accounts_on() or authentication.is_signed_in():
        return redirect(then, 303)
    return render_template(_TEMPLATE, then=then, no_accounts=people.is_empty(services().database))


@pages.post("/sign-in", policy=PUBLIC)
def sign_in_with_password() -> AnyResponse:
    """Start a session, or show why it was refused."""
    then = own_path(request.form.get("then"))
    if not authentication.accounts_on():
        return redirect(then, 303)
    try:
        authentication.sign_in(request.form.get("name", ""), request.form.get("password", ""))
    except (Unauthorized, RateLimited) as error:
        return problems.page(_TEMPLATE, error, then=then, name=request.form.get("name", ""))
    return redirect(then, 303)


@pages.post("/sign-out", policy=SIGNED_IN)
def sign_out() -> AnyResponse:
    """End the session."""
    authentication.end_session()
    flash(_("You are signed out."))
    return redirect(url_for("pages.sign_in"), 303)
