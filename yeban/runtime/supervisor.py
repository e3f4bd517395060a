"""Starts processes, restarts those that end, and stops them all.

Everything happens on one thread, since the kernel sends a process's death signal when the thread that started it ends.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from yeban.errors import ConfigurationError, YebanError, msg
from yeban.runtime.process import Stopped, SupervisedProcess

log = logging.getLogger(__name__)

_POLL_S = 0.1
_TRIM_EVERY_S = 60.0
_MAX_RESTARTS = 5  # within the window; further ones are logged as critical
_WINDOW_S = 60.0
# The cause, such as a full disk, may pass: restarts become rarer and never stop.
_FIRST_PAUSE_S = 0.1
_MAX_PAUSE_S = 10.0


class Supervisor:
    """Runs ``processes`` between :meth:`start` and :meth:`stop`."""

    def __init__(self, processes: Sequence[SupervisedProcess]) -> None:
        self._deaths = {process: _Deaths() for process in processes}
        self._stopping = threading.Event()
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._owner = os.getpid()
        self._thread = threading.Thread(target=self._run, name="yeban-supervisor", daemon=True)

    def start(self) -> None:
        """Start every process, in order. Raises the first failure, with no process left running."""
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error

    def stop(self) -> None:
        """Stop all processes at the same time; returns when they are gone. Does nothing in a forked child."""
        if os.getpid() == self._owner and self._thread.is_alive():
            self._stopping.set()
            self._thread.join()

    def check(self, *, starting: bool = False) -> None:
        """Raise ``ConfigurationError`` for a process that a restart does not help.

        While ``starting``, raise ``ServiceUnavailable`` for one that ended more often than a passing cause explains.
        """
        for deaths in self._deaths.values():
            if deaths.failure is not None:
                raise deaths.failure
            if starting and deaths.complaint is not None:
                raise deaths.complaint

    def _run(self) -> None:
        try:
            try:
                for process in self._deaths:
                    process.start(self._stopping)
            except BaseException as error:  # noqa: BLE001 - raised again on the thread that called start()
                self._error = error
                return
            self._started.set()
            self._watch()
        finally:
            for process in self._deaths:
                process.ask_to_stop()
            for process in reversed(self._deaths):
                process.stop()
            self._started.set()

    def _watch(self) -> None:
        trimmed = time.monotonic()
        while not self._stopping.wait(_POLL_S):
            for process, deaths in self._deaths.items():
                if process.pid is None and time.monotonic() >= deaths.restart_at:
                    self._revive(process, deaths)
            if time.monotonic() - trimmed > _TRIM_EVERY_S:
                trimmed = time.monotonic()
                for process in self._deaths:
                    process.trim_log()

    def _revive(self, process: SupervisedProcess, deaths: _Deaths) -> None:
        """Restart ``process``. The more often it has ended lately, the longer its next restart waits."""
        status = process.exit_status
        facts = {"status": status, "log": process.log}
        if status is not None and status == process.hopeless_status:
            deaths.restart_at = float("inf")
            deaths.failure = process.failure(
                msg("%(process)s cannot start.", process=process.title), ConfigurationError
            )
            log.critical("%s cannot run", process.title, extra=facts)
            return
        if status is not None and status == process.recycled_status:
            log.info("%s asked for a restart", process.title, extra=facts)
        elif deaths.count() > _MAX_RESTARTS:
            deaths.complaint = process.failure(msg("%(process)s keeps exiting.", process=process.title))
            log.critical(
                "%s ended %d times within %g s; trying again every %g s. Read its log and fix the cause.",
                process.title,
                deaths.recent,
                _WINDOW_S,
                _MAX_PAUSE_S,
                extra=facts,
            )
        else:
            log.error("%s ended unexpectedly; restarting it", process.title, extra=facts)
        process.stop()
        try:
            process.start(self._stopping)
        except Stopped:
            pass
        except Exception:
            log.exception("%s could not be restarted", process.title)
        deaths.restart_at = time.monotonic() + min(_FIRST_PAUSE_S * 2**deaths.recent, _MAX_PAUSE_S)


@dataclass
class _Deaths:
    """Recent ends of one process."""

    restart_at: float = 0.0
    failure: YebanError | None = None  # it is not restarted
    complaint: YebanError | None = None  # it ended too often
    _times: deque[float] = field(default_factory=deque)

    @property
    def recent(self) -> int:
        """Ends within the window before the last one."""
        return len(self._times)

    def count(self) -> int:
        """Count one more end; returns how many there were within the window."""
        now = time.monotonic()
        while self._times and now - self._times[0] > _WINDOW_S:
            self._times.popleft()
        self._times.append(now)
        return len(self._times)
