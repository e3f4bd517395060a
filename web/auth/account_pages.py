"""``/account``: the password, sessions and tokens of the signed-in account."""

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
    """Current and new password."""

    username: str = ""  # for password managers; ignored here
    present: str = ""
    password: str = ""
    again: str = ""
    revoke_tokens: bool = False


class TokenForm(Fields):
    """Name and lifetime of a new token."""

    name: str = ""
    days: Literal["30", "90", "365", "never"] = "90"


@pages.get("/account", policy=SIGNED_IN)
def show_account() -> str:
    """Show the account."""
    return render_template(_TEMPLATE, **_context())


@pages.post("/account/password", policy=SIGNED_IN)
def change_password() -> AnyResponse:
    """Change the password. Every other session ends."""
    account = authentication.current_account()
    try:
        form = fields(PasswordForm, request.form)
        authentication.check_password(account, form.present)
        if form.password != form.again:
            raise InvalidRequest(msg("The two new passwords do not match."), field="again")
        people.change_password(services().database, account, form.password, revoke_tokens=form.revoke_tokens)
    except (InvalidRequest, RateLimited, Unauthorized) as error:
        return problems.page(_TEMPLATE, error, **_context())
    authentication.start_session(people.get_account(services().database, account.name))
    flash(_("Your password has been changed. Other devices are signed out."))
    return redirect(url_for("pages.show_account"), 303)


@pages.post("/account/sessions/end", policy=SIGNED_IN)
def end_all_sessions() -> AnyResponse:
    """End every session of the account, including this one."""
    people.end_sessions(services().database, authentication.current_account())
    authentication.end_session()
    flash(_("You are signed out on all devices."))
    return redirect(url_for("pages.sign_in"), 303)


@pages.post("/account/tokens", policy=SIGNED_IN)
def create_token() -> str | AnyResponse:
    """Create a token and show its secret, which is not shown again."""
    account = authentication.current_account()
    form = fields(TokenForm, request.form)
    expires_at = None if form.days == "never" else datetime.now(UTC) + timedelta(days=int(form.days))
    try:
        token, secret = tokens.create_token(services().database, account, form.name, expires_at=expires_at)
    except YebanError as error:
        return problems.page(_TEMPLATE, error, **_context())
    response = make_response(render_template(_TEMPLATE, made=token, secret=secret, **_context()))
    response.headers["Cache-Control"] = "no-store"
    return response


@pages.post("/account/tokens/<int:token_id>/revoke", policy=SIGNED_IN)
def revoke_token(token_id: int) -> AnyResponse:
    """Revoke a token."""
    tokens.revoke_token(services().database, authentication.current_account(), token_id)
    flash(_("The token has been revoked."))
    return redirect(url_for("pages.show_account"), 303)


def _context() -> dict[str, Any]:
    account = authentication.current_account() if authentication.accounts_on() else None
    return {
        "account": account,
        "tokens": [] if account is None else tokens.list_tokens(services().database, account),
        "least_chars": passwords.LEAST_CHARS,
    }
