"""What Prometheus is told of the whole service: counts from the database and from Redis, found when it asks.

A scrape costs the servers a few look-ups in small indexes, at most one every few seconds however many ask, and it is
answered whether they answer or not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

from flask import current_app
from redis.exceptions import RedisError
from sqlalchemy import case, func, literal_column, select, text
from sqlalchemy.exc import SQLAlchemyError

from web.monitoring.deadline import Bounded
from web.services import Services
from yeban import __version__
from yeban.chunks.workers import WORKER_TIMEOUT_S
from yeban.database.engine import Database
from yeban.database.tables import Chunk, Draft, Job, WebhookDelivery, Worker
from yeban.database.tables.states import ENDED, ChunkState, JobState, constant, constants
from yeban.errors import ServiceUnavailable
from yeban.messaging.queues import BULK_QUEUE, INTERACTIVE_QUEUE, UNACKNOWLEDGED_KEY
from yeban.runtime.programs import ROLES
from yeban.telemetry import logs, metrics

log = logging.getLogger(__name__)

T = TypeVar("T")

_EXTENSION = "yeban.observed"
_TIMEOUT_S = 3.0
_KEEP_S = 5.0
_STATEMENT_TIMEOUT_MS = 2_000

_UNENDED = [state for state in JobState if state not in ENDED]
_OPEN = [ChunkState.QUEUED, ChunkState.LEASED]
_MESSAGE_STATES = ("due", "later")
_QUEUES = {"bulk": BULK_QUEUE, "interactive": INTERACTIVE_QUEUE}

_IS_UNENDED = Job.state.in_(constants(_UNENDED))
_JOBS = select(Job.state, func.count()).where(_IS_UNENDED).group_by(Job.state)
_CHUNKS = (
    select(Chunk.state, func.count())
    .join(Job, Job.id == Chunk.job_id)
    .where(_IS_UNENDED, Chunk.state != constant(ChunkState.DONE))
    .group_by(Chunk.state)
)
_DUE = case((WebhookDelivery.next_at <= func.now(), literal_column("'due'")), else_=literal_column("'later'"))
_MESSAGES = select(_DUE, func.count()).where(WebhookDelivery.next_at.is_not(None)).group_by(_DUE)
_DRAFTS = select(func.count().label("files"), func.coalesce(func.sum(Draft.size_bytes), 0).label("bytes"))
_WORKERS = (
    select(Worker.role, func.count())
    .where(Worker.seen_at > func.now() - timedelta(seconds=WORKER_TIMEOUT_S))
    .group_by(Worker.role)
)


@dataclass(frozen=True, kw_only=True)
class _Counted:
    """What the database holds: by state or role, and of drafts their number and bytes."""

    jobs: dict[str, int]
    chunks: dict[str, int]
    workers: dict[str, int]
    messages: dict[str, int]
    drafts: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    """Messages in Redis: those in each queue, and those that workers have."""

    queued: dict[str, int]
    unacknowledged: int


class ServiceState:
    """Finds the state of the service for Prometheus; one an app."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._counted = Bounded("The database", self._count, timeout_s=_TIMEOUT_S, keep_s=_KEEP_S)
        self._waiting = Bounded("Redis", self._look, timeout_s=_TIMEOUT_S, keep_s=_KEEP_S)

    def collect(self) -> Iterable[Any]:
        """Every metric of it; of a part that does not answer, ``yeban_up`` alone."""
        asked = self._counted.start(), self._waiting.start()
        (database, counted), (redis, waiting) = _answered(asked[0]), _answered(asked[1])
        yield metrics.INFO.family([(("web", __version__), 1)])
        yield metrics.UP.family([(("database",), float(database)), (("redis",), float(redis))])
        if counted is not None:
            yield metrics.JOBS.family(((state,), counted.jobs.get(state, 0)) for state in _UNENDED)
            yield metrics.CHUNKS.family(((state,), counted.chunks.get(state, 0)) for state in _OPEN)
            yield metrics.WORKERS.family(((role,), counted.workers.get(role, 0)) for role in ROLES)
            yield metrics.WEBHOOK_MESSAGES.family(
                ((state,), counted.messages.get(state, 0)) for state in _MESSAGE_STATES
            )
            yield metrics.DRAFTS.family([((), counted.drafts[0])])
            yield metrics.DRAFT_BYTES.family([((), counted.drafts[1])])
        if waiting is not None:
            yield metrics.QUEUE_MESSAGES.family(((name,), count) for name, count in waiting.queued.items())
            yield metrics.UNACKNOWLEDGED.family([((), waiting.unacknowledged)])

    def _count(self) -> _Counted | None:
        """What is counted, or None where the database is there and that took too long, or its schema is another."""
        self._services.database.ping()
        try:
            return count(self._services.database)
        except (ServiceUnavailable, SQLAlchemyError) as error:
            log.warning("nothing could be counted", extra={"error": logs.redacted(error)})
            return None

    def _look(self) -> _Waiting:
        # kombu keeps a queue in the Redis list of its name, and what was delivered in one hash.
        with self._services.redis.pipeline(transaction=False) as pipeline:
            for queue in _QUEUES.values():
                pipeline.llen(queue)
            pipeline.hlen(UNACKNOWLEDGED_KEY)
            *queued, unacknowledged = pipeline.execute()
        return _Waiting(queued=dict(zip(_QUEUES, queued, strict=True)), unacknowledged=unacknowledged)


def count(database: Database) -> _Counted:
    """Count what the database holds, within two seconds. Raises ``ServiceUnavailable``."""
    with database.begin() as connection:
        connection.execute(text(f"SET LOCAL statement_timeout = {_STATEMENT_TIMEOUT_MS}"))
        drafts = connection.execute(_DRAFTS).one()
        return _Counted(
            jobs={row[0]: row[1] for row in connection.execute(_JOBS)},
            chunks={row[0]: row[1] for row in connection.execute(_CHUNKS)},
            workers={row[0]: row[1] for row in connection.execute(_WORKERS)},
            messages={row[0]: row[1] for row in connection.execute(_MESSAGES)},
            drafts=(drafts.files, int(drafts.bytes)),
        )


def install(extensions: dict[str, object], services: Services) -> None:
    """Put the state of an app's service where :func:`service_state` finds it."""
    extensions[_EXTENSION] = ServiceState(services)


def service_state() -> ServiceState:
    """The state of the service whose app handles the present request."""
    return cast("ServiceState", current_app.extensions[_EXTENSION])


def _answered(answer: Callable[[], T]) -> tuple[bool, T | None]:
    """Whether the part answered, and what."""
    try:
        return True, answer()
    except (ServiceUnavailable, SQLAlchemyError, RedisError, OSError) as error:
        log.warning("a part does not answer a scrape", extra={"error": logs.redacted(error)})
        return False, None
