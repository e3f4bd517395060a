"""Who may use the engine: one at a time, in the order of asking."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """A lock that is handed on to whoever has waited longest.

    With an ordinary lock, who has just let go can take it again before a thread that waits has woken.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self._queue: deque[threading.Event] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._queue)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Wait for a turn, and have it for the length of the block."""
        with self._lock:
            called = None
            if self._taken:
                called = threading.Event()
                self._queue.append(called)
            self._taken = True
        if called is not None:
            called.wait()
        try:
            yield
        finally:
            with self._lock:
                if self._queue:
                    self._queue.popleft().set()  # it stays taken
                else:
                    self._taken = False
