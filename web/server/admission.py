"""Admission control: limit the work in progress, so that admitted work finishes on time.

Under overload an unbounded queue delays every answer more than the one before, until all are late. Rejecting the excess
at once, with a time to retry, keeps the others fast.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from yeban.errors import Message, NoAnswer, Overloaded, msg
from yeban.telemetry import metrics

_RETRY_AFTER_S = 1
#: Factor on the limit after a late answer. TCP's half would leave workers idle; a few steps of this size find their
#: capacity.
_DECREASE = 0.8


class Admission:
    """Limit on the work in progress in this process. Thread-safe.

    With a target the limit adapts like TCP's congestion window: it grows by at most one for each limit's worth of
    answers within the target, and shrinks by a fifth after a late one. It thus finds the capacity of the workers, which
    depends on the model, the labels and their other work.
    """

    def __init__(
        self,
        what: Message,
        *,
        most: int,
        least: int = 1,
        target_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``what`` names the work in the plural. Without ``target_s`` the limit is always ``most``."""
        self._what = what
        self._most = most
        self._least = min(least, most)
        self._target_s = target_s
        self._clock = clock
        self._limit = float(most)
        self._in_progress = 0
        self._shrunk_at = float("-inf")
        self._lock = threading.Lock()

    @property
    def limit(self) -> int:
        """Current limit."""
        return int(self._limit)

    @property
    def in_progress(self) -> int:
        """Work in progress."""
        return self._in_progress

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Admit the block as work in progress. Raises :class:`~yeban.errors.Overloaded` at the limit.

        A failed block does not change the limit, unless it failed with ``NoAnswer``.
        """
        started = self._clock()
        with self._lock:
            if self._in_progress >= self.limit:
                raise Overloaded(
                    msg(
                        "%(in_progress)s %(what)s are already in progress. Try again in a second.",
                        in_progress=self._in_progress,
                        what=self._what,
                    ),
                    waiting=self._in_progress,
                    retry_after_s=_RETRY_AFTER_S,
                )
            self._in_progress += 1
            self._record()
        try:
            yield
        except NoAnswer:
            self._adapt(started, late=True)
            raise
        else:
            self._adapt(started, late=self._target_s is not None and self._clock() - started > self._target_s)
        finally:
            with self._lock:
                self._in_progress -= 1
                self._record()

    def _record(self) -> None:
        metrics.IN_PROGRESS.labels(what=str(self._what)).set(self._in_progress)
        metrics.ADMISSION_LIMIT.labels(what=str(self._what)).set(self.limit)

    def _adapt(self, started: float, *, late: bool) -> None:
        if self._target_s is None:
            return
        with self._lock:
            if not late:
                # Raise only a limit that is in use.
                if self._in_progress >= self._limit / 2:
                    self._limit = min(self._most, self._limit + 1 / self._limit)
            elif started >= self._shrunk_at:  # work admitted before the limit shrank does not count
                self._limit = max(self._least, self._limit * _DECREASE)
                self._shrunk_at = self._clock()
