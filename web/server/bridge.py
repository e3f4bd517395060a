"""The bridge from ASGI to Flask: a WSGI app in threads.

A large body is read by a thread of a separate pool, so that slow uploads never delay other requests.
"""

from __future__ import annotations

import asyncio
import contextvars
import io
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from web.server.connection import Exchange, Message, Receive, Send

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

#: Bytes of a long response that are made and sent at a time.
_BLOCK_BYTES = 1 << 16
#: Threads that make them: more would keep the interpreter from short requests.
_BLOCK_THREADS = 2


class ThreadedApp:
    """An ASGI app that runs a WSGI app in threads.

    A request with a large body takes a thread of a second pool, and blocks of long responses are made in a third: so
    no client that sends or reads slowly takes a thread from the other requests.
    """

    def __init__(self, app: WSGIApplication, *, threads: int) -> None:
        self._app = app
        self._requests = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self._uploads = ThreadPoolExecutor(max(1, threads // 2), thread_name_prefix="upload")
        self._blocks = ThreadPoolExecutor(_BLOCK_THREADS, thread_name_prefix="block")

    async def __call__(self, scope: Message, _receive: Receive, send: Send) -> None:
        """Serve the :class:`Exchange` that :class:`Connection` has put into the scope."""
        exchange: Exchange = scope["yeban.exchange"]
        run = asyncio.get_running_loop().run_in_executor
        context = contextvars.copy_context()
        pool = self._uploads if exchange.body is None else self._requests
        response = _WsgiResponse()
        body = exchange.body or _LargeBody(exchange, asyncio.get_running_loop())
        block = await run(pool, context.run, response.begin, self._app, wsgi_environ(scope, body))
        try:
            await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
            while not response.is_complete:
                await send({"type": "http.response.body", "body": block, "more_body": True})
                block = await run(self._blocks, context.run, response.next_block)
            await send({"type": "http.response.body", "body": block, "more_body": False})
        finally:
            if not response.is_complete:
                await run(self._blocks, context.run, response.close)


class _WsgiResponse:
    """A response of a WSGI app, in blocks; its methods run in threads, one at a time."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_complete = False

    def begin(self, app: WSGIApplication, environ: WSGIEnvironment) -> bytes:
        """Run the app up to its first block, which is returned; a short response is complete then."""
        self._iterable = app(environ, self._start)
        self._iterator = iter(self._iterable)
        return self.next_block()

    def next_block(self) -> bytes:
        """Join what the app yields until there is enough to send."""
        block = bytearray()
        try:
            for part in self._iterator:
                block += part
                if len(block) >= _BLOCK_BYTES:
                    return bytes(block)
        except BaseException:
            self.close()
            raise
        self.close()
        return bytes(block)

    def close(self) -> None:
        """Let the app release what the response holds."""
        self.is_complete = True
        if (close := getattr(self._iterable, "close", None)) is not None:
            close()

    def _start(self, status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], object]:
        self.status = int(status[:3])
        self.headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return _write


def _write(_block: bytes) -> object:
    raise NotImplementedError("Return the blocks of the response; PEP 3333's write() is not offered.")


class _LargeBody(io.RawIOBase):
    """A body that a thread reads as it comes."""

    def __init__(self, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        self._exchange = exchange
        self._loop = loop
        self._part = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Raises as :meth:`Exchange.receive_part` does."""
        if not self._part:
            self._part = memoryview(
                asyncio.run_coroutine_threadsafe(self._exchange.receive_part(), self._loop).result()
            )
        count = min(len(buffer), len(self._part))
        buffer[:count] = self._part[:count]
        self._part = self._part[count:]
        return count


def wsgi_environ(scope: Message, body: io.BytesIO | _LargeBody) -> WSGIEnvironment:
    """Make a WSGI environ of an ASGI scope. Headers with an underscore in their name are left out."""
    path = scope["raw_path"]
    if not path.startswith(b"/") and b"://" in path:  # the form for proxies, with scheme and host
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": scope["server"][0],
        "SERVER_PORT": str(scope["server"][1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if scope["client"] is not None:
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = scope["client"][0], str(scope["client"][1])
    for raw_name, raw_value in scope["headers"]:
        if b"_" in raw_name:  # it would pass for the name with a hyphen
            continue
        name, value = raw_name.decode("latin-1").upper().replace("-", "_"), raw_value.decode("latin-1")
        if name not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            name = f"HTTP_{name}"
        environ[name] = f"{environ[name]},{value}" if name in environ else value
    return environ
