"""Deleting jobs and what they hold. A deleted job is hidden at once and removed later, in small transactions.

A million rows deleted in one transaction would hold its locks for minutes and leave the log to catch up with. In
batches, nobody notices.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, text

from yeban.accounts.viewer import Viewer
from yeban.chunks.clock import GRACE_OVER
from yeban.database.engine import Database
from yeban.database.tables.states import ENDED
from yeban.errors import Conflict, msg
from yeban.jobs.locking import lock_job

log = logging.getLogger(__name__)

#: Seconds between hiding a job and removing it, so that downloads that have begun can end.
GRACE_S = 600.0

_BATCH_ROWS = 2_000
_BATCH_EMBEDDINGS = 200  # of a chunk each, about 50 kB

_ENDED = [state.value for state in sorted(ENDED)]
_HIDE = "UPDATE job SET deleted_at = now(), idempotency_key = NULL"


def delete_job(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> None:
    """Delete an ended job with its rows and results. Raises ``NotFound``, and ``Conflict`` for one that may go on."""
    with database.begin() as connection:
        job = lock_job(connection, public_id, viewer=viewer)
        if job.state not in ENDED:
            raise Conflict(
                msg("A job that is %(state)s cannot be deleted; cancel it first.", state=job.state), state=job.state
            )
        connection.execute(text(f"{_HIDE} WHERE id = :id"), {"id": job.id})
    log.info("job deleted", extra={"job": job.id, "public_id": str(public_id)})


def delete_old_jobs(database: Database, days: float) -> int:
    """Delete the jobs that ended more than ``days`` ago; returns how many."""
    with database.begin() as connection:
        deleted = connection.execute(
            text(
                f"{_HIDE} WHERE deleted_at IS NULL AND state = ANY(:ended)"
                " AND ended_at < now() - make_interval(secs => :seconds)"
            ),
            {"ended": _ENDED, "seconds": days * 86_400},
        ).rowcount
    if deleted:
        log.info("old jobs deleted", extra={"jobs": deleted})
    return deleted


def forget_embeddings(database: Database, days: float, *, wanted: Callable[[], bool] = lambda: True) -> int:
    """Remove the embeddings of jobs that ended more than ``days`` ago, which can then not be refined again.

    Ends early once ``wanted()`` is false. Returns how many chunks had some.
    """
    forgotten = 0
    while wanted():
        with database.begin() as connection:
            removed = connection.execute(
                text(
                    """
                    WITH old AS (
                        SELECT id FROM job WHERE state = ANY(:ended) AND deleted_at IS NULL
                            AND ended_at < now() - make_interval(secs => :seconds)
                            AND EXISTS (SELECT FROM embedding WHERE job_id = job.id)
                        ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
                    ), batch AS (
                        SELECT job_id, first_row FROM embedding JOIN old ON old.id = job_id
                        ORDER BY first_row LIMIT :batch
                    )
                    DELETE FROM embedding USING batch
                    WHERE embedding.job_id = batch.job_id AND embedding.first_row = batch.first_row
                    """
                ),
                {"ended": _ENDED, "seconds": days * 86_400, "batch": _BATCH_EMBEDDINGS},
            ).rowcount
        if removed == 0:
            break
        forgotten += removed
    return forgotten


def purge(database: Database, *, grace_s: float = GRACE_S, wanted: Callable[[], bool] = lambda: True) -> int:
    """Remove what deleted jobs hold, and then the jobs; returns how many jobs are gone.

    Any number of processes may be at it: each takes other jobs. It ends early once ``wanted()`` is false, and the next
    call goes on where it stopped.
    """
    gone, at = 0, _Place()
    while wanted():
        with database.begin() as connection:
            job_id = connection.scalar(
                text(
                    f"SELECT id FROM job WHERE {GRACE_OVER} AND id >= :from"  # noqa: S608  # a constant
                    # Not FOR UPDATE: a worker that still finishes a chunk would wait for it, and we for the worker.
                    " ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED"
                ),
                {"grace_s": grace_s, "from": at.job_id},
            )
            if job_id is None:
                break
            if job_id != at.job_id:
                at = _Place(job_id=job_id)
            last = _remove_batch(connection, at)
            gone += last is None
            at = _Place(job_id=job_id + 1) if last is None else _Place(job_id=job_id, row_no=last)
    if gone:
        log.info("deleted jobs removed", extra={"jobs": gone})
    return gone


@dataclass(frozen=True, kw_only=True)
class _Place:
    """How far a purge has come: the job it is at, and the last of its rows that is removed."""

    job_id: int = 0
    row_no: int = 0


def _remove_batch(connection: Connection, at: _Place) -> int | None:
    """Remove some rows and what belongs to them, or the job when no row is left; returns the last row, or None."""
    # From where the last batch ended: the index still holds what was deleted before.
    first: int | None = connection.scalar(
        text('SELECT min(row_no) FROM "row" WHERE job_id = :id AND row_no > :after'),
        {"id": at.job_id, "after": at.row_no},
    )
    if first is None:
        connection.execute(text("DELETE FROM job WHERE id = :id"), {"id": at.job_id})
        return None
    last = first + _BATCH_ROWS - 1
    for statement in _REMOVE:
        connection.execute(statement, {"id": at.job_id, "last": last})
    return last


_REMOVE = [
    text("DELETE FROM correction WHERE job_id = :id AND row_no <= :last"),
    text("DELETE FROM refined WHERE job_id = :id AND row_no <= :last"),
    text("DELETE FROM result WHERE job_id = :id AND row_no <= :last"),
    text("DELETE FROM embedding WHERE job_id = :id AND first_row <= :last"),
    text("DELETE FROM chunk WHERE job_id = :id AND first_row <= :last"),
    text('DELETE FROM "row" WHERE job_id = :id AND row_no <= :last'),
]
