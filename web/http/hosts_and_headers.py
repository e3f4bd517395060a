"""Checks of listen address, Host header and origin, and the security headers of answers."""

from __future__ import annotations

import ipaddress
import socket
from http import HTTPStatus

from flask import Flask, Response, request

from web.http.refusals import Refusal
from yeban.errors import ConfigurationError, Forbidden, msg
from yeban.settings import Settings

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_SAME_SITE = frozenset({"same-origin", "none"})

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": browsers would then send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def check_listen_address(settings: Settings) -> None:
    """Refuse to listen beyond this machine without accounts.

    Raises :class:`~yeban.errors.ConfigurationError`.
    """
    if settings.accounts or is_loopback(settings.host):
        return
    raise ConfigurationError(
        msg(
            "YEBAN_HOST=%(host)s can be reached from other machines, and without accounts anyone who reaches "
            "it can read every ticket. Keep 127.0.0.1, or set YEBAN_ACCOUNTS=true and create the first "
            "account with `yeban account add NAME --admin`.",
            host=settings.host,
        )
    )


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach ``host``, a name or an address."""
    address = _address(host)
    return host in _LOOPBACK_NAMES if address is None else address.is_loopback


def install(app: Flask, settings: Settings) -> None:
    """Check each request of ``app`` and add headers to each answer."""
    hosts = _allowed_hosts(settings)
    open_to_others = not is_loopback(settings.host)

    def check_host() -> None:
        # DNS rebinding: another site points its name at this machine, to read answers as its own. The Host header
        # then holds that name. An address cannot be rebound.
        host = _host_name(request.host)
        if host in hosts or (open_to_others and _address(host) is not None):
            return
        raise Refusal(
            HTTPStatus.MISDIRECTED_REQUEST,
            msg("This service does not accept this host name. Add it to YEBAN_ALLOWED_HOSTS."),
        )

    def check_origin() -> None:
        if request.method in _SAFE_METHODS:
            return
        site = request.headers.get("Sec-Fetch-Site")
        if (site is not None and site not in _SAME_SITE) or _is_same_origin() is False:
            raise Forbidden(msg("Requests that change data are accepted only from this site's own pages."))

    def add_headers(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if response.mimetype == "text/html":
            # A page may hold tickets; the back button must not show them to the next person at this browser.
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    app.before_request(check_host)
    app.before_request(check_origin)
    app.after_request(add_headers)


def is_from_own_page() -> bool:
    """Return whether the headers prove that a page of this site sent the request."""
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    return site == "same-origin" and _is_same_origin() is True


def _is_same_origin() -> bool | None:
    """Return whether a page of this host sent the request; ``None`` without an ``Origin`` header."""
    origin = request.headers.get("Origin")
    # The scheme may differ: a proxy may terminate TLS.
    return None if origin is None else origin.partition("://")[2].lower() == request.host.lower()


def _allowed_hosts(settings: Settings) -> frozenset[str]:
    names = {name.strip().lower() for name in settings.allowed_hosts.split(",")}
    names |= _LOOPBACK_NAMES | {settings.host.lower().strip("[]")}
    if not is_loopback(settings.host):
        names.add(socket.gethostname().lower())
    return frozenset(names - {""})


def _host_name(host: str) -> str:
    """Return the Host header without its port and the brackets of an IPv6 address."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
