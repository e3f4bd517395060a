"""One delivery attempt: one POST to one checked address before one deadline.

It uses sockets because HTTP libraries do not guarantee three things: it connects to the checked address, one deadline
covers the whole attempt, and nothing (a redirect, a proxy in the environment) leads elsewhere.
"""

from __future__ import annotations

import contextlib
import io
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPException, HTTPResponse
from typing import Any, cast

import yeban
from yeban.webhooks.addresses import Address, is_private, look_up
from yeban.webhooks.failures import Failure, NotSent
from yeban.webhooks.targets import Target

#: Maximum duration of an attempt in seconds.
LIMIT_S = 10.0

_CONNECT_S = 4.0  # per address
_MOST_ADDRESSES = 3
_MOST_BYTES = 64 * 1024  # of an answer including headers
# Closing before reading some of the body could reset the receiver's connection. The body is discarded.
_BODY_BYTES = 4096
_BODY_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The result of an attempt: HTTP status if any, and ``failure``, ``None`` if the message arrived."""

    status: int | None
    failure: Failure | None
    seconds: float


def send(target: Target, headers: Mapping[str, str], body: bytes, *, private: bool, limit_s: float = LIMIT_S) -> Answer:
    """POST ``body``. Failures are returned, not raised; ``private`` allows addresses of private networks."""
    started = time.monotonic()
    status = failure = None
    try:
        status = _post(target, headers, body, private=private, deadline=started + limit_s)
        failure = _judged(status)
    except NotSent as error:
        failure = error.failure
    except TimeoutError:
        failure = Failure.TIMED_OUT
    except ssl.SSLCertVerificationError:
        failure = Failure.CERTIFICATE_NOT_TRUSTED
    except ssl.SSLError:
        failure = Failure.TLS_FAILED
    except (OSError, HTTPException, ValueError):
        failure = Failure.NO_HTTP_ANSWER
    return Answer(status=status, failure=failure, seconds=time.monotonic() - started)


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """TLS context with the system's authorities, or those of ``SSL_CERT_FILE``."""
    return ssl.create_default_context()


def _judged(status: int) -> Failure | None:
    if 200 <= status < 300:
        return None
    return Failure.GONE if status == 410 else Failure.NOT_ACCEPTED


def _post(target: Target, headers: Mapping[str, str], body: bytes, *, private: bool, deadline: float) -> int:
    addresses = look_up(target.host, target.port, private=private, deadline=deadline)
    if target.scheme == "http" and not all(is_private(address.ip) for address in addresses):
        raise NotSent(Failure.HTTPS_REQUIRED)
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(_connect(addresses, deadline))
        if target.scheme == "https":
            connection.settimeout(_left_s(deadline))
            connection = stack.enter_context(tls_context().wrap_socket(connection, server_hostname=target.host))
        connection.settimeout(_left_s(deadline))
        connection.sendall(_head(target, headers, body) + body)
        reader = _Reader(connection, deadline)
        response = stack.enter_context(HTTPResponse(cast("socket.socket", reader), method="POST"))
        response.begin()
        reader.deadline = min(deadline, time.monotonic() + _BODY_S)
        with contextlib.suppress(OSError, HTTPException, ValueError):
            response.read(_BODY_BYTES)
        return response.status


def _connect(addresses: list[Address], deadline: float) -> socket.socket:
    late = False
    for address in addresses[:_MOST_ADDRESSES]:
        connection = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            connection.settimeout(min(_CONNECT_S, _left_s(deadline)))
            connection.connect(address.where)
        except OSError as error:
            connection.close()
            late = isinstance(error, TimeoutError)
        else:
            return connection
    raise NotSent(Failure.TIMED_OUT if late else Failure.NOT_REACHED)


def _head(target: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    fields = {
        "Host": target.authority,
        "User-Agent": f"Yeban/{yeban.__version__}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Accept": "*/*",
        "Connection": "close",
        **headers,
    }
    lines = [f"POST {target.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _left_s(deadline: float) -> float:
    """Seconds until the deadline. Raises ``TimeoutError`` if it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _Reader(io.RawIOBase):
    """Reads from a connection until a deadline, up to a maximum size.

    A socket's own timeout restarts with each byte, so a slow sender could block for ever.
    """

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self.deadline = deadline
        self._connection = connection
        self._left = _MOST_BYTES

    def makefile(self, *_: Any) -> io.BufferedReader:
        """Return the stream that ``HTTPResponse`` reads from."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left <= 0:
            raise ValueError("the answer is too long")
        self._connection.settimeout(_left_s(self.deadline))
        count = self._connection.recv_into(buffer, min(len(buffer), self._left))
        self._left -= count
        return count
