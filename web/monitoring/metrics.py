"""Metrics of the whole service, counted in the database and in Redis on each scrape.

Counting reads a few small indexes, at most once every few seconds. A scrape is answered even if a server is not.
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

from web.monitoring.deadline import TimedCall
from web.services import Services
from yeban import __version__
from yeban.chunks.workers import WORKER_TIMEOUT_S
from yeban.database.engine import Database
from yeban.database.tables import Chunk, Draft, Job, WebhookDelivery, Worker
from yeban.database.tables.states import FINISHED, ChunkState, JobState, constant, constants
from yeban.errors import ServiceUnavailable
from yeban.messaging.queues import BULK_QUEUE, INTERACTIVE_QUEUE, UNACKNOWLEDGED_KEY
from yeban.runtime.programs import ROLES
from yeban.telemetry import logs, metrics

log = logging.getLogger(__name__)

T = TypeVar("T")

_EXTENSION = "yeban.service_metrics"
_TIMEOUT_S = 3.0
_CACHE_S = 5.0
_STATEMENT_TIMEOUT_MS = 2_000

_UNFINISHED = [state for state in JobState if state not in FINISHED]
_OPEN = [ChunkState.QUEUED, ChunkState.LEASED]
_MESSAGE_STATES = ("due", "later")
_QUEUES = {"bulk": BULK_QUEUE, "interactive": INTERACTIVE_QUEUE}

_IS_UNFINISHED = Job.state.in_(constants(_UNFINISHED))
_JOBS = select(Job.state, func.count()).where(_IS_UNFINISHED).group_by(Job.state)
_CHUNKS = (
    select(Chunk.state, func.count())
    .join(Job, Job.id == Chunk.job_id)
    .where(_IS_UNFINISHED, Chunk.state != constant(ChunkState.DONE))
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
class _DatabaseCounts:
    """Counts by state or role, and the number and bytes of drafts."""

    jobs: dict[str, int]
    chunks: dict[str, int]
    workers: dict[str, int]
    messages: dict[str, int]
    drafts: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class _RedisCounts:
    """Messages in each queue, and messages that workers have not acknowledged."""

    queued: dict[str, int]
    unacknowledged: int


class ServiceState:
    """Collector of the service's metrics for Prometheus; one an app."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._database_counts = TimedCall(
            "The database", self._count_in_database, timeout_s=_TIMEOUT_S, cache_s=_CACHE_S
        )
        self._redis_counts = TimedCall("Redis", self._count_in_redis, timeout_s=_TIMEOUT_S, cache_s=_CACHE_S)

    def collect(self) -> Iterable[Any]:
        """Yield every metric; for a server that does not answer, ``yeban_up`` alone."""
        calls = self._database_counts.start(), self._redis_counts.start()
        (database, counted), (redis, waiting) = _result(calls[0]), _result(calls[1])
        yield metrics.INFO.family([(("web", __version__), 1)])
        yield metrics.UP.family([(("database",), float(database)), (("redis",), float(redis))])
        if counted is not None:
            yield metrics.JOBS.family(((state,), counted.jobs.get(state, 0)) for state in _UNFINISHED)
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

    def _count_in_database(self) -> _DatabaseCounts | None:
        """Return the counts; ``None`` if counting failed but the database is up."""
        self._services.database.ping()
        try:
            return count(self._services.database)
        except (ServiceUnavailable, SQLAlchemyError) as error:
            log.warning("cannot count in the database", extra={"error": logs.redacted(error)})
            return None

    def _count_in_redis(self) -> _RedisCounts:
        # kombu keeps a queue in the Redis list of its name, and delivered messages in one hash.
        with self._services.redis.pipeline(transaction=False) as pipeline:
            for queue in _QUEUES.values():
                pipeline.llen(queue)
            pipeline.hlen(UNACKNOWLEDGED_KEY)
            *queued, unacknowledged = pipeline.execute()
        return _RedisCounts(queued=dict(zip(_QUEUES, queued, strict=True)), unacknowledged=unacknowledged)


def count(database: Database) -> _DatabaseCounts:
    """Count in the database, within two seconds. Raises ``ServiceUnavailable``."""
    with database.begin() as connection:
        connection.execute(text(f"SET LOCAL statement_timeout = {_STATEMENT_TIMEOUT_MS}"))
        drafts = connection.execute(_DRAFTS).one()
        return _DatabaseCounts(
            jobs={row[0]: row[1] for row in connection.execute(_JOBS)},
            chunks={row[0]: row[1] for row in connection.execute(_CHUNKS)},
            workers={row[0]: row[1] for row in connection.execute(_WORKERS)},
            messages={row[0]: row[1] for row in connection.execute(_MESSAGES)},
            drafts=(drafts.files, int(drafts.bytes)),
        )


def install(extensions: dict[str, object], services: Services) -> None:
    """Store the collector of an app for :func:`service_state`."""
    extensions[_EXTENSION] = ServiceState(services)


def service_state() -> ServiceState:
    """Return the collector of the current app."""
    return cast("ServiceState", current_app.extensions[_EXTENSION])


def _result(wait: Callable[[], T]) -> tuple[bool, T | None]:
    """Return whether the server answered, and its answer."""
    try:
        return True, wait()
    except (ServiceUnavailable, SQLAlchemyError, RedisError, OSError) as error:
        log.warning("a server did not answer a scrape", extra={"error": logs.redacted(error)})
        return False, None
