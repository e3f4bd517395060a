"""The sweep: what keeps jobs moving whatever was lost.

Any worker runs it, any number at once: each step locks what it changes with SKIP LOCKED, or changes only
what is still in the state it expects.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import text

from yeban.chunks import hints
from yeban.chunks.clock import END_IS_FREE
from yeban.chunks.outcomes import (
    MAX_LOST_LEASES,
    MAX_LOST_LEASES_ROW,
    FailureAction,
    bisect,
    quarantine,
    requeue,
    tell_failure,
)
from yeban.database.engine import Database
from yeban.database.tables.states import JobState
from yeban.errors import msg
from yeban.messaging.queues import TaskSender
from yeban.telemetry import metrics

log = logging.getLogger(__name__)

_BATCH = 100


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What one sweep changed."""

    started: int
    expired_jobs: int
    cancelled: int
    lost_leases: int
    lost_hints: int
    hinted: int


def sweep(database: Database, sender: TaskSender, *, hint_ttl_s: float) -> Swept:
    """One round over all jobs.

    Raises :class:`~yeban.errors.ServiceUnavailable` if the database is away.
    """
    started = _start_due_jobs(database)
    expired_jobs = _expire_jobs(database)
    lost_leases = _end_lost_leases(database)
    cancelled = _end_cancelled_jobs(database)
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
        # Redis lost them, or the workers are slower than the hints' time to live; sending them again does no harm.
        log.info("hints sent again", extra={"chunk_count": lost_hints})
    _count(swept)
    return swept


def end_finished_jobs(database: Database, end_job: Callable[[int], bool]) -> int:
    """End the jobs all of whose rows are scored and that nobody is ending, by ``end_job``; returns how many.

    Not a part of :func:`sweep`: the end of a large job takes up to a minute, and leases run out meanwhile.
    """
    return sum(end_job(job_id) for job_id in _finished_jobs(database))


def _count(swept: Swept) -> None:
    metrics.LEASES_EXPIRED.inc(swept.lost_leases)
    metrics.HINTS_LOST.inc(swept.lost_hints)
    metrics.JOBS_ENDED.labels(state=JobState.EXPIRED.value).inc(swept.expired_jobs)
    metrics.JOBS_ENDED.labels(state=JobState.CANCELLED.value).inc(swept.cancelled)


def _start_due_jobs(database: Database) -> int:
    return _change(
        database,
        "UPDATE job SET state = 'queued', queued_at = now()"
        " WHERE state = 'scheduled' AND (start_at IS NULL OR start_at <= now())",
    )


def _expire_jobs(database: Database) -> int:
    return _change(
        database,
        "UPDATE job SET state = 'expired', ended_at = now()"
        " WHERE state IN ('scheduled', 'queued', 'running', 'paused') AND expires_at <= now()",
    )


def _end_lost_leases(database: Database) -> int:
    """Queue chunks whose worker vanished; one that keeps losing workers is taken apart."""
    with database.begin() as connection:
        lost = connection.execute(
            text(
                "SELECT id, attempt, last_row - first_row + 1 AS rows FROM chunk"
                # None reaches that far ahead; where one does, the clock was set back: see moments.
                " WHERE state = 'leased' AND (lease_until < now() OR lease_until > now() + interval '15 minutes')"
                " ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED"
            ),
            {"batch": _BATCH},
        ).all()
        taken_apart: list[tuple[int, FailureAction]] = []
        for chunk in lost:
            reason = str(msg("its worker was lost %(attempt)s times", attempt=chunk.attempt))
            if chunk.rows > 1 and chunk.attempt >= MAX_LOST_LEASES:
                bisect(connection, chunk.id, reason)
                taken_apart.append((chunk.id, FailureAction.BISECTED))
            elif chunk.rows == 1 and chunk.attempt >= MAX_LOST_LEASES_ROW:
                quarantine(connection, chunk.id, reason)
                taken_apart.append((chunk.id, FailureAction.QUARANTINED))
            else:
                requeue(connection, chunk.id, reason)
    for chunk_id, action in taken_apart:
        tell_failure(chunk_id, action)
    return len(lost)


def _end_cancelled_jobs(database: Database) -> int:
    return _change(
        database,
        "UPDATE job SET state = 'cancelled', ended_at = now() WHERE state = 'cancelling'"
        " AND NOT EXISTS (SELECT FROM chunk WHERE job_id = job.id AND state = 'leased')",
    )


def _forget_lost_hints(database: Database, hint_ttl_s: float) -> int:
    """Hints nobody acted on: Redis may have lost them. Hinting a chunk twice is harmless."""
    return _change(
        database,
        "WITH lost AS (SELECT id FROM chunk WHERE state = 'queued'"
        " AND (hinted_at < now() - make_interval(secs => :ttl) OR hinted_at > now() + interval '15 minutes')"
        " ORDER BY id FOR UPDATE SKIP LOCKED)"
        " UPDATE chunk SET hinted_at = NULL FROM lost WHERE chunk.id = lost.id",
        ttl=hint_ttl_s,
    )


def _finished_jobs(database: Database) -> list[int]:
    with database.begin() as connection:
        return list(
            connection.scalars(
                text(
                    "SELECT id FROM job WHERE state IN ('queued', 'running', 'finishing')"  # noqa: S608  # a constant
                    f" AND {END_IS_FREE}"
                    " AND NOT EXISTS (SELECT FROM chunk WHERE job_id = job.id AND state <> 'done') ORDER BY id"
                )
            )
        )


def _forget_dead_workers(database: Database) -> None:
    _change(database, "DELETE FROM worker WHERE seen_at < now() - interval '1 day'")


def _change(database: Database, statement: str, **values: object) -> int:
    """Run one statement in a transaction of its own; returns how many rows it changed."""
    with database.begin() as connection:
        return connection.execute(text(statement), values).rowcount
