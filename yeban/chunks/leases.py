"""Claiming chunks under a lease, keeping the lease, and giving chunks back."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from yeban.chunks.clock import PAUSE_OVER
from yeban.database.engine import Database


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """One claimed chunk. Whoever finishes it must still hold ``token``."""

    chunk_id: int
    token: uuid.UUID
    attempt: int  # 1 for the first claim
    first_row: int
    last_row: int
    job_id: int
    label_set: dict[str, Any]
    model: str
    model_fingerprint: str | None
    refine: bool  # whether the job's end will ask for embeddings

    @property
    def rows(self) -> int:
        return self.last_row - self.first_row + 1

    @property
    def key(self) -> tuple[int, uuid.UUID]:
        """What tells this lease from every other, also from others of its chunk."""
        return self.chunk_id, self.token


@dataclass(frozen=True, slots=True)
class StoredRow:
    """What a worker needs of a row."""

    row_no: int
    text: str
    problem: str | None


# The job is locked too, and first: pausing, cancelling and resuming it wait until the claim is committed, and then see
# it, or the claim sees what they did. Claims of one job do not wait for one another, nor for its results.
_CLAIM = text(
    f"""
    WITH picked AS (
        SELECT chunk.id FROM chunk JOIN job ON job.id = chunk.job_id
        WHERE chunk.id = ANY(:ids) AND chunk.state = 'queued'
          AND {PAUSE_OVER}
          AND job.state IN ('queued', 'running')
        ORDER BY chunk.id FOR KEY SHARE OF job FOR UPDATE OF chunk SKIP LOCKED
    )
    UPDATE chunk SET state = 'leased', lease_token = :token, worker_id = :worker, attempt = attempt + 1,
        lease_until = now() + make_interval(secs => :lease_s)
    FROM picked, job
    WHERE chunk.id = picked.id AND job.id = chunk.job_id
    RETURNING chunk.id, chunk.attempt, chunk.first_row, chunk.last_row, chunk.job_id,
        job.state, job.label_set, job.model, job.model_fingerprint, job.refine
    """  # noqa: S608  # a constant
)


# Locked in id order, as everywhere, so that it cannot deadlock with whoever renews or finishes the same chunks.
_HELD = text(
    """
    SELECT chunk.id, chunk.lease_token AS token, job.state IN ('queued', 'running') AS wanted
    FROM chunk JOIN job ON job.id = chunk.job_id
    WHERE (chunk.id, chunk.lease_token) IN (
            SELECT * FROM unnest(CAST(:ids AS bigint[]), CAST(:tokens AS uuid[])))
        AND chunk.state = 'leased'
    ORDER BY chunk.id FOR UPDATE OF chunk
    """
)


_RELEASE = text(
    """
    WITH held AS (
        SELECT id FROM chunk
        WHERE (id, lease_token) IN (SELECT * FROM unnest(CAST(:ids AS bigint[]), CAST(:tokens AS uuid[])))
            AND state = 'leased'
        ORDER BY id FOR UPDATE
    )
    UPDATE chunk SET state = 'queued', attempt = attempt - 1, lease_token = NULL, lease_until = NULL,
        worker_id = NULL, hinted_at = NULL, not_before = now() + make_interval(secs => :delay_s)
    FROM held WHERE chunk.id = held.id
    """
)


_ROWS = text(
    """
    SELECT chunk.id, "row".row_no, "row".text, "row".problem
    FROM chunk JOIN "row" ON "row".job_id = chunk.job_id AND "row".row_no BETWEEN chunk.first_row AND chunk.last_row
    WHERE chunk.id = ANY(:ids) ORDER BY chunk.id, "row".row_no
    """
)


def claim(database: Database, chunk_ids: Sequence[int], *, worker_id: uuid.UUID, lease_s: float) -> list[Lease]:
    """Take the queued chunks among ``chunk_ids`` of active jobs, under one fresh token, in id order.

    What is not returned is done, someone else's, or not wanted now: drop its message.
    """
    token = uuid.uuid4()
    with database.begin() as connection:
        taken = connection.execute(
            _CLAIM, {"ids": list(chunk_ids), "token": token, "worker": worker_id, "lease_s": lease_s}
        ).all()
        started = sorted({row.job_id for row in taken if row.state == "queued"})
        if started:
            connection.execute(
                text(
                    "UPDATE job SET state = 'running', running_at = coalesce(running_at, now())"
                    " WHERE id = ANY(:ids) AND state = 'queued'"
                ),
                {"ids": started},
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
    """Extend the leases that are still ours, by the database's clock."""
    if not tokens:
        return
    with database.begin() as connection:
        connection.execute(
            text(
                # Locked in id order, as everywhere, so that a finish of the same chunks cannot deadlock with it.
                "WITH held AS (SELECT id FROM chunk WHERE state = 'leased' AND lease_token = ANY(:tokens)"
                " ORDER BY id FOR UPDATE)"
                " UPDATE chunk SET lease_until = now() + make_interval(secs => :lease_s)"
                " FROM held WHERE chunk.id = held.id"
            ),
            {"tokens": list(tokens), "lease_s": lease_s},
        )


def release(database: Database, leases: Sequence[Lease], *, delay_s: float = 0.0) -> None:
    """Give chunks back untried (the attempt is not counted), to be claimed after ``delay_s``."""
    if not leases:
        return
    with database.begin() as connection:
        connection.execute(_RELEASE, _identified(leases) | {"delay_s": delay_s})


def keep_wanted(database: Database, leases: Sequence[Lease]) -> list[Lease]:
    """The leases among ``leases`` that are still ours and of jobs still active.

    Chunks of a job that was paused, cancelled or ended meanwhile are given back untried.
    """
    if not leases:
        return []
    with database.begin() as connection:
        held = connection.execute(_HELD, _identified(leases))
        wanted = {(row.id, row.token): bool(row.wanted) for row in held}
        unwanted = [lease for lease in leases if wanted.get(lease.key) is False]
        if unwanted:
            connection.execute(_RELEASE, _identified(unwanted) | {"delay_s": 0.0})
    return [lease for lease in leases if wanted.get(lease.key)]


def _identified(leases: Sequence[Lease]) -> dict[str, Any]:
    return {"ids": [lease.chunk_id for lease in leases], "tokens": [lease.token for lease in leases]}


def pin_model(database: Database, job_id: int, fingerprint: str) -> str:
    """Bind a job to the model that scores its first chunk; returns the fingerprint it is bound to."""
    with database.begin() as connection:
        connection.execute(
            text("UPDATE job SET model_fingerprint = :fingerprint WHERE id = :id AND model_fingerprint IS NULL"),
            {"id": job_id, "fingerprint": fingerprint},
        )
        return str(connection.scalar(text("SELECT model_fingerprint FROM job WHERE id = :id"), {"id": job_id}))


def read_rows(database: Database, leases: Sequence[Lease]) -> dict[int, list[StoredRow]]:
    """The rows of claimed chunks, by chunk id, each in row order; one query for all."""
    found: dict[int, list[StoredRow]] = {lease.chunk_id: [] for lease in leases}
    with database.begin() as connection:
        rows = connection.execute(_ROWS, {"ids": list(found)})
        for chunk_id, row_no, content, problem in rows:
            found[chunk_id].append(StoredRow(row_no, content, problem))
    return found
