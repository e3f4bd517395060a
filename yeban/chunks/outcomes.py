"""Outcomes of claimed chunks: results stored, or a failure handled. The lease fences every change."""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import Connection, exists, func, insert, select, update

from yeban.chunks import queries
from yeban.chunks.leases import Lease
from yeban.database.engine import Database, copy_rows
from yeban.database.tables import Chunk, Job, Result
from yeban.database.tables.states import ChunkState, constant
from yeban.errors import Message
from yeban.labels import Status
from yeban.telemetry import metrics

log = logging.getLogger(__name__)

#: From this attempt on a chunk is scored alone.
ALONE_FROM_ATTEMPT = 2
#: Claims after which a chunk that keeps losing its worker is halved.
MAX_LOST_LEASES = 3
#: Claims after which a single row that keeps losing its worker becomes an error result.
MAX_LOST_LEASES_ROW = 5
_RETRY_DELAY_S = 1.0

_UNLEASED = {"lease_token": None, "lease_until": None, "worker_id": None, "hinted_at": None}
_EMBEDDING_COLUMNS = ("job_id", "first_row", "last_row", "encoder", "vectors")
_RESULT_COLUMNS = ("job_id", "row_no", "status", "label", "score", "margin", "scores", "error")


@dataclass(frozen=True, slots=True)
class RowResult:
    """The outcome of one row. ``scores`` are probabilities in label order; ``None`` for an error."""

    row_no: int
    status: Status
    label: int | None = None
    score: float | None = None
    margin: float | None = None
    scores: Sequence[float] | None = None
    error: Message | None = None


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """The packed embeddings of a chunk's rows, in order, and the fingerprint of the model that made them."""

    encoder: str
    vectors: bytes


@dataclass(frozen=True, kw_only=True)
class ChunkOutcome:
    """All results of one claimed chunk, one a row; ``embedded`` is for jobs that are refined."""

    lease: Lease
    results: Sequence[RowResult]
    embedded: Embedded | None = None


class FailureAction(StrEnum):
    """The outcome of a chunk whose scoring failed."""

    RETRIED = "retried"  # queued again, to run alone
    BISECTED = "bisected"  # split in two halves, queued again
    QUARANTINED = "quarantined"  # a single row: stored as an error result
    STALE = "stale"  # the lease no longer held; nothing changed


def finish_chunks(database: Database, outcomes: Sequence[ChunkOutcome]) -> list[int]:
    """Store the results of claimed chunks and mark them done, in one transaction.

    The fence comes first: a chunk whose lease was lost contributes nothing, so a stalled worker cannot mix its
    results in. Returns the ids of the jobs that have no open chunk left, in order.
    """
    with database.begin() as connection:
        kept = _mark_done(connection, outcomes)
        stored = [outcome for outcome in outcomes if outcome.lease.key in kept]
        copy_rows(connection, "result", _RESULT_COLUMNS, _copied(stored))
        copy_rows(connection, "embedding", _EMBEDDING_COLUMNS, _copied_embeddings(stored))
        scored = _scored_jobs(connection, {outcome.lease.job_id for outcome in stored})
    if len(stored) < len(outcomes):
        lost = [outcome.lease.chunk_id for outcome in outcomes if outcome.lease.key not in kept]
        metrics.CHUNKS_LATE.inc(len(lost))
        log.warning("late results dropped, the lease was lost", extra={"chunks": lost})
    _count(stored)
    return scored


def fail_chunk(database: Database, lease: Lease, reason: Message) -> FailureAction:
    """Handle a chunk that the engine could not score: retry it alone, then halve it, then quarantine the row."""
    with database.begin() as connection:
        if not _holds(connection, lease):
            return FailureAction.STALE
        # A row that was just separated from the others is tried once more: the failure may be temporary.
        if lease.attempt < ALONE_FROM_ATTEMPT + (lease.rows == 1):
            requeue(connection, lease.chunk_id, reason, delay_s=_RETRY_DELAY_S)
            action = FailureAction.RETRIED
        elif lease.rows > 1:
            bisect(connection, lease.chunk_id, reason)
            action = FailureAction.BISECTED
        else:
            quarantine(connection, lease.chunk_id, reason)
            action = FailureAction.QUARANTINED
    record_failure(lease.chunk_id, action)
    return action


def defer_chunk(database: Database, lease: Lease, reason: Message, *, delay_s: float) -> None:
    """Requeue a chunk that had no fair attempt; the attempt stays counted."""
    with database.begin() as connection:
        held = _holds(connection, lease)
        if held:
            requeue(connection, lease.chunk_id, reason, delay_s=delay_s)
    if held:
        record_failure(lease.chunk_id, FailureAction.RETRIED)


def record_failure(chunk_id: int, action: FailureAction) -> None:
    """Count and log a failure action once it is committed."""
    match action:
        case FailureAction.RETRIED:
            metrics.CHUNKS_RETRIED.inc()
        case FailureAction.BISECTED:
            metrics.CHUNKS_BISECTED.inc()
        case FailureAction.QUARANTINED:
            metrics.ROWS_QUARANTINED.inc()
            metrics.ROWS.labels(status=Status.ERROR.value).inc()
            # Without the reason, which may quote the row; the row's result has it.
            log.error("row quarantined", extra={"chunk": chunk_id})


def requeue(connection: Connection, chunk_id: int, reason: Message, *, delay_s: float = 0.0) -> None:
    """Queue a locked chunk again; its attempts stay counted."""
    connection.execute(
        update(Chunk)
        .where(Chunk.id == chunk_id)
        .values(
            **_UNLEASED,
            state=ChunkState.QUEUED,
            last_error=reason.to_json(),
            not_before=func.now() + timedelta(seconds=delay_s),
        )
    )


def bisect(connection: Connection, chunk_id: int, reason: Message) -> None:
    """Split a locked chunk into halves that run alone from their first claim on."""
    whole = connection.execute(select(Chunk.job_id, Chunk.first_row, Chunk.last_row).where(Chunk.id == chunk_id)).one()
    middle = (whole.first_row + whole.last_row) // 2
    halves = {"state": ChunkState.QUEUED, "attempt": ALONE_FROM_ATTEMPT - 1, "last_error": reason.to_json()}
    connection.execute(
        insert(Chunk).values(job_id=whole.job_id, first_row=middle + 1, last_row=whole.last_row, **halves)
    )
    connection.execute(
        update(Chunk).where(Chunk.id == chunk_id).values(**_UNLEASED, last_row=middle, not_before=None, **halves)
    )


def quarantine(connection: Connection, chunk_id: int, reason: Message) -> None:
    """Store an error result for the only row of a locked chunk and mark the chunk done."""
    row = connection.execute(
        update(Chunk)
        .where(Chunk.id == chunk_id, Chunk.first_row == Chunk.last_row)
        .values(**_UNLEASED, state=ChunkState.DONE, finished_at=func.now(), last_error=reason.to_json(), errors=1)
        .returning(Chunk.job_id, Chunk.first_row)
    ).one()
    connection.execute(
        insert(Result).values(job_id=row.job_id, row_no=row.first_row, status=Status.ERROR, error=reason.to_json())
    )


def _holds(connection: Connection, lease: Lease) -> bool:
    return (
        connection.scalar(
            select(Chunk.id)
            .where(
                Chunk.id == lease.chunk_id,
                Chunk.state == constant(ChunkState.LEASED),
                Chunk.lease_token == lease.token,
            )
            .with_for_update()
        )
        is not None
    )


def _scored_jobs(connection: Connection, job_ids: set[int]) -> list[int]:
    """The jobs among ``job_ids`` without an open chunk, in order."""
    if not job_ids:
        return []
    is_open = exists().where(Chunk.job_id == Job.id, Chunk.state != constant(ChunkState.DONE))
    return list(connection.scalars(select(Job.id).where(Job.id.in_(job_ids), ~is_open).order_by(Job.id)))


def _mark_done(connection: Connection, outcomes: Sequence[ChunkOutcome]) -> set[tuple[int, uuid.UUID]]:
    def count(status: Status) -> list[int]:
        return [sum(result.status is status for result in outcome.results) for outcome in outcomes]

    return {
        (row.id, row.token)
        for row in connection.execute(
            queries.FENCE,
            {
                "ids": [outcome.lease.chunk_id for outcome in outcomes],
                "tokens": [outcome.lease.token for outcome in outcomes],
                "ok": count(Status.OK),
                "abstained": count(Status.ABSTAINED),
                "errors": count(Status.ERROR),
            },
        )
    }


def _count(stored: Sequence[ChunkOutcome]) -> None:
    metrics.CHUNKS_DONE.inc(len(stored))
    statuses = Counter(result.status for outcome in stored for result in outcome.results)
    for status, count in statuses.items():
        metrics.ROWS.labels(status=status.value).inc(count)


def _copied(outcomes: Sequence[ChunkOutcome]) -> Iterable[tuple[object, ...]]:
    for outcome in outcomes:
        job_id = outcome.lease.job_id
        for result in outcome.results:
            yield (
                job_id,
                result.row_no,
                result.status.value,
                result.label,
                result.score,
                result.margin,
                _array(result.scores),
                None if result.error is None else result.error.dumps(),
            )


def _copied_embeddings(outcomes: Sequence[ChunkOutcome]) -> Iterable[tuple[object, ...]]:
    for outcome in outcomes:
        if (made := outcome.embedded) is not None:
            lease = outcome.lease
            yield lease.job_id, lease.first_row, lease.last_row, made.encoder, made.vectors


def _array(scores: Sequence[float] | None) -> str | None:
    # PostgreSQL's array notation is several times cheaper than adapting a list of floats.
    return None if scores is None else "{" + ",".join(map(repr, scores)) + "}"
