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
from dataclasses import dataclass, field

from yeban.runtime.servers.server import Server, Stopped

log = logging.getLogger(__name__)

_POLL_S = 0.1
_TRIM_EVERY_S = 60.0
_MAX_RESTARTS = 5  # within the window; after that it is told louder
_WINDOW_S = 60.0
# What keeps a server from starting, such as a full disk, may pass: it is never given up, only tried less often.
_FIRST_PAUSE_S = 0.1
_MAX_PAUSE_S = 10.0


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
        deaths = {server: _Deaths() for server in self._servers}
        trimmed = time.monotonic()
        while not self._stopping.wait(_POLL_S):
            for server, of_server in deaths.items():
                if server.pid is None and time.monotonic() >= of_server.restart_at:
                    self._revive(server, of_server)
            if time.monotonic() - trimmed > _TRIM_EVERY_S:
                trimmed = time.monotonic()
                for server in self._servers:
                    server.trim_log()

    def _revive(self, server: Server, deaths: _Deaths) -> None:
        """Restart ``server``, and let the next restart wait the longer, the more often it has died lately."""
        died = deaths.count()
        if died > _MAX_RESTARTS:
            log.critical(
                "%s died %d times within %g s; is its disk full? It is tried again at most %g s later. See %s and mend"
                " the cause.",
                server.title,
                died,
                _WINDOW_S,
                _MAX_PAUSE_S,
                server.log,
            )
        else:
            log.error("%s ended unexpectedly; starting it again. See %s.", server.title, server.log)
        server.stop()
        try:
            server.start(self._stopping)
        except Stopped:
            pass
        except Exception:
            log.exception("%s could not be started again.", server.title)
        deaths.restart_at = time.monotonic() + min(_FIRST_PAUSE_S * 2**died, _MAX_PAUSE_S)


@dataclass
class _Deaths:
    """When a server died lately, and before when it is not to be started again."""

    restart_at: float = 0.0
    _times: deque[float] = field(default_factory=deque)

    def count(self) -> int:
        """Count one more death; returns how many there were within the window."""
        now = time.monotonic()
        while self._times and now - self._times[0] > _WINDOW_S:
            self._times.popleft()
        self._times.append(now)
        return len(self._times)
