"""What a person may do to a job: pause, resume, cancel. Finished rows survive all of it."""

from __future__ import annotations

import logging
import uuid

from sqlalchemy import text

from yeban.accounts.viewer import Viewer
from yeban.database.engine import Database
from yeban.database.tables.states import CANCELLABLE, ENDED, PAUSABLE, RESUMABLE, JobState
from yeban.errors import Conflict, msg
from yeban.jobs.locking import lock_job
from yeban.telemetry import metrics

log = logging.getLogger(__name__)

# The sweep ends the job then. The job's lock has waited for every claim that was being committed.
_IS_WORKED_ON = "EXISTS (SELECT FROM chunk WHERE job_id = job.id AND state = 'leased')"


def pause(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> None:
    """Claim nothing more of this job until it is resumed; what is claimed now finishes.

    Pausing a paused job changes nothing. Raises ``NotFound``, ``Conflict``.
    """
    _change(
        database,
        public_id,
        viewer,
        verb="pause",
        done={JobState.PAUSED},
        allowed=PAUSABLE,
        statement="UPDATE job SET state = 'paused', paused_at = now() WHERE id = :id RETURNING state",
    )


def cancel(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> None:
    """Stop a job for good, keeping its finished rows; cancelled at once, or when claimed chunks have ended.

    Cancelling twice changes nothing. Raises ``NotFound``, ``Conflict``.
    """
    _change(
        database,
        public_id,
        viewer,
        verb="cancel",
        done={JobState.CANCELLING, JobState.CANCELLED},
        allowed=CANCELLABLE,
        statement=(
            f"UPDATE job SET state = CASE WHEN {_IS_WORKED_ON} THEN 'cancelling' ELSE 'cancelled' END,"  # noqa: S608
            f" cancelling_at = now(), ended_at = CASE WHEN {_IS_WORKED_ON} THEN NULL ELSE now() END"
            " WHERE id = :id RETURNING state"
        ),
    )


def resume(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> None:
    """Take a stopped job up again; only rows without a result are run.

    Resuming an active job changes nothing. Raises ``NotFound``, and ``Conflict`` for a completed job.
    """
    _change(
        database,
        public_id,
        viewer,
        verb="resume",
        done={JobState.QUEUED, JobState.RUNNING, JobState.SCHEDULED},
        allowed=RESUMABLE,
        statement=(
            "UPDATE job SET state = CASE WHEN start_at > now() THEN 'scheduled' ELSE 'queued' END, queued_at = now(),"
            " ended_at = NULL, announced_at = NULL, error = NULL, summary = NULL,"
            " expires_at = CASE WHEN expires_at > now() THEN expires_at END WHERE id = :id RETURNING state"
        ),
        # The messages sent before were dropped while the job stood still: hint anew at once. And what failed before
        # gets a full set of attempts, since a person has presumably mended something.
        also=(
            "UPDATE chunk SET hinted_at = NULL, not_before = NULL, attempt = 0 WHERE job_id = :id AND state = 'queued'"
        ),
    )


def fail_job(database: Database, job_id: int, reason: str) -> None:
    """End an active job that cannot go on; finished rows are kept and it may be resumed.

    As with a job that expires, chunks that are claimed may still be finished, and then count as done.
    """
    with database.begin() as connection:
        failed = connection.execute(
            text(
                "UPDATE job SET state = 'failed', error = :reason, ended_at = now()"
                " WHERE id = :id AND state IN ('queued', 'running')"
            ),
            {"id": job_id, "reason": reason},
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
    statement: str,
    also: str | None = None,
) -> None:
    with database.begin() as connection:
        job = lock_job(connection, public_id, viewer=viewer)
        state = job.state
        if state in done:
            return
        if state not in allowed:
            raise Conflict(
                msg("A job that is %(state)s %(cannot)s.", state=state.value, cannot=_CANNOT[verb]), state=state.value
            )
        state = JobState(connection.scalar(text(statement), {"id": job.id}))
        if also is not None:
            connection.execute(text(also), {"id": job.id})
    if state in ENDED:
        metrics.JOBS_ENDED.labels(state=state.value).inc()
    log.info("job changed", extra={"job": job.id, "state": state.value})


_CANNOT = {
    "pause": msg("cannot be paused"),
    "cancel": msg("cannot be cancelled"),
    "resume": msg("cannot be resumed"),
}
