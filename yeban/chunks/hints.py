"""Hints: messages that name the chunks to claim next.

Only a window of chunks is outstanding at a time, filled in turns across jobs. So a small job does not wait behind a
million rows, a cancelled job leaves few messages behind, and Redis stays small.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqlalchemy import func, select, update

from yeban.chunks import queries
from yeban.chunks.workers import WORKER_TIMEOUT_S
from yeban.database.engine import Database
from yeban.database.tables import Chunk
from yeban.database.tables.states import ChunkState, constant
from yeban.messaging.queues import SEND_ERRORS, TaskSender
from yeban.telemetry import metrics

log = logging.getLogger(__name__)

#: Chunks outstanding while no worker has reported yet.
MIN_WINDOW = 16

# One process fills the window at a time; the others would have nothing to add.
_LOCK = 0x59454248


def take_hints(database: Database) -> list[int]:
    """Mark the chunks to hint now and return their ids, oldest first; ``[]`` if the window is full."""
    with database.begin() as connection:
        if not connection.scalar(select(func.pg_try_advisory_xact_lock(_LOCK))):
            return []
        window = connection.scalar(queries.WINDOW, {"least": MIN_WINDOW, "timeout_s": WORKER_TIMEOUT_S})
        return sorted(connection.scalars(queries.TAKE_HINTS, {"window": window}))


def drop_hints(database: Database, chunk_ids: Sequence[int]) -> None:
    """Forget hints that could not be sent, so that the next round sends them."""
    with database.begin() as connection:
        connection.execute(
            update(Chunk)
            .where(Chunk.id.in_(chunk_ids), Chunk.state == constant(ChunkState.QUEUED))
            .values(hinted_at=None)
        )


def top_up(database: Database, sender: TaskSender) -> int:
    """Fill the window. After a failed send the chunks stay queued and are hinted again later.

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
