"""Connections of the web server: uvicorn's protocol behind limits on slow clients.

The event loop reads heads, small bodies and refused bodies, and sends responses. A request takes a thread only once its
head and its small body are complete.
"""

from __future__ import annotations

import asyncio
import fcntl
import io
import re
import struct
import sys
import termios
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol
from werkzeug.exceptions import ClientDisconnected

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: Bytes of a request line with its headers; beyond it the answer is 431.
HEAD_BYTES = 1 << 16
#: Bytes of a body that is read before its request takes a thread.
SMALL_BODY_BYTES = 1 << 18

_NOT_ASCII = re.compile(rb"[\x80-\xff]")

_HEAD_S = 10.0
_BODY_S = 30.0
_DRAIN_S = 30.0
_MIN_BYTES_A_SECOND = 1024
#: Bytes that the kernel takes at once, so that the connection of a slow client may be closed behind them.
_SMALL_BLOCK_BYTES = 1 << 14


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one process: open connections, and the seconds a client may keep the server waiting."""

    connections: int
    silence_s: float

    @property
    def head_s(self) -> float:
        """Seconds for the head of a request, from the connection or from the end of the last response."""
        return min(_HEAD_S, self.silence_s)

    @property
    def body_s(self) -> float:
        """Seconds for a small body."""
        return min(_BODY_S, self.silence_s)


class RequestStalled(Exception):
    """A client that sends nothing, or next to nothing, of its request's body for ``seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Connection(H11Protocol):
    """uvicorn's connection with a deadline for heads, strict framing, and an :class:`Exchange` for each request."""

    #: Connections without a request, the one that has waited longest first.
    _waiting: ClassVar[dict[Connection, None]] = {}

    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._inner = self.app
        self.app = self._serve
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # uvicorn then waits until the last block has left this process: progress of a slow client can be seen.
        transport.set_write_buffer_limits(0)
        self._wait_for_head()
        if len(self.connections) > self._limits.connections:
            next(iter(self._waiting)).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # h11 refuses a URL with raw UTF-8, which curl sends as it was typed.
        if not data.isascii() and self in self._waiting and not self.conn.trailing_data[0]:
            line, end, rest = data.partition(b"\r\n")
            data = _NOT_ASCII.sub(lambda found: b"%%%02X" % found[0][0], line) + end + rest
        super().data_received(data)

    def on_response_complete(self) -> None:
        self._wait_for_head()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse a malformed head, with 431 if it is too long; end a response in progress."""
        error = sys.exception()
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.abort()
            return
        status = 431 if getattr(error, "error_status_hint", None) == 431 else 400
        headers = [("content-type", "text/plain; charset=utf-8"), ("connection", "close")]
        for event in (
            h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES[status]),
            h11.Data(data=msg.encode("ascii")),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event))
        self.transport.close()

    def _should_upgrade(self) -> bool:
        return False

    def _wait_for_head(self) -> None:
        self._wait_no_more()
        self._waiting[self] = None
        self._deadline = self.loop.call_later(self._limits.head_s, self.transport.abort)

    def _wait_no_more(self) -> None:
        self._waiting.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    async def _serve(self, scope: Message, receive: Receive, send: Send) -> None:
        self._wait_no_more()
        headers = dict(scope["headers"])
        if b"content-length" in headers and b"transfer-encoding" in headers:
            await send({"type": "http.response.start", "status": 400, "headers": [(b"connection", b"close")]})
            await send({"type": "http.response.body", "body": b"Send Content-Length or Transfer-Encoding, not both."})
            return
        exchange = Exchange(self, receive, send, self._limits, headers)
        scope["yeban.exchange"] = exchange
        try:
            await exchange.read_small_body()
            await self._inner(scope, receive, exchange.send)
        except ClientDisconnected:
            self.transport.abort()
            await asyncio.sleep(0)  # uvicorn sees the lost connection, and logs no error


class Exchange:
    """One request and its response.

    ``body`` is the complete body of a small request, and ``None`` where a thread has to read it.
    """

    def __init__(
        self, connection: Connection, receive: Receive, send: Send, limits: Limits, headers: dict[bytes, bytes]
    ) -> None:
        self._connection = connection
        self._receive = receive
        self._send = send
        self._limits = limits
        self._expects_continue = b"expect" in headers
        length = int(headers.get(b"content-length", b"0"))
        self._is_unread = length > 0 or b"transfer-encoding" in headers
        self._is_large = length > SMALL_BODY_BYTES or b"transfer-encoding" in headers
        self._is_late = False
        self._waited_s = 0.0
        self._received_bytes = 0
        self.body: io.BytesIO | None = None

    async def read_small_body(self) -> None:
        """Read the body whole, if it is small. Raises ``ClientDisconnected``."""
        if self._is_large:
            return
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_s):
                while self._is_unread:
                    body += await self._next_part()
        except TimeoutError:
            self._is_late = True  # reading it raises: so the app answers, in the form that the client expects
        else:
            self.body = io.BytesIO(body)

    async def receive_part(self) -> bytes:
        """Receive the next bytes of the body; empty at its end.

        Raises :class:`RequestStalled` for a silent or very slow client, and werkzeug's ``ClientDisconnected`` for a
        body that is cut short.
        """
        if self._is_late:
            raise self._stalled()
        part = b""
        while self._is_unread and not part:
            began = self._connection.loop.time()
            try:
                part = await asyncio.wait_for(self._next_part(), self._limits.silence_s)
            except TimeoutError:
                raise self._stalled() from None
            self._waited_s += self._connection.loop.time() - began
            self._received_bytes += len(part)
            if self._waited_s >= self._limits.silence_s:
                if self._is_unread and self._received_bytes < _MIN_BYTES_A_SECOND * self._waited_s:
                    raise self._stalled()
                self._waited_s, self._received_bytes = 0.0, 0
        return part

    async def send(self, message: Message) -> None:
        """Send a part of the response once the client has taken the last. Raises ``ClientDisconnected``.

        Before the end of the response, what the client still sends of a refused body is read: closing a connection
        with data unread would reset it, and the client would not see the response.
        """
        await self._wait_until_taken()
        must_drain = self._is_unread and not (self._is_late or self._expects_continue)
        if message["type"] == "http.response.start":
            if self._is_unread and not must_drain:
                message["headers"].append((b"connection", b"close"))
        elif not message["more_body"] and (must_drain or len(message["body"]) > _SMALL_BLOCK_BYTES):
            await self._send({**message, "more_body": True})
            await self._wait_until_taken()
            await self._drain()
            message["body"] = b""
        await self._send(message)

    async def _next_part(self) -> bytes:
        message = await self._receive()
        self._expects_continue = False  # uvicorn has asked for the body
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        self._is_unread = message["more_body"]
        return bytes(message["body"])

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(_DRAIN_S):
                while self._is_unread:
                    await self._next_part()
        except TimeoutError:
            raise ClientDisconnected from None

    async def _wait_until_taken(self) -> None:
        """Wait until everything sent has left the process, for as long as the client takes something."""
        flow, transport = self._connection.flow, self._connection.transport
        while flow.write_paused and not transport.is_closing():
            before = self._untaken_bytes()
            try:
                await asyncio.wait_for(flow.drain(), self._limits.silence_s)
            except TimeoutError:
                if self._untaken_bytes() >= before:
                    raise ClientDisconnected from None
        if transport.is_closing():
            raise ClientDisconnected

    def _untaken_bytes(self) -> int:
        """Bytes of the response that the client has not acknowledged."""
        transport = self._connection.transport
        if transport.is_closing():
            return 0
        packed = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
        return transport.get_write_buffer_size() + int(struct.unpack("i", packed)[0])

    def _stalled(self) -> RequestStalled:
        self._is_late = True
        return RequestStalled(self._limits.silence_s)
