"""``/account``: one's own password, sessions and tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from flask import flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from web.auth import authentication
from web.blueprints import SIGNED_IN, pages
from web.http import errors as problems
from web.http.parsing import Fields, fields
from web.services import services
from yeban.accounts import passwords, people, tokens
from yeban.errors import InvalidRequest, RateLimited, Unauthorized, YebanError, msg

_TEMPLATE = "account.html"


class PasswordForm(Fields):
    """The password as it is and as it is to be."""

    username: str = ""  # for whoever keeps passwords; it says nothing here
    present: str = ""
    password: str = ""
    again: str = ""
    revoke_tokens: bool = False


class TokenForm(Fields):
    """A new token."""

    name: str = ""
    days: Literal["30", "90", "365", "never"] = "90"


@pages.get("/account", policy=SIGNED_IN)
def show_account() -> str:
    """The page."""
    return render_template(_TEMPLATE, **_shown())


@pages.post("/account/password", policy=SIGNED_IN)
def change_password() -> AnyResponse:
    """Change the password; other sessions end, this one goes on."""
    account = authentication.account()
    try:
        form = fields(PasswordForm, request.form)
        authentication.check_password(account, form.present)
        if form.password != form.again:
            raise InvalidRequest(msg("The two new passwords are not the same."), field="again")
        people.change_password(services().database, account, form.password, revoke_tokens=form.revoke_tokens)
    except (InvalidRequest, RateLimited, Unauthorized) as error:
        return problems.page(_TEMPLATE, error, **_shown())
    authentication.continue_session(people.get_account(services().database, account.name))
    flash(_("Your password is changed. Other devices are signed out."))
    return redirect(url_for("pages.show_account"), 303)


@pages.post("/account/sessions/end", policy=SIGNED_IN)
def end_all_sessions() -> AnyResponse:
    """Sign out here and wherever else."""
    people.end_sessions(services().database, authentication.account())
    authentication.end_session()
    flash(_("You are signed out on all devices."))
    return redirect(url_for("pages.sign_in"), 303)


@pages.post("/account/tokens", policy=SIGNED_IN)
def create_token() -> str | AnyResponse:
    """Make a token, and show it this once."""
    account = authentication.account()
    form = fields(TokenForm, request.form)
    expires_at = None if form.days == "never" else datetime.now(UTC) + timedelta(days=int(form.days))
    try:
        token, secret = tokens.create_token(services().database, account, form.name, expires_at=expires_at)
    except YebanError as error:
        return problems.page(_TEMPLATE, error, **_shown())
    response = make_response(render_template(_TEMPLATE, made=token, secret=secret, **_shown()))
    response.headers["Cache-Control"] = "no-store"
    return response


@pages.post("/account/tokens/<int:token_id>/revoke", policy=SIGNED_IN)
def revoke_token(token_id: int) -> AnyResponse:
    """Make a token invalid."""
    tokens.revoke_token(services().database, authentication.account(), token_id)
    flash(_("The token is revoked."))
    return redirect(url_for("pages.show_account"), 303)


def _shown() -> dict[str, Any]:
    account = authentication.account() if authentication.accounts_on() else None
    return {
        "account": account,
        "tokens": [] if account is None else tokens.list_tokens(services().database, account),
        "least_chars": passwords.LEAST_CHARS,
    }
