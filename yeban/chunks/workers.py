"""Which workers are alive, and what they serve, as their heartbeats tell."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from yeban.database.engine import Database
from yeban.database.tables import Worker

#: A heartbeat older than this is a dead worker's.
WORKER_TIMEOUT_S = 30.0


@dataclass(frozen=True, kw_only=True)
class WorkerInfo:
    """One worker process.

    ``models`` holds one JSON object a loaded model (name, fingerprint, precision, …). ``cache`` holds the counters of
    each layer of each store since the process began: ``{"pairs": {"memory": {"hits": …, "misses": …}, …}, …}``.
    """

    id: uuid.UUID
    role: str
    host: str
    pid: int
    models: Sequence[dict[str, Any]]
    window: int  # chunks it keeps busy with at a time
    cache: dict[str, Any] = field(default_factory=dict)


def beat(database: Database, worker: WorkerInfo) -> None:
    """Tell that a worker is alive."""
    values = {
        "role": worker.role,
        "host": worker.host,
        "pid": worker.pid,
        "models": list(worker.models),
        "window": worker.window,
        "cache": worker.cache,
    }
    statement = insert(Worker).values(id=worker.id, **values)
    with database.begin() as connection:
        connection.execute(
            statement.on_conflict_do_update(index_elements=["id"], set_={**values, "seen_at": text("now()")})
        )


def leave(database: Database, worker_id: uuid.UUID) -> None:
    """Tell that a worker has stopped in order."""
    with database.begin() as connection:
        connection.execute(text("DELETE FROM worker WHERE id = :id"), {"id": worker_id})


def live_workers(database: Database) -> list[WorkerInfo]:
    """Workers whose last heartbeat is recent, oldest first."""
    with database.begin() as connection:
        rows = connection.execute(
            text(
                'SELECT id, role, host, pid, models, "window", cache FROM worker'
                " WHERE seen_at > now() - make_interval(secs => :timeout) ORDER BY started_at, id"
            ),
            {"timeout": WORKER_TIMEOUT_S},
        )
        return [WorkerInfo(**row._mapping) for row in rows]
