"""One thread that starts the servers, restarts one that dies, and stops them all.

Everything happens on that thread because the kernel ties a server's death signal to the thread that started
it: this one lives exactly as long as the servers should, whichever thread asked for them.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Sequence

from yeban.embedded.server import Server, Stopped

log = logging.getLogger(__name__)

_POLL_S = 0.1
_TRIM_EVERY_S = 60.0
_MAX_RESTARTS = 5
_WINDOW_S = 60.0


class Supervisor:
    """Runs ``servers`` between :meth:`start` and :meth:`stop`."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = list(servers)
        self._stopping = threading.Event()
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._owner = os.getpid()
        self._thread = threading.Thread(target=self._run, name="yeban-servers", daemon=True)

    def start(self) -> None:
        """Start every server; returns when all answer. Raises what the first failure raised, with none left running."""
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error

    def stop(self) -> None:
        """Stop every server, the last started first; returns when they are gone. Harmless in a forked child."""
        if os.getpid() == self._owner and self._thread.is_alive():
            self._stopping.set()
            self._thread.join()

    def _run(self) -> None:
        try:
            try:
                for server in self._servers:
                    server.start(self._stopping)
            except BaseException as error:  # noqa: BLE001 - raised again on the thread that called start()
                self._error = error
                return
            self._started.set()
            self._watch()
        finally:
            for server in reversed(self._servers):
                server.stop()
            self._started.set()

    def _watch(self) -> None:
        restarts: dict[Server, deque[float]] = {server: deque() for server in self._servers}
        trimmed = time.monotonic()
        while not self._stopping.wait(_POLL_S):
            for server, times in list(restarts.items()):
                if server.pid is None and not self._revive(server, times):
                    del restarts[server]
            if time.monotonic() - trimmed > _TRIM_EVERY_S:
                trimmed = time.monotonic()
                for server in self._servers:
                    server.trim_log()

    def _revive(self, server: Server, times: deque[float]) -> bool:
        """Restart ``server``; False when it has died too often and is left alone."""
        now = time.monotonic()
        while times and now - times[0] > _WINDOW_S:
            times.popleft()
        if len(times) >= _MAX_RESTARTS:
            log.critical(
                "%s died %d times within %g s and is not started again. See %s, mend the cause and restart Yeban.",
                server.title,
                _MAX_RESTARTS + 1,
                _WINDOW_S,
                server.log,
            )
            return False
        times.append(now)
        log.error("%s ended unexpectedly; starting it again. See %s.", server.title, server.log)
        server.stop()
        try:
            server.start(self._stopping)
        except Stopped:
            pass
        except Exception:
            log.exception("%s could not be started again.", server.title)
        return True
