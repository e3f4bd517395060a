"""Questions to servers that may never answer: a process that is stopped keeps its connections, and says nothing.

No timeout of a driver bounds that for certain. So a question is asked in a thread of its own, one at a time, and
whoever wants the answer waits only so long. A thread that hangs holds one connection and nothing else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from yeban.errors import ServiceUnavailable, msg

T = TypeVar("T")


class Bounded(Generic[T]):
    """``ask``, answered within ``timeout_s``; an answer serves everyone for ``keep_s``. Thread-safe."""

    def __init__(self, what: str, ask: Callable[[], T], *, timeout_s: float, keep_s: float = 0.0) -> None:
        """``what`` begins the sentence that says there was no answer, as in “The database”."""
        self._what = what
        self._ask = ask
        self._timeout_s = timeout_s
        self._keep_s = keep_s
        self._lock = threading.Lock()
        self._answer: Future[T] | None = None
        self._answered_at = 0.0

    def start(self) -> Callable[[], T]:
        """Ask now, or join whoever asks already; what is returned waits for the answer.

        It raises what ``ask`` raises, and :class:`~yeban.errors.ServiceUnavailable` if there is no answer in time.
        """
        with self._lock:
            answer = self._answer
            if answer is None or (answer.done() and time.monotonic() - self._answered_at >= self._keep_s):
                answer = Future()
                # First, since it raises where no further thread can be made.
                threading.Thread(target=self._run, args=(answer,), name="bounded", daemon=True).start()
                self._answer = answer
        return lambda: self._wait(answer)

    def __call__(self) -> T:
        """The answer, as :meth:`start` gives it."""
        return self.start()()

    def _wait(self, answer: Future[T]) -> T:
        try:
            return answer.result(self._timeout_s)
        except TimeoutError as error:
            if answer.done():  # it was the question that ended so
                raise
            raise ServiceUnavailable(
                msg(
                    "%(what)s did not answer within %(timeout_s)s s.", what=self._what, timeout_s=f"{self._timeout_s:g}"
                )
            ) from error

    def _run(self, answer: Future[T]) -> None:
        try:
            value = self._ask()
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is wanted
            self._answered_at = time.monotonic()
            answer.set_exception(error)
        else:
            self._answered_at = time.monotonic()
            answer.set_result(value)
