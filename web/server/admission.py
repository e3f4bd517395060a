"""How much of one kind of work is taken on at a time, so that what is taken on is done in time.

A queue that takes everything serves nobody once more comes in than goes out: each answer is later than the one before,
until all are too late. Here the excess is refused at once, with word when to try again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from yeban.errors import Message, NoAnswer, Overloaded, msg
from yeban.telemetry import metrics

_RETRY_AFTER_S = 1
#: What is left of the limit when answers take too long. TCP's half would leave workers idle; this is near enough to
#: what they bear that a few steps find it.
_DECREASE = 0.8


class Admission:
    """Counts what is in progress in this process, and refuses what would exceed the limit. Thread-safe.

    With a target the limit adapts, as TCP's congestion window does: it grows by at most one for each limit's worth of
    answers within the target, and shrinks by a fifth when one comes later. So it finds what the workers can bear, which
    depends on the model, the labels and whatever else they do, and nobody has to know it.
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
        """How many may be in progress at present."""
        return int(self._limit)

    @property
    def in_progress(self) -> int:
        """How many are."""
        return self._in_progress

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a place for the length of the block. Raises :class:`~yeban.errors.Overloaded` when there is none.

        A block that fails says nothing of how long answers take, unless it fails for want of one.
        """
        started = self._clock()
        with self._lock:
            if self._in_progress >= self.limit:
                raise Overloaded(
                    msg(
                        "%(in_progress)s %(what)s are in progress already; try again in a second.",
                        in_progress=self._in_progress,
                        what=self._what,
                    ),
                    waiting=self._in_progress,
                    retry_after_s=_RETRY_AFTER_S,
                )
            self._in_progress += 1
            self._tell()
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
                self._tell()

    def _tell(self) -> None:
        metrics.IN_PROGRESS.labels(what=str(self._what)).set(self._in_progress)
        metrics.ADMISSION_LIMIT.labels(what=str(self._what)).set(self.limit)

    def _adapt(self, started: float, *, late: bool) -> None:
        if self._target_s is None:
            return
        with self._lock:
            if not late:
                # Only a limit that is made use of is known to be borne.
                if self._in_progress >= self._limit / 2:
                    self._limit = min(self._most, self._limit + 1 / self._limit)
            elif started >= self._shrunk_at:  # those that were under way when it shrank could not know
                self._limit = max(self._least, self._limit * _DECREASE)
                self._shrunk_at = self._clock()
