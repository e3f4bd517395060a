"""Hints: which chunks the queue should hold next.

Only a window of chunks is outstanding at a time, filled in turns across jobs, so that a small job is
not stuck behind a million rows, a cancelled job leaves little behind, and Redis stays small.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqlalchemy import text

from yeban.chunks.clock import PAUSE_OVER
from yeban.chunks.workers import WORKER_TIMEOUT_S
from yeban.database.engine import Database
from yeban.messaging.queues import SEND_ERRORS, TaskSender
from yeban.telemetry import metrics

log = logging.getLogger(__name__)

#: Chunks outstanding when no worker has reported yet.
MIN_WINDOW = 16

# One process fills the window at a time; the others have nothing to add.
_LOCK = 0x59454248

_WINDOW = text(
    'SELECT greatest(:least, 2 * coalesce(sum("window"), 0))::int FROM worker'
    " WHERE role = 'bulk' AND seen_at > now() - make_interval(secs => :timeout)"
)

# `turn` is a chunk's place in its own job's line, counting what the job already has outstanding:
# taking the lowest turns first gives every job the same share of the window.
_TAKE = text(
    f"""
    WITH outstanding AS (
        SELECT job_id, count(*) AS held FROM chunk
        WHERE state = 'leased' OR (state = 'queued' AND hinted_at IS NOT NULL)
        GROUP BY job_id
    ), line AS (
        SELECT next.id, coalesce(outstanding.held, 0) + next.place AS turn
        FROM job
        LEFT JOIN outstanding ON outstanding.job_id = job.id
        CROSS JOIN LATERAL (
            SELECT id, row_number() OVER (ORDER BY id) AS place FROM chunk
            WHERE job_id = job.id AND state = 'queued' AND hinted_at IS NULL
              AND {PAUSE_OVER}
            ORDER BY id LIMIT :window
        ) AS next
        WHERE job.state IN ('queued', 'running')
    ), free AS (
        SELECT greatest(:window - coalesce((
            SELECT sum(outstanding.held) FROM outstanding JOIN job ON job.id = outstanding.job_id
            WHERE job.state IN ('queued', 'running')), 0), 0) AS places
    ), taken AS (
        SELECT id FROM line ORDER BY turn, id LIMIT (SELECT places FROM free)
    )
    UPDATE chunk SET hinted_at = now() FROM taken
    WHERE chunk.id = taken.id AND chunk.state = 'queued' AND chunk.hinted_at IS NULL
    RETURNING chunk.id
    """  # noqa: S608  # a constant
)


def take_hints(database: Database) -> list[int]:
    """Mark the chunks that should be hinted now and return their ids, oldest first; ``[]`` if the window is full."""
    with database.begin() as connection:
        if not connection.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}):
            return []
        window = connection.scalar(_WINDOW, {"least": MIN_WINDOW, "timeout": WORKER_TIMEOUT_S})
        return sorted(connection.scalars(_TAKE, {"window": window}))


def drop_hints(database: Database, chunk_ids: Sequence[int]) -> None:
    """Forget hints that could not be sent, so that the next round sends them."""
    with database.begin() as connection:
        connection.execute(
            text("UPDATE chunk SET hinted_at = NULL WHERE id = ANY(:ids) AND state = 'queued'"),
            {"ids": list(chunk_ids)},
        )


def top_up(database: Database, sender: TaskSender) -> int:
    """Fill the window. A failed send is no error: the chunks stay queued and are hinted again later.

    Returns how many hints were sent. Raises :class:`~yeban.errors.ServiceUnavailable` if the database is away.
    """
    chunk_ids = take_hints(database)
    if not chunk_ids:
        return 0
    try:
        sender.hint_chunks(chunk_ids)
    except SEND_ERRORS as error:
        log.warning("hints not sent, will retry", extra={"chunk_count": len(chunk_ids), "error": str(error)})
        drop_hints(database, chunk_ids)
        return 0
    metrics.HINTS_SENT.inc(len(chunk_ids))
    return len(chunk_ids)
