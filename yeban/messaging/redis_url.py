"""Redis URLs, interpreted alike for redis-py and kombu.

The two spell the database, a Unix socket and TLS differently, and kombu would accept any certificate of a ``rediss://``
server by default. So kombu gets no query string, and its TLS options are passed as redis-py's keyword arguments.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from yeban.errors import ConfigurationError, msg

_SCHEMES = ("redis", "rediss", "unix")
_CERT_REQS = {
    "required": ssl.CERT_REQUIRED,
    "none": ssl.CERT_NONE,
    # kombu's spelling
    "CERT_REQUIRED": ssl.CERT_REQUIRED,
    "CERT_NONE": ssl.CERT_NONE,
}
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_TLS = (*_FILES, "ssl_password", "ssl_cert_reqs", "ssl_check_hostname")
_OPTIONS = ("db", "username", "password", *_TLS)
_NO_URL = "YEBAN_REDIS_URL is not a Redis URL (redis://, rediss:// or unix://)"


@dataclass(frozen=True, kw_only=True)
class RedisAddress:
    """The address of a Redis, for redis-py and for kombu.

    ``client_url`` is for redis-py; ``broker_url`` is for kombu, with ``broker_tls``, keyword arguments of redis-py's
    ``SSLConnection``, ``None`` without TLS. ``unverified`` is the part of the server's identity that is not checked,
    ``None`` if all is checked or without TLS.
    """

    client_url: str
    broker_url: str
    broker_tls: dict[str, Any] | None
    unverified: str | None


def parse_redis_url(url: str) -> RedisAddress:
    """Parse ``url``. Raises :class:`~yeban.errors.ConfigurationError` without quoting it: it may have a password."""
    # Not chained to Python's error, which quotes a part of the URL.
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigurationError(
            msg(
                "%(advice)s: its host or port cannot be read. In a password, write / ? # @ [ as %%2F %%3F "
                "%%23 %%40 %%5B.",
                advice=_NO_URL,
            )
        ) from None
    if parts.scheme not in _SCHEMES:
        raise ConfigurationError(msg("%(advice)s.", advice=_NO_URL))
    if "@" in unquote(parts.hostname or "") or parts.fragment:
        raise ConfigurationError(msg("%(advice)s: write a # or @ in the password as %%23 or %%40.", advice=_NO_URL))
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    database = _database(parts, options)
    tls = _tls(parts.scheme, options)
    return RedisAddress(
        client_url=_client_url(parts, options, tls),
        broker_url=_broker_url(parts, port, options, database),
        broker_tls=tls,
        unverified=_unverified(tls),
    )


def _database(parts: SplitResult, options: dict[str, str]) -> int:
    unknown = sorted(options.keys() - set(_OPTIONS))
    if unknown:
        raise ConfigurationError(
            msg(
                "YEBAN_REDIS_URL has unknown options: %(unknown)s. Supported options: %(options)s.",
                unknown=", ".join(unknown),
                options=", ".join(_OPTIONS),
            )
        )
    said = options.get("db") or ("" if parts.scheme == "unix" else parts.path.strip("/"))
    if said and not (said.isascii() and said.isdigit()):
        raise ConfigurationError(msg("YEBAN_REDIS_URL: the database must be a number, as in :6379/0."))
    return int(said or 0)


def _tls(scheme: str, options: dict[str, str]) -> dict[str, Any] | None:
    given = {name: options[name] for name in _TLS if name in options}
    if scheme != "rediss":
        if given:
            raise ConfigurationError(
                msg("YEBAN_REDIS_URL has %(given)s, but is not encrypted. Use rediss://.", given=", ".join(given))
            )
        return None
    tls: dict[str, Any] = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
    for name, value in given.items():
        if name in _FILES:
            _check_file(name, value)
        tls[name] = _value(name, value)
    if tls["ssl_cert_reqs"] is ssl.CERT_NONE:
        tls["ssl_check_hostname"] = False
    if "ssl_keyfile" in tls and "ssl_certfile" not in tls:
        raise ConfigurationError(msg("YEBAN_REDIS_URL has ssl_keyfile without ssl_certfile. Set both."))
    return tls


def _value(name: str, value: str) -> Any:
    kinds: dict[str, dict[str, Any]] = {"ssl_cert_reqs": _CERT_REQS, "ssl_check_hostname": _BOOLEANS}
    if name not in kinds:
        return value
    known = kinds[name]
    if value not in known:
        raise ConfigurationError(
            msg("YEBAN_REDIS_URL: %(name)s must be one of %(known)s.", name=name, known=", ".join(known))
        )
    return known[value]


def _check_file(name: str, path: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise ConfigurationError(
            msg(
                "YEBAN_REDIS_URL: cannot read %(name)s %(path)s: %(reason)s.",
                name=name,
                path=path,
                reason=error.strerror,
            )
        ) from error


def _unverified(tls: dict[str, Any] | None) -> str | None:
    if tls is None or tls["ssl_check_hostname"]:
        return None
    return "certificate" if tls["ssl_cert_reqs"] is ssl.CERT_NONE else "host name"


def _client_url(parts: SplitResult, options: dict[str, str], tls: dict[str, Any] | None) -> str:
    spelled = dict(options)
    if tls is not None:
        spelled["ssl_cert_reqs"] = "none" if tls["ssl_cert_reqs"] is ssl.CERT_NONE else "required"
        spelled["ssl_check_hostname"] = str(tls["ssl_check_hostname"]).lower()
    query = f"?{urlencode(spelled, quote_via=quote)}" if spelled else ""
    # urllib drops the slashes before an empty host.
    return f"{parts.scheme}://{parts.netloc}{parts.path}{query}"


def _broker_url(parts: SplitResult, port: int | None, options: dict[str, str], database: int) -> str:
    user = options.get("username") or unquote(parts.username or "")
    password = options.get("password") or unquote(parts.password or "")
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
    if parts.scheme == "unix":
        return f"redis+socket://{login}{parts.path}?virtual_host={database}"
    host = parts.hostname or "localhost"
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{login}{host}:{port or 6379}/{database}"
