"""The cookie that carries a browser's session: signed, unreadable by scripts, gone after twelve hours of silence."""

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


class _Sessions(SecureCookieSessionInterface):
    def get_cookie_secure(self, _app: Flask) -> bool:
        # Over HTTPS never without it again; on this machine there is no HTTPS.
        return request.is_secure

    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:
        # Files of a page and probes do not renew the session.
        policy = current_policy()
        renews = policy is None or policy.uses_session
        return super().should_set_cookie(app, session) and (session.modified or renews)


def install(app: Flask, settings: Settings) -> None:
    """Set the sessions of ``app`` up. Raises :class:`~yeban.errors.ConfigurationError` where no key can be kept."""
    app.session_interface = _Sessions()
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


_LEAST_CHARS = 32
_FILE = "secret_key"


def secret_key(settings: Settings) -> str:
    """``YEBAN_SECRET_KEY``, else the key in the data directory, which is made where there is none.

    Raises :class:`~yeban.errors.ConfigurationError` for a short key, and where none can be kept.
    """
    if settings.secret_key is not None:
        if len(settings.secret_key) < _LEAST_CHARS:
            raise ConfigurationError(
                msg(
                    "YEBAN_SECRET_KEY is too short: give %(least_chars)s random characters or more.",
                    least_chars=_LEAST_CHARS,
                )
            )
        return settings.secret_key
    path = settings.data_dir / _FILE
    try:
        return _kept(path)
    except OSError as error:
        raise ConfigurationError(
            msg(
                "The key that signs sessions cannot be kept in %(path)s: %(reason)s. Set YEBAN_SECRET_KEY.",
                path=path,
                reason=error.strerror,
            )
        ) from error


def _kept(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="ascii")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(prefix=f".{_FILE}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48))
        with contextlib.suppress(FileExistsError):  # another process was first; its key holds
            os.link(draft, path)
    finally:
        Path(draft).unlink()
    return path.read_text(encoding="ascii")
