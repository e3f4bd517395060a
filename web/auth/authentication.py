"""Who asks, and whether they may: found out for every request before its view.

Where accounts are off, whoever reaches the server may do everything; then only this machine reaches it. Where they are
on, every route that is not public wants a session (people) or a token (programs).
"""

from __future__ import annotations

import ipaddress
import logging
import secrets
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlsplit

from flask import Flask, abort, current_app, flash, g, redirect, request, session, url_for
from flask_babel import gettext as _
from flask_login import LoginManager, current_user, login_user, logout_user
from werkzeug.wrappers import Response

from web.auth.rate_limits import RateLimits
from web.blueprints import Access, current_policy
from web.http import csrf
from web.http.htmx import asked_by_htmx
from web.http.redirects import own_path
from web.services import services
from yeban.accounts import people, tokens
from yeban.accounts.people import Account, Role
from yeban.accounts.viewer import UNRESTRICTED, Viewer
from yeban.errors import Forbidden, NotFound, RateLimited, Unauthorized, msg
from yeban.messaging.queues import make_redis
from yeban.settings import Settings
from yeban.telemetry import metrics

log = logging.getLogger("web.signing_in")  # that of requests is called as this module is

_EXTENSION = "yeban.rates"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_API = "/api/"
_REDIS_TIMEOUT_S = 1.0


@dataclass(frozen=True)
class _SignedIn:
    """An account as Flask-Login wants it, in one session. The id has the moment from which the account's sessions are
    valid, so that all of them end when that is moved; and the session's own number, so that one can be ended.
    """

    account: Account
    session_id: str
    is_authenticated = True
    is_active = True
    is_anonymous = False

    def get_id(self) -> str:
        return f"{self.account.id}@{_since(self.account)}@{self.session_id}"


def install(app: Flask, settings: Settings, redis_url: str) -> None:
    """Ask before each request of ``app`` who it is."""
    app.context_processor(_for_templates)
    app.before_request(_authenticate if settings.accounts else _admit_everyone)
    app.before_request(_authorise)
    if not settings.accounts:
        return
    client = make_redis(
        redis_url,
        max_connections=settings.web_threads + 1,
        connect_timeout_s=_REDIS_TIMEOUT_S,
        timeout_s=_REDIS_TIMEOUT_S,
    )
    app.extensions[_EXTENSION] = RateLimits(settings, client)
    manager = LoginManager(app)
    manager.session_protection = None  # addresses of phones change, and browsers renew themselves
    manager.user_loader(_of_session)


def viewer() -> Viewer:
    """Whoever asks; every query for what is stored is made on their behalf."""
    found: Viewer | None = g.viewer
    if found is None:
        raise Unauthorized(msg("Sign in first."))
    return found


def accounts_on() -> bool:
    """Whether this server asks who it is."""
    return services().settings.accounts


def account() -> Account:
    """Whose session or token this is. Raises ``NotFound`` where there are no accounts."""
    found: Account | None = g.account
    if found is None:
        raise NotFound(msg("There are no accounts here: the server is open to whoever uses this machine."))
    return found


def author(given: str) -> str:
    """Whose name a change bears: that of whoever is signed in; without accounts, the name that was ``given``."""
    return given if g.account is None else cast("Account", g.account).name


def is_signed_in() -> bool:
    """Whether a person or a program is known to ask."""
    return g.account is not None


def check_password(found: Account, password: str) -> None:
    """Ask a person who is signed in for the password once more. Raises ``Unauthorized``, ``RateLimited``."""
    if _signed_in(found.name, password) is None:
        raise Unauthorized(msg("The present password is wrong."))


def begin_session(name: str, password: str) -> Account:
    """Sign a person in. Raises ``Unauthorized``, and ``RateLimited`` after too many failures."""
    found = _signed_in(name, password)
    if found is None:
        raise Unauthorized(msg("The name or the password is wrong."))
    continue_session(found)
    return found


def continue_session(found: Account) -> None:
    """Make this browser's session one of ``found``: nothing of what it was before remains."""
    session.clear()
    session.permanent = True
    login_user(_SignedIn(found, secrets.token_urlsafe(16)))


def end_session() -> None:
    """Sign this browser out, and whoever has kept its cookie."""
    if g.account is not None:
        people.end_session(services().database, current_user.session_id)
        logout_user()
    session.clear()


def _signed_in(name: str, password: str) -> Account | None:
    # Counted before it is tried: many tries at once are as many.
    # Of whoever failed the log has the address and not the name: people type passwords into the wrong field.
    limits, name, address = _limits(), people.normal_name(name), _address()
    try:
        limits.count_attempt(name, address)
    except RateLimited:
        metrics.SIGN_INS.labels(outcome="held_up").inc()
        log.warning("sign-in held up", extra={"address": address})
        raise
    found = people.sign_in(services().database, name, password)
    if found is None:
        metrics.SIGN_INS.labels(outcome="refused").inc()
        log.warning("sign-in refused", extra={"address": address})
        return None
    metrics.SIGN_INS.labels(outcome="signed_in").inc()
    log.info("signed in", extra={"account": found.id, "address": address})
    limits.forgive(name, address)
    return found


def _admit_everyone() -> None:
    g.viewer, g.account = UNRESTRICTED, None


def _authenticate() -> None:
    g.viewer, g.account = None, None
    policy = current_policy()
    if policy is None or not policy.uses_session:
        return
    authorization = request.authorization
    if request.path.startswith(_API) and authorization is not None:
        g.account = _of_token(authorization.token if authorization.type == "bearer" else None)
    elif current_user.is_authenticated:
        g.account = current_user.account
        if request.path.startswith(_API) and request.method not in _SAFE_METHODS:
            csrf.protect(read_form=False)  # a browser sends its cookie whoever made it send the request
    if g.account is not None:
        g.viewer = g.account.viewer


def _authorise() -> Response | None:
    if request.url_rule is None:
        return None  # the answer is 404 or 405
    policy = current_policy()
    if policy is None:
        log.error("a route declares no policy", extra={"route": request.url_rule.rule})
        abort(HTTPStatus.FORBIDDEN)
    if policy.access is Access.PUBLIC:
        return None
    if accounts_on() and g.account is None:
        return _ask_to_sign_in()
    if policy.access is Access.ADMIN and account().role is not Role.ADMIN:
        raise Forbidden(msg("This is for admins."))
    if accounts_on():
        _limits().count(policy.limit, str(account().id), cost=policy.cost)
    return None


def _ask_to_sign_in() -> Response:
    if request.path.startswith(_API):
        raise Unauthorized(msg("Send a token: Authorization: Bearer yeban_…."))
    # Such come from a page that is open; a page may ask several times before it leaves.
    if (asked_by_htmx() or request.method == "POST") and not session.get("_flashes"):
        flash(_("Your session has ended. Sign in again."))
    if asked_by_htmx():  # a part of a page, whose session has ended meanwhile
        return Response(status=401, headers={"HX-Redirect": url_for("pages.sign_in", then=_page_of_part())})
    # A form's address may be one that only takes forms.
    there = request.full_path.rstrip("?") if request.method == "GET" else url_for("pages.classify")
    return redirect(url_for("pages.sign_in", then=there), 303)


def _page_of_part() -> str:
    """The page of ours that htmx asks for a part of; the first one where it does not say."""
    try:
        page = urlsplit(request.headers.get("HX-Current-URL", ""))
    except ValueError:
        return own_path(None)
    ours = page.netloc == request.host
    return own_path((f"{page.path}?{page.query}" if page.query else page.path) if ours else None)


def _of_session(session_id: str) -> _SignedIn | None:
    number, since, own = session_id.split("@")
    found = people.account_of_session(services().database, int(number), own)
    return None if found is None or since != _since(found) else _SignedIn(found, own)


def _since(found: Account) -> str:
    return f"{found.sessions_from.timestamp():.6f}"


def _of_token(secret: str | None) -> Account:
    found = None if secret is None else tokens.account_of(services().database, secret)
    if found is None:
        metrics.WRONG_TOKENS.inc()
        log.warning("wrong token", extra={"address": _address()})
        # Not before it is looked up: many programs may have one address, and a token of 256 bits is not guessed.
        _limits().count_wrong_token(_address())
        raise Unauthorized(msg("The token is none, or it is revoked or expired."))
    return found


def _limits() -> RateLimits:
    return cast("RateLimits", current_app.extensions[_EXTENSION])


def _address() -> str:
    """Who asks, as limits count: of IPv6 the network that one subscriber has."""
    try:
        address = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return "unknown"
    return str(address if address.version == 4 else ipaddress.ip_network((address, 64), strict=False))


def _for_templates() -> dict[str, Any]:
    return {"accounts_on": accounts_on(), "me": g.get("account")}
