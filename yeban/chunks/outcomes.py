"""Ending a claimed chunk: storing its results, or dealing with its failure. Every change is fenced by the lease."""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, text

from yeban.chunks.leases import Lease
from yeban.database.engine import Database, copy_rows
from yeban.labels import Status
from yeban.telemetry import metrics

log = logging.getLogger(__name__)

#: From this attempt on a chunk is scored alone.
ALONE_FROM_ATTEMPT = 2
#: Claims after which a chunk that keeps losing its worker is taken apart.
MAX_LOST_LEASES = 3
#: Claims after which a single row that keeps losing its worker becomes an error result.
MAX_LOST_LEASES_ROW = 5
_RETRY_DELAY_S = 1.0

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
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """The packed embeddings of a chunk's rows, in order, and the fingerprint of the model that made them."""

    encoder: str
    vectors: bytes


@dataclass(frozen=True, kw_only=True)
class ChunkOutcome:
    """All results of one claimed chunk, one a row; ``embedded`` is for refinement, where the job wants it."""

    lease: Lease
    results: Sequence[RowResult]
    embedded: Embedded | None = None


class FailureAction(StrEnum):
    """What became of a chunk whose scoring failed."""

    RETRIED = "retried"  # queued again, to run alone
    BISECTED = "bisected"  # split in two halves, queued again
    QUARANTINED = "quarantined"  # a single row: stored as an error result
    STALE = "stale"  # the lease was no longer ours; nothing changed


_FENCE = text(
    """
    WITH held AS (
        SELECT id FROM chunk WHERE id = ANY(CAST(:ids AS bigint[])) AND state = 'leased' ORDER BY id FOR UPDATE
    )
    UPDATE chunk SET state = 'done', lease_token = NULL, lease_until = NULL, hinted_at = NULL, finished_at = now(),
        ok = done.ok, abstained = done.abstained, errors = done.errors
    FROM unnest(CAST(:ids AS bigint[]), CAST(:tokens AS uuid[]),
                CAST(:ok AS int[]), CAST(:abstained AS int[]), CAST(:errors AS int[]))
        AS done (id, token, ok, abstained, errors)
        JOIN held ON held.id = done.id
    WHERE chunk.id = done.id AND chunk.state = 'leased' AND chunk.lease_token = done.token
    RETURNING chunk.id, done.token
    """
)

_COMPLETE = text(
    "SELECT touched.job_id FROM unnest(CAST(:ids AS bigint[])) AS touched (job_id)"
    " WHERE NOT EXISTS (SELECT FROM chunk WHERE chunk.job_id = touched.job_id AND state <> 'done')"
    " ORDER BY touched.job_id"
)


def finish_chunks(database: Database, outcomes: Sequence[ChunkOutcome]) -> list[int]:
    """Store the results of claimed chunks and mark them done, in one transaction.

    The fence comes first: a chunk whose lease token is no longer ours contributes nothing, so a stalled
    worker that comes back cannot mix its results in. Returns the ids of jobs that have no open chunk left,
    in order.
    """
    with database.begin() as connection:
        kept = _mark_done(connection, outcomes)
        stored = [outcome for outcome in outcomes if outcome.lease.key in kept]
        copy_rows(connection, "result", _RESULT_COLUMNS, _copied(stored))
        copy_rows(connection, "embedding", _EMBEDDING_COLUMNS, _copied_embeddings(stored))
        jobs = sorted({outcome.lease.job_id for outcome in stored})
        complete = list(connection.scalars(_COMPLETE, {"ids": jobs})) if jobs else []
    if len(stored) < len(outcomes):
        lost = [outcome.lease.chunk_id for outcome in outcomes if outcome.lease.key not in kept]
        metrics.CHUNKS_LATE.inc(len(lost))
        log.warning("late results dropped, the lease was lost", extra={"chunks": lost})
    _count(stored)
    return complete


def fail_chunk(database: Database, lease: Lease, reason: str) -> FailureAction:
    """Deal with a chunk that the engine could not score: try it alone, then halve it, then give the row up."""
    with database.begin() as connection:
        if not _holds(connection, lease):
            return FailureAction.STALE
        # A row that has just been parted from the others is tried once more: an engine may also fail in passing.
        if lease.attempt < ALONE_FROM_ATTEMPT + (lease.rows == 1):
            requeue(connection, lease.chunk_id, reason, delay_s=_RETRY_DELAY_S)
            action = FailureAction.RETRIED
        elif lease.rows > 1:
            bisect(connection, lease.chunk_id, reason)
            action = FailureAction.BISECTED
        else:
            quarantine(connection, lease.chunk_id, reason)
            action = FailureAction.QUARANTINED
    tell_failure(lease.chunk_id, action)
    return action


def defer_chunk(database: Database, lease: Lease, reason: str, *, delay_s: float) -> None:
    """Give a chunk back that could not be tried fairly; the attempt stays counted."""
    with database.begin() as connection:
        held = _holds(connection, lease)
        if held:
            requeue(connection, lease.chunk_id, reason, delay_s=delay_s)
    if held:
        tell_failure(lease.chunk_id, FailureAction.RETRIED)


def tell_failure(chunk_id: int, action: FailureAction) -> None:
    """Count and log what became of a chunk, once that is committed."""
    match action:
        case FailureAction.RETRIED:
            metrics.CHUNKS_RETRIED.inc()
        case FailureAction.BISECTED:
            metrics.CHUNKS_BISECTED.inc()
        case FailureAction.QUARANTINED:
            metrics.ROWS_QUARANTINED.inc()
            metrics.ROWS.labels(status=Status.ERROR.value).inc()
            # Without the reason, which may quote the row; it stands in the row's result.
            log.error("row quarantined", extra={"chunk": chunk_id})


def requeue(connection: Connection, chunk_id: int, reason: str, *, delay_s: float = 0.0) -> None:
    """Queue a locked chunk again; its attempts stay counted."""
    connection.execute(
        text(
            "UPDATE chunk SET state = 'queued', lease_token = NULL, lease_until = NULL, worker_id = NULL,"
            " hinted_at = NULL, last_error = :reason, not_before = now() + make_interval(secs => :delay_s)"
            " WHERE id = :id"
        ),
        {"id": chunk_id, "reason": reason, "delay_s": delay_s},
    )


def bisect(connection: Connection, chunk_id: int, reason: str) -> None:
    """Split a locked chunk into halves that run alone from their first claim on."""
    connection.execute(
        text(
            """
            WITH whole AS (
                SELECT job_id, first_row, last_row, (first_row + last_row) / 2 AS middle FROM chunk WHERE id = :id
            ), upper AS (
                INSERT INTO chunk (job_id, first_row, last_row, attempt, last_error)
                SELECT job_id, middle + 1, last_row, :attempt, :reason FROM whole
            )
            UPDATE chunk SET last_row = middle, state = 'queued', attempt = :attempt, lease_token = NULL,
                lease_until = NULL, worker_id = NULL, hinted_at = NULL, not_before = NULL, last_error = :reason
            FROM whole WHERE chunk.id = :id
            """
        ),
        {"id": chunk_id, "reason": reason, "attempt": ALONE_FROM_ATTEMPT - 1},
    )


def quarantine(connection: Connection, chunk_id: int, reason: str) -> None:
    """Store an error result for the only row of a locked chunk and mark the chunk done."""
    connection.execute(
        text(
            """
            WITH done AS (
                UPDATE chunk SET state = 'done', lease_token = NULL, lease_until = NULL, worker_id = NULL,
                    hinted_at = NULL, finished_at = now(), last_error = :reason, errors = 1
                WHERE id = :id AND first_row = last_row RETURNING job_id, first_row
            )
            INSERT INTO result (job_id, row_no, status, error) SELECT job_id, first_row, 'error', :reason FROM done
            """
        ),
        {"id": chunk_id, "reason": reason},
    )


def _holds(connection: Connection, lease: Lease) -> bool:
    return (
        connection.scalar(
            text("SELECT id FROM chunk WHERE id = :id AND state = 'leased' AND lease_token = :token FOR UPDATE"),
            {"id": lease.chunk_id, "token": lease.token},
        )
        is not None
    )


def _mark_done(connection: Connection, outcomes: Sequence[ChunkOutcome]) -> set[tuple[int, uuid.UUID]]:
    def count(status: Status) -> list[int]:
        return [sum(result.status is status for result in outcome.results) for outcome in outcomes]

    return {
        (row.id, row.token)
        for row in connection.execute(
            _FENCE,
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
                result.error,
            )


def _copied_embeddings(outcomes: Sequence[ChunkOutcome]) -> Iterable[tuple[object, ...]]:
    for outcome in outcomes:
        if (made := outcome.embedded) is not None:
            lease = outcome.lease
            yield lease.job_id, lease.first_row, lease.last_row, made.encoder, made.vectors


def _array(scores: Sequence[float] | None) -> str | None:
    # PostgreSQL's own array notation: several times cheaper than adapting a list of floats.
    return None if scores is None else "{" + ",".join(map(repr, scores)) + "}"
