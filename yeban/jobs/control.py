"""Control of jobs by people: pause, resume, cancel. Finished rows are always kept."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from sqlalchemy import case, exists, func, null, update

from yeban.accounts.viewer import Viewer
from yeban.database.engine import Database
from yeban.database.tables import Chunk, Job
from yeban.database.tables.states import (
    ACTIVE,
    CANCELLABLE,
    FINISHED,
    PAUSABLE,
    RESUMABLE,
    ChunkState,
    JobState,
    constant,
    constants,
)
from yeban.errors import Conflict, Message, msg
from yeban.jobs.locking import lock_job
from yeban.telemetry import metrics

log = logging.getLogger(__name__)


def pause(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> None:
    """Stop claiming chunks of a job until it is resumed; claimed chunks finish.

    Pausing a paused job changes nothing. Raises ``NotFound``, ``Conflict``.
    """
    _change(
        database,
        public_id,
        viewer,
        verb="pause",
        done={JobState.PAUSED},
        allowed=PAUSABLE,
        values={"state": JobState.PAUSED, "paused_at": func.now()},
    )


def cancel(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> None:
    """Cancel a job and keep its finished rows; claimed chunks finish first.

    Cancelling twice changes nothing. Raises ``NotFound``, ``Conflict``.
    """
    # The sweep finishes the cancellation of a job with leased chunks. The lock has waited for claims in progress.
    leased = exists().where(Chunk.job_id == Job.id, Chunk.state == constant(ChunkState.LEASED))
    _change(
        database,
        public_id,
        viewer,
        verb="cancel",
        done={JobState.CANCELLING, JobState.CANCELLED},
        allowed=CANCELLABLE,
        values={
            "state": case((leased, JobState.CANCELLING.value), else_=JobState.CANCELLED.value),
            "cancelling_at": func.now(),
            "ended_at": case((leased, None), else_=func.now()),
        },
    )


def resume(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> None:
    """Resume a stopped job; only rows without a result are scored.

    Resuming an active job changes nothing. Raises ``NotFound``, and ``Conflict`` for a completed job.
    """
    _change(
        database,
        public_id,
        viewer,
        verb="resume",
        done={JobState.QUEUED, JobState.RUNNING, JobState.SCHEDULED},
        allowed=RESUMABLE,
        values={
            "state": case((Job.start_at > func.now(), JobState.SCHEDULED.value), else_=JobState.QUEUED.value),
            "queued_at": func.now(),
            "ended_at": None,
            "announced_at": None,
            "error": None,
            "summary": null(),
            "expires_at": case((Job.expires_at > func.now(), Job.expires_at)),
        },
        # Messages sent before were dropped while the job was stopped, so hint again at once. Failed chunks get a full
        # set of attempts, since a person has presumably fixed the cause.
        chunk_values={"hinted_at": None, "not_before": None, "attempt": 0},
    )


def fail_job(database: Database, job_id: int, reason: Message) -> None:
    """Fail an active job; finished rows are kept, and the job can be resumed.

    Claimed chunks may still finish and then count as done, as in a job that expires.
    """
    with database.begin() as connection:
        failed = connection.execute(
            update(Job)
            .where(Job.id == job_id, Job.state.in_(constants(ACTIVE)))
            .values(state=JobState.FAILED, error=reason.to_json(), ended_at=func.now())
        )
    metrics.JOBS_ENDED.labels(state=JobState.FAILED.value).inc(failed.rowcount)


def _change(
    database: Database,
    public_id: uuid.UUID,
    viewer: Viewer,
    *,
    verb: str,
    done: set[JobState],
    allowed: frozenset[JobState],
    values: dict[str, Any],
    chunk_values: dict[str, Any] | None = None,
) -> None:
    with database.begin() as connection:
        job = lock_job(connection, public_id, viewer=viewer)
        state = job.state
        if state in done:
            return
        if state not in allowed:
            raise Conflict(_refusal(verb, state), state=state.value)
        state = JobState(
            connection.scalars(update(Job).where(Job.id == job.id).values(values).returning(Job.state)).one()
        )
        if chunk_values is not None:
            queued = Chunk.state == constant(ChunkState.QUEUED)
            connection.execute(update(Chunk).where(Chunk.job_id == job.id, queued).values(chunk_values))
    if state in FINISHED:
        metrics.JOBS_ENDED.labels(state=state.value).inc()
    log.info("job changed", extra={"job": job.id, "state": state.value})


def _refusal(verb: str, state: JobState) -> Message:
    refusals = {
        "pause": msg("A job that is %(state)s cannot be paused.", state=state.message),
        "cancel": msg("A job that is %(state)s cannot be cancelled.", state=state.message),
        "resume": msg("A job that is %(state)s cannot be resumed.", state=state.message),
    }
    return refusals[verb]
