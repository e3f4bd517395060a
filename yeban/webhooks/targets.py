"""Parsing and checking of webhook URLs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal
from urllib.parse import quote, urlsplit

from yeban.errors import InvalidRequest, Message, msg
from yeban.webhooks.addresses import IPAddress, is_private, may_be_called

MAX_URL_CHARS = 2_000

_PORTS = {"http": 80, "https": 443}
# Some parsers drop blanks and control characters, and some read a backslash as a slash.
_STRANGE = re.compile(r"[\x00-\x20\x7f-\x9f\\]")
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_KEPT = "%/:@!$&'()*+,;=-._~?"


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """The destination of a message."""

    scheme: Literal["http", "https"]
    host: str  # ASCII, lower case; an IPv6 address without brackets
    port: int
    path: str  # with the query, percent-encoded; never logged, since it may hold a secret

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The complete URL."""
        return f"{self.scheme}://{self.authority}{self.path}"


def parse(url: str) -> Target:
    """Parse a URL.

    Raises :class:`~yeban.errors.InvalidRequest` without quoting it: it may hold a secret.
    """
    if len(url) > MAX_URL_CHARS:
        raise _invalid(msg("The URL is longer than %(max_url_chars)s characters.", max_url_chars=MAX_URL_CHARS))
    if _STRANGE.search(url):
        raise _invalid(
            msg("The URL contains a space, a backslash or a control character. Percent-encode it (a space is %%20).")
        )
    try:
        parts = urlsplit(url)
        port = parts.port
        path = quote(parts.path or "/", safe=_KEPT) + (f"?{quote(parts.query, safe=_KEPT)}" if parts.query else "")
        host = _ascii(parts.hostname or "")
        if "[" in parts.netloc and ":" not in host:
            raise ValueError("brackets are for IPv6 addresses")
    except ValueError:
        raise _invalid(msg("This is not a URL. Enter one such as https://example.com/hooks/yeban.")) from None
    scheme = parts.scheme
    if scheme not in {"http", "https"} or not host:
        raise _invalid(msg("The URL must start with https:// (or http://) and a host name."))
    if "@" in parts.netloc:
        raise _invalid(
            msg(
                "The URL contains a user name or password, which would not be sent. Remove it: messages are "
                "signed instead."
            )
        )
    if parts.fragment:
        raise _invalid(msg("The URL has a part after “#”, which is never sent. Remove it."))
    if port == 0:
        raise _invalid(msg("Port 0 cannot be used. Choose another port."))
    known: Literal["http", "https"] = "https" if scheme == "https" else "http"
    return Target(scheme=known, host=host, port=port or _PORTS[known], path=path)


def check(url: str, *, private: bool) -> Target:
    """Parse an entered URL and refuse at once an address that every attempt would refuse.

    ``private`` allows addresses of private networks. Raises :class:`~yeban.errors.InvalidRequest`.
    """
    target = parse(url)
    address = _address(target.host)
    local = target.host == "localhost" or target.host.endswith(".localhost")
    if local or (address is not None and is_private(address)):
        if not private:
            raise _invalid(
                msg("This address is inside the network. To allow it, set YEBAN_WEBHOOK_PRIVATE_ADDRESSES=true.")
            )
    elif address is not None and not may_be_called(address, private=private):
        raise _invalid(msg("Webhooks cannot be sent to this address. Use the address of a server."))
    elif target.scheme == "http" and (address is not None or not private):
        raise _invalid(msg("Use https://. Only addresses inside the network may use http://."))
    return target


def _ascii(host: str) -> str:
    """Encode a host in ASCII, ``""`` if invalid. Raises ``ValueError`` for an invalid address."""
    if ":" in host:
        return str(ip_address(host)) if "%" not in host else ""
    name = host.encode("idna").decode("ascii").lower().rstrip(".")
    return name if len(name) <= 253 and _HOST.fullmatch(name) else ""


def _address(host: str) -> IPAddress | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _invalid(message: Message) -> InvalidRequest:
    return InvalidRequest(message, field="url")
