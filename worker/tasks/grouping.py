"""Prefetch grouping: turn the messages that Celery prefetches into engine calls.

Celery passes every message to its task's *strategy*. This one buffers it, and sends a group to the pool when a slot
is free and the group is full, its oldest message has waited long enough, or no other group is running.

Everything except :meth:`Grouper._work` runs on the consumer's event-loop thread, so nothing is locked. Messages are
acknowledged late, on that thread, even if the group failed: recovery relies on leases (chunks) and on the caller's
deadline (texts), never on redelivery.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

from celery import Celery, Task
from pydantic import BaseModel, ValidationError

log = logging.getLogger(__name__)

P = TypeVar("P", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class GroupPolicy:
    """Limits: ``size`` messages are a full group, ``slots`` groups run at a time."""

    size: int
    wait_s: float
    slots: int = 2  # one in the engine, one being prepared behind it


@dataclass(frozen=True, slots=True)
class _Received(Generic[P]):
    payload: P
    ack: Callable[..., Any]
    at: float


class Grouper(Generic[P]):
    """Buffers one task's messages and runs them in groups.

    It outlives connections: after a reconnect, :meth:`bind` is called again, buffered messages stay (handling a message
    twice is harmless), and running groups keep their slots.
    """

    def __init__(
        self,
        payload_type: type[P],
        policy: GroupPolicy,
        run: Callable[[Sequence[P]], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``run`` is called in a pool thread with up to ``policy.size`` payloads, oldest first."""
        self._payload_type = payload_type
        self._policy = policy
        self._run = run
        self._clock = clock
        self._buffer: deque[_Received[P]] = deque()
        self._running = 0
        self._consumer: Any = None
        self._timer: Any = None

    def bind(self, consumer: Any) -> Callable[..., None]:
        """Attach to a consumer that has just (re)connected; returns its message handler."""
        self._consumer = consumer
        # A reconnect clears the loop's timers without telling their owners.
        self._timer = None
        if self._buffer:
            consumer.call_soon(self._flush)
        return self._receive

    def run_now(self, payload: P) -> None:
        """Run a group of one in the calling thread."""
        self._run([payload])

    def _receive(
        self, message: Any, _body: Any, ack: Callable[..., Any], reject: Callable[..., Any], _callbacks: Any, **_: Any
    ) -> None:
        try:
            _args, kwargs, _embed = message.payload
            payload = self._payload_type.model_validate(kwargs)
        except (ValidationError, TypeError, ValueError) as error:
            log.error(
                "malformed message dropped", extra={"task": message.headers.get("task"), "error": type(error).__name__}
            )
            reject(log, self._consumer.connection_errors, requeue=False)
            return
        self._buffer.append(_Received(payload, ack, self._clock()))
        self._flush()

    def _flush(self) -> None:
        while self._buffer and self._running < self._policy.slots and self._due():
            if not self._start(list(islice(self._buffer, self._policy.size))):
                return
        self._arm()

    def _due(self) -> bool:
        return (
            len(self._buffer) >= self._policy.size
            or self._running == 0
            or self._clock() - self._buffer[0].at >= self._policy.wait_s
        )

    def _arm(self) -> None:
        """Set a timer for the oldest message, unless all slots are busy."""
        if self._timer is not None or not self._buffer or self._running >= self._policy.slots:
            return
        delay_s = max(0.0, self._buffer[0].at + self._policy.wait_s - self._clock())
        self._timer = self._consumer.timer.call_after(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._flush()

    def _start(self, group: list[_Received[P]]) -> bool:
        """Send the oldest messages to the pool; ``False`` if it is shutting down.

        Messages left in the buffer are unacknowledged, so closing the connection returns them to the queue.
        """
        consumer = self._consumer
        try:
            consumer.pool.apply_async(self._work, (group, consumer), callback=_ignore)
        except RuntimeError:
            return False
        self._running += 1
        for _ in group:
            self._buffer.popleft()
        return True

    def _work(self, group: list[_Received[P]], consumer: Any) -> None:
        try:
            self._run([received.payload for received in group])
        except Exception:
            # The group's deadline or lease recovers its work; the worker continues.
            log.exception("group failed", extra={"messages": len(group)})
        finally:
            consumer.call_soon(self._on_group_finished, group, consumer)

    def _on_group_finished(self, group: list[_Received[P]], consumer: Any) -> None:
        self._running -= 1
        for received in group:
            received.ack(log, consumer.connection_errors)
        self._flush()


class GroupedTask(Task):  # type: ignore[misc]  # celery ships no types
    """A Celery task whose messages go through a :class:`Grouper`."""

    abstract = True
    ignore_result = True
    grouper: Grouper[Any]

    def Strategy(self, _task: Task, _app: Celery, consumer: Any) -> Callable[..., None]:  # noqa: N802  # Celery's name
        """Celery calls this on every connect and reconnect."""
        return self.grouper.bind(consumer)


def register(app: Celery, name: str, grouper: Grouper[P]) -> None:
    """Make ``grouper`` the consumer of the task called ``name``."""

    def run(**payload: Any) -> None:
        grouper.run_now(grouper._payload_type.model_validate(payload))

    app.task(run, base=GroupedTask, name=name, grouper=grouper)


def _ignore(_result: Any) -> None:
    """The pool requires a callback; :meth:`Grouper._work` reports the end of a group."""
