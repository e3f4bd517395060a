"""How long a client may take to send a request. Whoever sends a byte now and then is never silent, but cut off too."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

#: Most seconds for the head of a request, and for a body that is no upload.
_HEAD_S = 10.0
_BODY_S = 30.0

_LOOK_S = 0.5


class Deadlines:
    """Moments after which nothing more is read from a socket. Thread-safe; its thread begins with the first of them."""

    def __init__(self) -> None:
        self.head_s, self.body_s = _HEAD_S, _BODY_S
        self._by_socket: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def shorten(self, most_s: float) -> None:
        """Give no head and no body more than ``most_s`` seconds."""
        self.head_s, self.body_s = min(_HEAD_S, most_s), min(_BODY_S, most_s)

    def set(self, connection: socket.socket, seconds: float) -> None:
        """Give ``connection`` so long from now on, in place of what it had."""
        with self._lock:
            self._by_socket[connection] = time.monotonic() + seconds
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="deadlines", daemon=True)
                self._thread.start()

    def lift(self, connection: socket.socket) -> None:
        """Let ``connection`` take its time."""
        with self._lock:
            self._by_socket.pop(connection, None)

    def _watch(self) -> None:
        while True:
            time.sleep(_LOOK_S)
            now = time.monotonic()
            with self._lock:
                late = [connection for connection, moment in self._by_socket.items() if moment < now]
                for connection in late:
                    del self._by_socket[connection]
                    # Under the lock, so that it is no other request's connection by then. Whoever reads finds its end.
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RD)


DEADLINES = Deadlines()


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threads, none of which waits for ever for the head of a request."""

    def handle(self, conn: Any) -> Any:
        DEADLINES.set(conn.sock, DEADLINES.head_s)
        try:
            return super().handle(conn)
        finally:
            DEADLINES.lift(conn.sock)

    def handle_request(self, req: Any, conn: Any) -> Any:
        DEADLINES.lift(conn.sock)
        try:
            return super().handle_request(req, conn)
        finally:
            # What was not read of the body is read on now, so that the connection can serve another request.
            DEADLINES.set(conn.sock, DEADLINES.head_s)
