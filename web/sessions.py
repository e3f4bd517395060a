"""The cookie that carries a browser's session: signed, unreadable by scripts, gone after twelve hours of silence."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask, request
from flask.sessions import SecureCookieSessionInterface
from werkzeug.middleware.proxy_fix import ProxyFix

from web.secretkey import secret_key
from yeban.settings import Settings

_LIFETIME = timedelta(hours=12)


class _Sessions(SecureCookieSessionInterface):
    def get_cookie_secure(self, _app: Flask) -> bool:
        # Over HTTPS never without it again; on this machine there is no HTTPS.
        return request.is_secure


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
