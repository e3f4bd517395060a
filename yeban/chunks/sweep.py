"""The sweep: keeps jobs moving after lost messages and lost workers.

Every bulk worker runs it, and any number may run at once: each step locks the rows it changes with SKIP LOCKED, or
changes only rows that are still in the expected state.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Delete, Update, delete, exists, func, or_, select, update

from yeban.chunks import hints
from yeban.chunks.clock import COMPLETION_IS_FREE, passed
from yeban.chunks.outcomes import (
    MAX_LOST_LEASES,
    MAX_LOST_LEASES_ROW,
    FailureAction,
    bisect,
    quarantine,
    record_failure,
    requeue,
)
from yeban.database.engine import Database
from yeban.database.tables import Chunk, Job, Worker
from yeban.database.tables.states import EXPIRABLE, FINISHABLE, ChunkState, JobState, constant, constants
from yeban.errors import msg
from yeban.messaging.queues import TaskSender
from yeban.telemetry import metrics

log = logging.getLogger(__name__)

_BATCH = 100


@dataclass(frozen=True, kw_only=True)
class Swept:
    """Counts of the changes of one sweep."""

    started: int
    expired_jobs: int
    cancelled: int
    lost_leases: int
    lost_hints: int
    hinted: int


def sweep(database: Database, sender: TaskSender, *, hint_ttl_s: float) -> Swept:
    """Run one round over all jobs.

    Raises :class:`~yeban.errors.ServiceUnavailable` if the database is away.
    """
    started = _start_due_jobs(database)
    expired_jobs = _expire_jobs(database)
    lost_leases = _requeue_lost_leases(database)
    cancelled = _finish_cancelled_jobs(database)
    lost_hints = _forget_lost_hints(database, hint_ttl_s)
    _forget_dead_workers(database)
    hinted = hints.top_up(database, sender)
    swept = Swept(
        started=started,
        expired_jobs=expired_jobs,
        cancelled=cancelled,
        lost_leases=lost_leases,
        lost_hints=lost_hints,
        hinted=hinted,
    )
    if lost_leases:
        log.warning("leases ran out, their chunks are queued again", extra={"chunk_count": lost_leases})
    if lost_hints:
        # Redis lost them, or the workers are slower than the hints' time to live; sending them twice is harmless.
        log.info("hints sent again", extra={"chunk_count": lost_hints})
    _count(swept)
    return swept


def finish_scored_jobs(database: Database, finish_job: Callable[[int], bool]) -> int:
    """Call ``finish_job`` for each scored job that no worker is finishing; return how many it finished.

    Not a part of :func:`sweep`: finishing a large job takes up to a minute, and leases run out meanwhile.
    """
    return sum(finish_job(job_id) for job_id in _scored_jobs(database))


def _count(swept: Swept) -> None:
    metrics.LEASES_EXPIRED.inc(swept.lost_leases)
    metrics.HINTS_LOST.inc(swept.lost_hints)
    metrics.JOBS_ENDED.labels(state=JobState.EXPIRED.value).inc(swept.expired_jobs)
    metrics.JOBS_ENDED.labels(state=JobState.CANCELLED.value).inc(swept.cancelled)


def _start_due_jobs(database: Database) -> int:
    return _change(
        database,
        update(Job)
        .where(Job.state == constant(JobState.SCHEDULED), or_(Job.start_at.is_(None), Job.start_at <= func.now()))
        .values(state=JobState.QUEUED, queued_at=func.now()),
    )


def _expire_jobs(database: Database) -> int:
    return _change(
        database,
        update(Job)
        .where(Job.state.in_(constants(EXPIRABLE)), Job.expires_at <= func.now())
        .values(state=JobState.EXPIRED, ended_at=func.now()),
    )


def _requeue_lost_leases(database: Database) -> int:
    """Queue chunks whose worker was lost; one that keeps losing workers is halved, or its row quarantined."""
    with database.begin() as connection:
        lost = connection.execute(
            select(Chunk.id, Chunk.attempt, (Chunk.last_row - Chunk.first_row + 1).label("rows"))
            .where(Chunk.state == constant(ChunkState.LEASED), passed(Chunk.lease_until))
            .order_by(Chunk.id)
            .limit(_BATCH)
            .with_for_update(skip_locked=True)
        ).all()
        failed: list[tuple[int, FailureAction]] = []
        for chunk in lost:
            reason = msg("its worker stopped unexpectedly %(attempt)s times", attempt=chunk.attempt)
            if chunk.rows > 1 and chunk.attempt >= MAX_LOST_LEASES:
                bisect(connection, chunk.id, reason)
                failed.append((chunk.id, FailureAction.BISECTED))
            elif chunk.rows == 1 and chunk.attempt >= MAX_LOST_LEASES_ROW:
                quarantine(connection, chunk.id, reason)
                failed.append((chunk.id, FailureAction.QUARANTINED))
            else:
                requeue(connection, chunk.id, reason)
    for chunk_id, action in failed:
        record_failure(chunk_id, action)
    return len(lost)


def _finish_cancelled_jobs(database: Database) -> int:
    leased = exists().where(Chunk.job_id == Job.id, Chunk.state == constant(ChunkState.LEASED))
    return _change(
        database,
        update(Job)
        .where(Job.state == constant(JobState.CANCELLING), ~leased)
        .values(state=JobState.CANCELLED, ended_at=func.now()),
    )


def _forget_lost_hints(database: Database, hint_ttl_s: float) -> int:
    """Forget hints that no worker acted on, since Redis may have lost them. Hinting a chunk twice is harmless."""
    lost = (
        select(Chunk.id)
        .where(Chunk.state == constant(ChunkState.QUEUED), passed(Chunk.hinted_at, by_s=hint_ttl_s))
        .order_by(Chunk.id)
        .with_for_update(skip_locked=True)
        .cte("lost")
    )
    return _change(database, update(Chunk).where(Chunk.id == lost.c.id).values(hinted_at=None))


def _scored_jobs(database: Database) -> list[int]:
    is_open = exists().where(Chunk.job_id == Job.id, Chunk.state != constant(ChunkState.DONE))
    with database.begin() as connection:
        return list(
            connection.scalars(
                select(Job.id)
                .where(Job.state.in_(constants(FINISHABLE)), COMPLETION_IS_FREE, ~is_open)
                .order_by(Job.id)
            )
        )


def _forget_dead_workers(database: Database) -> None:
    _change(database, delete(Worker).where(Worker.seen_at < func.now() - timedelta(days=1)))


def _change(database: Database, statement: Update | Delete) -> int:
    """Run one statement in a transaction of its own; return the number of changed rows."""
    with database.begin() as connection:
        return connection.execute(statement).rowcount
