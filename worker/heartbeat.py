"""Whether this worker does its work: its database answers, and its event loop turns on a live connection.

Nothing in Celery tells from outside that a consumer has died or hangs: the process, its threads and its heartbeat to
the database all go on. So a timer on the consumer's own event loop ticks. A stuck loop ticks no more; a lost
connection clears the loop's timers, and only a consumer that is connected again sets a new one.
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
#: Seconds without a tick after which the loop counts as stuck. Acknowledging may take as long as a socket's timeout.
LOOP_STALLED_S = 15.0


class Heartbeat:
    """The moments of the last tick and of the last complete heartbeat, and the file that shows it outside."""

    def __init__(self, role: Role, path: Path | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._role = role
        self._path = path
        self._clock = clock
        self._ticked_at: float | None = None
        self._beaten_at: float | None = None

    def prepare(self) -> None:
        """Take away what an earlier process left. Raises :class:`~yeban.errors.ConfigurationError` if it cannot."""
        try:
            if self._path is not None:
                self._path.unlink(missing_ok=True)
                self._write(self._path)
                self._path.unlink()
        except OSError as error:
            raise ConfigurationError(
                msg(
                    "YEBAN_HEARTBEAT_FILE: cannot write %(path)s: %(reason)s. Name a file in a folder of yours.",
                    path=self._path,
                    reason=error.strerror,
                )
            ) from error

    def tick(self) -> None:
        """To be called by the event loop, about every second."""
        self._ticked_at = self._clock()

    def beat(self) -> bool:
        """To be called when the database has answered. ``False`` if the event loop stands still or is not there yet."""
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

    def end(self) -> None:
        """Take the file away: this worker has ended in order."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def watch(self, app: Celery) -> None:
        """Have the event loop of ``app``'s worker tick, from each time it is connected."""
        heartbeat = self

        class Tick(bootsteps.StartStopStep):  # type: ignore[misc]  # celery ships no types
            """Starts anew with each connection, since losing one clears the loop's timers."""

            def start(self, consumer: Any) -> None:
                consumer.timer.call_repeatedly(_TICK_S, heartbeat.tick)

        app.steps["consumer"].add(Tick)

    def _write(self, path: Path) -> None:
        # Whole or not at all: a probe may read it at this moment.
        draft = path.with_name(f"{path.name}.new")
        draft.write_text(json.dumps({"role": self._role, "pid": os.getpid()}) + "\n", encoding="utf-8")
        draft.replace(path)
