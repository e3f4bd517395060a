"""The leases that this process holds, and the progress of their groups."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Abandoned(Exception):
    """Interrupts work that the process has no time left to finish."""


class Work:
    """One group in the process. Its thread reports progress, and the watchdog reads it."""

    def __init__(self, abandoned: threading.Event, clock: Callable[[], float]) -> None:
        self._abandoned = abandoned
        self._clock = clock
        self._moved_at: float | None = clock()

    def progress(self) -> None:
        """Report progress. Raises :class:`Abandoned` once the process has no time left."""
        self._moved_at = self._clock()
        if self._abandoned.is_set():
            raise Abandoned

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Wait for another group without counting as stuck. The watchdog sees that group's own progress."""
        self._moved_at = None
        try:
            yield
        finally:
            self._moved_at = self._clock()

    def idle_s(self) -> float:
        """Seconds since the last progress; 0 while waiting."""
        moved_at = self._moved_at
        return 0.0 if moved_at is None else self._clock() - moved_at


class InFlight:
    """The leases in flight. Slots hold them; the keeper renews them, and the watchdog reads their progress."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[uuid.UUID, Work] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._abandoned = threading.Event()

    @contextmanager
    def hold(self, token: uuid.UUID) -> Iterator[Work]:
        """Count ``token`` as held for the length of the block."""
        work = Work(self._abandoned, self._clock)
        with self._lock:
            self._held[token] = work
        try:
            yield work
        finally:
            with self._lock:
                del self._held[token]

    @property
    def stopping(self) -> bool:
        """True once the process is shutting down: start nothing new."""
        return self._stopping.is_set()

    @property
    def abandoned(self) -> bool:
        """True once running work must be interrupted too."""
        return self._abandoned.is_set()

    def stop(self) -> None:
        """Start nothing new."""
        self._stopping.set()

    def abandon(self) -> None:
        """Interrupt running work when it next reports progress."""
        self._stopping.set()
        self._abandoned.set()

    def tokens(self) -> list[uuid.UUID]:
        """All lease tokens held now."""
        with self._lock:
            return list(self._held)

    def longest_idle_s(self) -> float:
        """Seconds since the least active group last made progress; 0 without groups."""
        with self._lock:
            return max((work.idle_s() for work in self._held.values()), default=0.0)
