"""Live workers and the models they serve, from their heartbeats."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from yeban.database.engine import Database
from yeban.database.tables import Worker

#: A heartbeat older than this is a dead worker's.
WORKER_TIMEOUT_S = 30.0


@dataclass(frozen=True, kw_only=True)
class WorkerInfo:
    """One worker process.

    ``models`` has one JSON object for each loaded model (name, fingerprint, precision, …). ``cache`` has the counters
    of each layer of each store since the process started: ``{"pairs": {"memory": {"hits": …, "misses": …}, …}, …}``.
    """

    id: uuid.UUID
    role: str
    host: str
    pid: int
    models: Sequence[dict[str, Any]]
    window: int  # chunks it keeps busy with at a time
    cache: dict[str, Any] = field(default_factory=dict)


def beat(database: Database, worker: WorkerInfo) -> None:
    """Record a heartbeat."""
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
            statement.on_conflict_do_update(index_elements=["id"], set_={**values, "seen_at": func.now()})
        )


def leave(database: Database, worker_id: uuid.UUID) -> None:
    """Remove a worker that stops in order."""
    with database.begin() as connection:
        connection.execute(delete(Worker).where(Worker.id == worker_id))


def live_workers(database: Database) -> list[WorkerInfo]:
    """Read the workers whose last heartbeat is recent, oldest first."""
    with database.begin() as connection:
        rows = connection.execute(
            select(*(getattr(Worker, field.name) for field in fields(WorkerInfo)))
            .where(Worker.seen_at > func.now() - timedelta(seconds=WORKER_TIMEOUT_S))
            .order_by(Worker.started_at, Worker.id)
        )
        return [WorkerInfo(**row._mapping) for row in rows]
