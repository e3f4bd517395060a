"""Retention: deleted jobs are hidden at once and removed later, in small transactions.

Deleting a million rows in one transaction would hold its locks for minutes and write its log in one burst.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, select, update
from sqlalchemy.orm import aliased

from yeban.accounts.viewer import Viewer
from yeban.chunks.clock import passed
from yeban.database.engine import Database
from yeban.database.tables import Chunk, Correction, Embedding, Job, Refined, Result, Row
from yeban.database.tables.states import FINISHED, constants
from yeban.errors import Conflict, msg
from yeban.jobs.locking import lock_job

log = logging.getLogger(__name__)

#: Seconds between hiding a job and removing it, so that downloads in progress can finish.
GRACE_S = 600.0

_BATCH_ROWS = 2_000
_BATCH_EMBEDDINGS = 200  # of a chunk each, about 50 kB

_HIDDEN = {"deleted_at": func.now(), "idempotency_key": None}


def delete_job(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> None:
    """Delete a job with its rows and results. Raises ``NotFound``, and ``Conflict`` for an unfinished job."""
    with database.begin() as connection:
        job = lock_job(connection, public_id, viewer=viewer)
        if job.state not in FINISHED:
            raise Conflict(
                msg("A job that is %(state)s cannot be deleted. Cancel it first.", state=job.state.message),
                state=job.state,
            )
        connection.execute(update(Job).where(Job.id == job.id).values(_HIDDEN))
    log.info("job deleted", extra={"job": job.id, "public_id": str(public_id)})


def delete_old_jobs(database: Database, days: float) -> int:
    """Delete the jobs that ended more than ``days`` ago; return their number."""
    with database.begin() as connection:
        deleted = connection.execute(
            update(Job).where(Job.deleted_at.is_(None), _ended_days_ago(days)).values(_HIDDEN)
        ).rowcount
    if deleted:
        log.info("old jobs deleted", extra={"jobs": deleted})
    return deleted


def forget_embeddings(database: Database, days: float, *, wanted: Callable[[], bool] = lambda: True) -> int:
    """Remove the embeddings of jobs that ended more than ``days`` ago; these cannot be refined again.

    Stops early once ``wanted()`` is false. Returns the number of chunks whose embeddings were removed.
    """
    forgotten = 0
    while wanted():
        with database.begin() as connection:
            removed = _forget_batch(connection, days)
        if removed == 0:
            break
        forgotten += removed
    return forgotten


def _ended_days_ago(days: float) -> ColumnElement[bool]:
    return and_(Job.state.in_(constants(FINISHED)), Job.ended_at < func.now() - timedelta(days=days))


def _forget_batch(connection: Connection, days: float) -> int:
    job_id = connection.scalar(
        select(Job.id)
        .where(_ended_days_ago(days), Job.deleted_at.is_(None), exists().where(Embedding.job_id == Job.id))
        .order_by(Job.id)
        .limit(1)
        .with_for_update(key_share=True, skip_locked=True)
    )
    if job_id is None:
        return 0
    kept = aliased(Embedding)
    first_rows = select(kept.first_row).where(kept.job_id == job_id).order_by(kept.first_row).limit(_BATCH_EMBEDDINGS)
    return connection.execute(
        delete(Embedding).where(Embedding.job_id == job_id, Embedding.first_row.in_(first_rows))
    ).rowcount


def purge(database: Database, *, grace_s: float = GRACE_S, wanted: Callable[[], bool] = lambda: True) -> int:
    """Remove deleted jobs and their rows; return the number of jobs removed.

    Any number of processes may run it: each takes other jobs. It stops early once ``wanted()`` is false, and the next
    call continues.
    """
    gone, at = 0, _Place()
    while wanted():
        with database.begin() as connection:
            job_id = connection.scalar(
                select(Job.id)
                .where(passed(Job.deleted_at, by_s=grace_s), Job.id >= at.job_id)
                .order_by(Job.id)
                .limit(1)
                # Not FOR UPDATE, which would deadlock with a worker that finishes one of the job's chunks.
                .with_for_update(key_share=True, skip_locked=True)
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
    """Progress of a purge: the current job, and the last of its rows that was removed."""

    job_id: int = 0
    row_no: int = 0


def _remove_batch(connection: Connection, at: _Place) -> int | None:
    """Remove a batch of rows and their results; return the last row, or None once the job is removed too."""
    # From the end of the last batch on, since the index still holds the rows deleted before.
    first = connection.scalar(select(func.min(Row.row_no)).where(Row.job_id == at.job_id, Row.row_no > at.row_no))
    if first is None:
        connection.execute(delete(Job).where(Job.id == at.job_id))
        return None
    last = int(first) + _BATCH_ROWS - 1
    for table in (Correction, Refined, Result):
        connection.execute(delete(table).where(table.job_id == at.job_id, table.row_no <= last))
    for table_of_chunks in (Embedding, Chunk):
        connection.execute(
            delete(table_of_chunks).where(table_of_chunks.job_id == at.job_id, table_of_chunks.first_row <= last)
        )
    connection.execute(delete(Row).where(Row.job_id == at.job_id, Row.row_no <= last))
    return last
