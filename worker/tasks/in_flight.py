"""Which leases this process holds right now, and when each of them last made progress."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Abandoned(Exception):
    """Raised in the midst of work that is to be left at once."""


class Work:
    """One group's stay in the process. Its own thread tells of progress, the watchdog asks."""

    def __init__(self, abandoned: threading.Event, clock: Callable[[], float]) -> None:
        self._abandoned = abandoned
        self._clock = clock
        self._moved_at: float | None = clock()

    def progress(self) -> None:
        """Tell that the work went on. Raises :class:`Abandoned` once there is no time left to end it."""
        self._moved_at = self._clock()
        if self._abandoned.is_set():
            raise Abandoned

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Wait for others without counting as stuck: if they are, they are found out themselves."""
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
    """Shared between the slots, which hold leases, and the keeper, which renews them and watches their progress."""

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
        """Whether the process is to end: nothing new should be begun."""
        return self._stopping.is_set()

    @property
    def abandoned(self) -> bool:
        """Whether even work that is begun is to be left."""
        return self._abandoned.is_set()

    def stop(self) -> None:
        """Begin nothing new."""
        self._stopping.set()

    def abandon(self) -> None:
        """Leave what is begun, at its next sign of progress."""
        self._stopping.set()
        self._abandoned.set()

    def tokens(self) -> list[uuid.UUID]:
        """Every lease token held now."""
        with self._lock:
            return list(self._held)

    def longest_idle_s(self) -> float:
        """Seconds since the group that moved longest ago last made progress; 0 when none is held."""
        with self._lock:
            return max((work.idle_s() for work in self._held.values()), default=0.0)
