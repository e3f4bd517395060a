"""Calls to servers that may hang: a stopped process keeps its connections and never answers.

No driver's timeout covers every case. So each call runs in a thread of its own, one at a time, and its callers wait for
a limited time. A thread that hangs holds one connection and nothing else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from yeban.errors import ServiceUnavailable, msg

T = TypeVar("T")


class TimedCall(Generic[T]):
    """Call ``function`` with a timeout, and share its result for ``cache_s``. Thread-safe."""

    def __init__(self, server: str, function: Callable[[], T], *, timeout_s: float, cache_s: float = 0.0) -> None:
        """``server`` is the subject of the error, as in “The database”."""
        self._server = server
        self._function = function
        self._timeout_s = timeout_s
        self._cache_s = cache_s
        self._lock = threading.Lock()
        self._result: Future[T] | None = None
        self._finished_at = 0.0

    def start(self) -> Callable[[], T]:
        """Start or join a call, and return a function that waits for its result.

        The function raises what the call raises, and :class:`~yeban.errors.ServiceUnavailable` on a timeout.
        """
        with self._lock:
            result = self._result
            if result is None or (result.done() and time.monotonic() - self._finished_at >= self._cache_s):
                result = Future()
                # Started before it is stored: this raises where no thread can be made.
                threading.Thread(target=self._run, args=(result,), name="timed-call", daemon=True).start()
                self._result = result
        return lambda: self._wait(result)

    def __call__(self) -> T:
        """Call and wait; see :meth:`start`."""
        return self.start()()

    def _wait(self, result: Future[T]) -> T:
        try:
            return result.result(self._timeout_s)
        except TimeoutError as error:
            if result.done():  # the function itself raised it
                raise
            raise ServiceUnavailable(
                msg(
                    "%(what)s did not answer within %(timeout_s)s s.",
                    what=self._server,
                    timeout_s=format(self._timeout_s, "g"),
                )
            ) from error

    def _run(self, result: Future[T]) -> None:
        try:
            value = self._function()
        except Exception as error:  # noqa: BLE001 - raised to those who wait
            self._finished_at = time.monotonic()
            result.set_exception(error)
        else:
            self._finished_at = time.monotonic()
            result.set_result(value)
