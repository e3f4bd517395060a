"""Heartbeat of a worker: its database answers and its event loop runs.

Celery does not show from outside that a consumer has died or hangs: the process, its threads and its heartbeat to the
database continue. So a timer ticks on the consumer's own event loop. A stuck loop stops ticking; a lost connection
clears the loop's timers, and the consumer sets a new one when it reconnects.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import Celery, bootsteps

from yeban.errors import ConfigurationError, msg
from yeban.runtime.programs import Role

log = logging.getLogger(__name__)

_TICK_S = 1.0
#: Seconds without a tick after which the loop counts as stuck; an acknowledgement can take a socket timeout.
LOOP_STALLED_S = 15.0


class Heartbeat:
    """Times of the last tick and heartbeat, and the file for probes."""

    def __init__(self, role: Role, path: Path | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._role = role
        self._path = path
        self._clock = clock
        self._ticked_at: float | None = None
        self._beaten_at: float | None = None

    def prepare(self) -> None:
        """Remove the file of an earlier process. Raises :class:`~yeban.errors.ConfigurationError` if it cannot."""
        try:
            if self._path is not None:
                self._path.unlink(missing_ok=True)
                self._write(self._path)
                self._path.unlink()
        except OSError as error:
            raise ConfigurationError(
                msg(
                    "YEBAN_HEARTBEAT_FILE: cannot write %(path)s: %(reason)s. Choose a file in a folder you "
                    "can write to.",
                    path=self._path,
                    reason=error.strerror,
                )
            ) from error

    def tick(self) -> None:
        """Record that the event loop runs; it calls this about every second."""
        self._ticked_at = self._clock()

    def beat(self) -> bool:
        """Record that the database answered. Returns ``False`` if the event loop is stuck or has not started."""
        ticked_at = self._ticked_at
        if ticked_at is None or self._clock() - ticked_at > LOOP_STALLED_S:
            return False
        self._beaten_at = self._clock()
        if self._path is not None:
            try:
                self._write(self._path)
            except OSError as error:
                log.warning("heartbeat not written", extra={"path": self._path, "error": error.strerror})
        return True

    def age_s(self) -> float | None:
        """Seconds since the last complete heartbeat; ``None`` before the first."""
        return None if self._beaten_at is None else self._clock() - self._beaten_at

    def stop(self) -> None:
        """Remove the file after an orderly shutdown."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def watch(self, app: Celery) -> None:
        """Make the event loop of ``app``'s worker tick while it is connected."""
        heartbeat = self

        class Tick(bootsteps.StartStopStep):  # type: ignore[misc]  # celery ships no types
            """Starts with each connection; losing one clears the loop's timers."""

            def start(self, consumer: Any) -> None:
                consumer.timer.call_repeatedly(_TICK_S, heartbeat.tick)

        app.steps["consumer"].add(Tick)

    def _write(self, path: Path) -> None:
        # Renamed into place, so that a probe never reads half a file.
        draft = path.with_name(f"{path.name}.new")
        draft.write_text(json.dumps({"role": self._role, "pid": os.getpid()}) + "\n", encoding="utf-8")
        draft.replace(path)
