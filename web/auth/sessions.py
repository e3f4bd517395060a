"""The cookie that carries a browser's session: signed, unreadable by scripts, gone after twelve hours of silence."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask, request
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from werkzeug.middleware.proxy_fix import ProxyFix

from web.secretkey import secret_key
from yeban.settings import Settings

_UNRENEWED = frozenset({"static", "probes.alive", "probes.ready", "probes.show_metrics"})
_LIFETIME = timedelta(hours=12)


class _Sessions(SecureCookieSessionInterface):
    def get_cookie_secure(self, _app: Flask) -> bool:
        # Over HTTPS never without it again; on this machine there is no HTTPS.
        return request.is_secure

    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:
        # Renewed with what a person does, and not with each file that a page has.
        return super().should_set_cookie(app, session) and (session.modified or request.endpoint not in _UNRENEWED)


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
