"""Authenticate and authorise every request before its view runs.

With accounts on, every route that is not public needs a session (people) or a token (programs). With accounts off, the
server listens on this machine alone and every request may do everything.
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

log = logging.getLogger(__name__)

_EXTENSION = "yeban.rates"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_API = "/api/"
_REDIS_TIMEOUT_S = 1.0


@dataclass(frozen=True)
class _SessionUser:
    """An account in one session, as Flask-Login expects a user.

    The id holds the moment from which the account's sessions are valid: moving that moment ends all of them. It also
    holds a random session id, so that one session can be ended.
    """

    account: Account
    session_id: str
    is_authenticated = True
    is_active = True
    is_anonymous = False

    def get_id(self) -> str:
        return f"{self.account.id}@{_valid_from(self.account)}@{self.session_id}"


def install(app: Flask, settings: Settings, redis_url: str) -> None:
    """Authenticate and authorise every request of ``app``."""
    app.context_processor(_for_templates)
    app.before_request(_authenticate if settings.accounts else _admit_everyone)
    app.before_request(_authorise)
    if not settings.accounts:
        return
    client = make_redis(
        redis_url,
        max_connections=2 * settings.web_threads,  # uploads have threads of their own
        connect_timeout_s=_REDIS_TIMEOUT_S,
        timeout_s=_REDIS_TIMEOUT_S,
    )
    app.extensions[_EXTENSION] = RateLimits(settings, client)
    manager = LoginManager(app)
    manager.session_protection = None  # phones change their addresses, browser updates the user agent
    manager.user_loader(_load_user)


def viewer() -> Viewer:
    """Return the viewer on whose behalf stored data is read and changed. Raises ``Unauthorized``."""
    found: Viewer | None = g.viewer
    if found is None:
        raise Unauthorized(msg("Sign in first."))
    return found


def accounts_on() -> bool:
    """Return whether this server requires accounts."""
    return services().settings.accounts


def current_account() -> Account:
    """Return the account of the session or token. Raises ``NotFound`` where accounts are off."""
    found: Account | None = g.account
    if found is None:
        raise NotFound(msg("This server has no accounts: anyone who can reach it can use it."))
    return found


def author(given: str) -> str:
    """Return the account's name, or ``given`` where accounts are off."""
    return given if g.account is None else cast("Account", g.account).name


def is_signed_in() -> bool:
    """Return whether the request has a valid session or token."""
    return g.account is not None


def check_password(account: Account, password: str) -> None:
    """Check the password of a signed-in account. Raises ``Unauthorized`` and ``RateLimited``."""
    if _verify(account.name, password) is None:
        raise Unauthorized(msg("The current password is wrong."))


def sign_in(name: str, password: str) -> None:
    """Start a session. Raises ``Unauthorized``, and ``RateLimited`` after too many failures."""
    account = _verify(name, password)
    if account is None:
        raise Unauthorized(msg("The name or password is wrong."))
    start_session(account)


def start_session(account: Account) -> None:
    """Replace the browser's session with a new one of ``account``."""
    session.clear()
    session.permanent = True
    login_user(_SessionUser(account, secrets.token_urlsafe(16)))


def end_session() -> None:
    """End the session, so that copies of its cookie are invalid too."""
    if g.account is not None:
        people.end_session(services().database, current_user.session_id)
        logout_user()
    session.clear()


def _verify(name: str, password: str) -> Account | None:
    # An attempt counts before the password is checked, so that parallel attempts all count.
    # Failures are logged without the name: people type passwords into the wrong field.
    limits, name, address = _rate_limits(), people.normal_name(name), _client_network()
    try:
        limits.count_attempt(name, address)
    except RateLimited:
        metrics.SIGN_INS.labels(outcome="held_up").inc()
        log.warning("sign-in held up", extra={"address": address})
        raise
    account = people.sign_in(services().database, name, password)
    if account is None:
        metrics.SIGN_INS.labels(outcome="refused").inc()
        log.warning("sign-in refused", extra={"address": address})
        return None
    metrics.SIGN_INS.labels(outcome="signed_in").inc()
    log.info("signed in", extra={"account": account.id, "address": address})
    limits.clear_attempts(name, address)
    return account


def _admit_everyone() -> None:
    g.viewer, g.account = UNRESTRICTED, None


def _authenticate() -> None:
    g.viewer, g.account = None, None
    policy = current_policy()
    if policy is None or not policy.uses_session:
        return
    authorization = request.authorization
    if request.path.startswith(_API) and authorization is not None:
        g.account = _account_of_token(authorization.token if authorization.type == "bearer" else None)
    elif current_user.is_authenticated:
        g.account = current_user.account
        if request.path.startswith(_API) and request.method not in _SAFE_METHODS:
            csrf.protect(read_form=False)  # a browser sends its cookie with another site's requests too
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
    if policy.access is Access.ADMIN and current_account().role is not Role.ADMIN:
        raise Forbidden(msg("Only admins can do this."))
    if accounts_on():
        _rate_limits().charge(policy.limit, current_account().id, cost=policy.cost)
    return None


def _ask_to_sign_in() -> Response:
    if request.path.startswith(_API):
        raise Unauthorized(msg("Send a token: Authorization: Bearer yeban_…."))
    # An open page sent this request; it may send several before the browser leaves it.
    if (asked_by_htmx() or request.method == "POST") and not session.get("_flashes"):
        flash(_("Your session has ended. Sign in again."))
    if asked_by_htmx():
        return Response(status=401, headers={"HX-Redirect": url_for("pages.sign_in", then=_page_of_part())})
    # The address of a form may take POST requests only.
    then = request.full_path.rstrip("?") if request.method == "GET" else url_for("pages.classify")
    return redirect(url_for("pages.sign_in", then=then), 303)


def _page_of_part() -> str:
    """Return the path of the page that htmx updates, or of the first page."""
    try:
        page = urlsplit(request.headers.get("HX-Current-URL", ""))
    except ValueError:
        return own_path(None)
    ours = page.netloc == request.host
    return own_path((f"{page.path}?{page.query}" if page.query else page.path) if ours else None)


def _load_user(user_id: str) -> _SessionUser | None:
    account_id, valid_from, session_id = user_id.split("@")
    account = people.account_of_session(services().database, int(account_id), session_id)
    return None if account is None or valid_from != _valid_from(account) else _SessionUser(account, session_id)


def _valid_from(account: Account) -> str:
    return f"{account.sessions_from.timestamp():.6f}"


def _account_of_token(secret: str | None) -> Account:
    account = None if secret is None else tokens.account_of(services().database, secret)
    if account is None:
        metrics.WRONG_TOKENS.inc()
        log.warning("wrong token", extra={"address": _client_network()})
        # Only wrong tokens count: many programs may share an address, and guessing 256 bits is hopeless anyway.
        _rate_limits().count_wrong_token(_client_network())
        raise Unauthorized(msg("The token is invalid, expired or revoked."))
    return account


def _rate_limits() -> RateLimits:
    return cast("RateLimits", current_app.extensions[_EXTENSION])


def _client_network() -> str:
    """Return the client's IPv4 address, or its IPv6 /64, which one subscriber has."""
    try:
        address = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return "unknown"
    return str(address if address.version == 4 else ipaddress.ip_network((address, 64), strict=False))


def _for_templates() -> dict[str, Any]:
    return {"accounts_on": accounts_on(), "me": g.get("account")}
