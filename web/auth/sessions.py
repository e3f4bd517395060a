"""Session cookies: signed, hidden from scripts, and valid for twelve hours after the last request."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from datetime import timedelta
from pathlib import Path

from flask import Flask, request
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from werkzeug.middleware.proxy_fix import ProxyFix

from web.blueprints import current_policy
from yeban.errors import ConfigurationError, msg
from yeban.settings import Settings

_LIFETIME = timedelta(hours=12)
_MIN_KEY_CHARS = 32
_KEY_FILE = "secret_key"


class _SessionInterface(SecureCookieSessionInterface):
    def get_cookie_secure(self, _app: Flask) -> bool:
        # Without a proxy, browsers on this machine use plain HTTP.
        return request.is_secure

    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:
        policy = current_policy()
        renews = policy is None or policy.uses_session
        return super().should_set_cookie(app, session) and (session.modified or renews)


def install(app: Flask, settings: Settings) -> None:
    """Set up the sessions of ``app``. Raises :class:`~yeban.errors.ConfigurationError` for the secret key."""
    app.session_interface = _SessionInterface()
    app.config.update(
        SECRET_KEY=secret_key(settings),
        SESSION_COOKIE_NAME="yeban_session",
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=_LIFETIME,
    )
    if settings.proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=settings.proxies, x_proto=settings.proxies, x_host=0
        )


def secret_key(settings: Settings) -> str:
    """Return ``YEBAN_SECRET_KEY``, or the key in the data directory, which is created on first use.

    Raises :class:`~yeban.errors.ConfigurationError` if the key is too short or cannot be stored.
    """
    if settings.secret_key is not None:
        if len(settings.secret_key) < _MIN_KEY_CHARS:
            raise ConfigurationError(
                msg(
                    "YEBAN_SECRET_KEY is too short. Use at least %(min_chars)s random characters.",
                    min_chars=_MIN_KEY_CHARS,
                )
            )
        return settings.secret_key
    path = settings.data_dir / _KEY_FILE
    try:
        return _stored_key(path)
    except OSError as error:
        raise ConfigurationError(
            msg(
                "Cannot save the session signing key in %(path)s: %(reason)s. Set YEBAN_SECRET_KEY.",
                path=path,
                reason=error.strerror,
            )
        ) from error


def _stored_key(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="ascii")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(prefix=f".{_KEY_FILE}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48))
        with contextlib.suppress(FileExistsError):  # another process was first; use its key
            os.link(draft, path)
    finally:
        Path(draft).unlink()
    return path.read_text(encoding="ascii")
