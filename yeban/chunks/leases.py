"""Leases: claim chunks, renew their leases, and release them."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import and_, func, select, update

from yeban.chunks import queries
from yeban.database.engine import Database
from yeban.database.tables import Chunk, Job, Row
from yeban.database.tables.states import ChunkState, JobState, constant
from yeban.errors import Message, stored_message


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """A claimed chunk. Its results are stored only while ``token`` still holds."""

    chunk_id: int
    token: uuid.UUID
    attempt: int  # 1 for the first claim
    first_row: int
    last_row: int
    job_id: int
    label_set: dict[str, Any]
    model: str
    model_fingerprint: str | None
    refine: bool  # the job's completion needs embeddings

    @property
    def rows(self) -> int:
        return self.last_row - self.first_row + 1

    @property
    def key(self) -> tuple[int, uuid.UUID]:
        """Identifies this lease among all leases, those of the same chunk included."""
        return self.chunk_id, self.token


@dataclass(frozen=True, slots=True)
class StoredRow:
    """The part of a row that a worker reads."""

    row_no: int
    text: str
    problem: Message | None


def claim(database: Database, chunk_ids: Sequence[int], *, worker_id: uuid.UUID, lease_s: float) -> list[Lease]:
    """Lease the queued chunks among ``chunk_ids`` of active jobs, under one fresh token, in the order of ids.

    Chunks not returned are finished, leased elsewhere, paused after a failure, or belong to an inactive job. Drop
    their messages.
    """
    token = uuid.uuid4()
    with database.begin() as connection:
        taken = connection.execute(
            queries.CLAIM, {"ids": list(chunk_ids), "token": token, "worker": worker_id, "lease_s": lease_s}
        ).all()
        started = sorted({row.job_id for row in taken if row.state == JobState.QUEUED})
        if started:
            connection.execute(
                update(Job)
                .where(Job.id.in_(started), Job.state == constant(JobState.QUEUED))
                .values(state=JobState.RUNNING, running_at=func.coalesce(Job.running_at, func.now()))
            )
    return [
        Lease(
            chunk_id=row.id,
            token=token,
            attempt=row.attempt,
            first_row=row.first_row,
            last_row=row.last_row,
            job_id=row.job_id,
            label_set=row.label_set,
            model=row.model,
            model_fingerprint=row.model_fingerprint,
            refine=row.refine,
        )
        for row in sorted(taken, key=lambda row: int(row.id))
    ]


def renew(database: Database, tokens: Collection[uuid.UUID], *, lease_s: float) -> None:
    """Extend the leases that still hold, by the database's clock."""
    if not tokens:
        return
    held = (
        select(Chunk.id)
        .where(Chunk.state == constant(ChunkState.LEASED), Chunk.lease_token.in_(tokens))
        # In the order of ids, so that finishing the same chunks cannot deadlock with it.
        .order_by(Chunk.id)
        .with_for_update()
        .cte("held")
    )
    with database.begin() as connection:
        connection.execute(
            update(Chunk).where(Chunk.id == held.c.id).values(lease_until=func.now() + timedelta(seconds=lease_s))
        )


def release(database: Database, leases: Sequence[Lease], *, delay_s: float = 0.0) -> None:
    """Queue chunks again without counting the attempt, to be claimed after ``delay_s`` seconds."""
    if not leases:
        return
    with database.begin() as connection:
        connection.execute(queries.RELEASE, _identified(leases) | {"delay_s": delay_s})


def keep_wanted(database: Database, leases: Sequence[Lease]) -> list[Lease]:
    """Return the leases that still hold and whose jobs are still active.

    Chunks of a job that was paused, cancelled or failed meanwhile are released.
    """
    if not leases:
        return []
    with database.begin() as connection:
        held = connection.execute(queries.HELD, _identified(leases))
        wanted = {(row.id, row.token): bool(row.wanted) for row in held}
        unwanted = [lease for lease in leases if wanted.get(lease.key) is False]
        if unwanted:
            connection.execute(queries.RELEASE, _identified(unwanted) | {"delay_s": 0.0})
    return [lease for lease in leases if wanted.get(lease.key)]


def _identified(leases: Sequence[Lease]) -> dict[str, Any]:
    return {"ids": [lease.chunk_id for lease in leases], "tokens": [lease.token for lease in leases]}


def pin_model(database: Database, job_id: int, fingerprint: str) -> str:
    """Bind a job to the model that scores its first chunk; return the fingerprint that the job is bound to."""
    with database.begin() as connection:
        connection.execute(
            update(Job).where(Job.id == job_id, Job.model_fingerprint.is_(None)).values(model_fingerprint=fingerprint)
        )
        return str(connection.scalar(select(Job.model_fingerprint).where(Job.id == job_id)))


def read_rows(database: Database, leases: Sequence[Lease]) -> dict[int, list[StoredRow]]:
    """Read the rows of claimed chunks, by chunk id, each in row order, with one query."""
    found: dict[int, list[StoredRow]] = {lease.chunk_id: [] for lease in leases}
    with database.begin() as connection:
        rows = connection.execute(
            select(Chunk.id, Row.row_no, Row.text, Row.problem)
            .join(Row, and_(Row.job_id == Chunk.job_id, Row.row_no.between(Chunk.first_row, Chunk.last_row)))
            .where(Chunk.id.in_(found))
            .order_by(Chunk.id, Row.row_no)
        )
        for chunk_id, row_no, content, problem in rows:
            found[chunk_id].append(StoredRow(row_no, content, stored_message(problem)))
    return found
