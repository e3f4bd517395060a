"""Locks of the slots: shared or exclusive, and first come, first served."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType


class SharedLock:
    """A shared/exclusive lock. While a thread waits for exclusive use, no other may start to share."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sharing = 0
        self._exclusive = False
        self._waiting = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold the lock together with other sharers."""
        with self._changed:
            self._changed.wait_for(lambda: not self._exclusive and not self._waiting)
            self._sharing += 1
        try:
            yield
        finally:
            with self._changed:
                self._sharing -= 1
                self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock alone. Deadlocks inside :meth:`shared`."""
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: not self._exclusive and not self._sharing)
            self._waiting -= 1
            self._exclusive = True
        try:
            yield
        finally:
            with self._changed:
                self._exclusive = False
                self._changed.notify_all()


class FairLock:
    """A lock for ``with`` that goes to waiting threads in order of arrival.

    A thread that releases a ``threading.Lock`` can take it again before a waiting thread wakes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held = False
        self._queue: deque[threading.Event] = deque()

    @property
    def waiting(self) -> int:
        """Number of waiting threads."""
        return len(self._queue)

    def __enter__(self) -> None:
        with self._lock:
            if not self._held:
                self._held = True
                return
            called = threading.Event()
            self._queue.append(called)
        called.wait()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            if self._queue:
                self._queue.popleft().set()  # the lock stays held
            else:
                self._held = False
