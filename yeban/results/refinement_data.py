"""Data that refinement reads, and the request to refine a job once more."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Integer, and_, func, select, text, true, update

from yeban.accounts.viewer import Viewer
from yeban.database.engine import Database
from yeban.database.tables import Chunk, Correction, Embedding, Job
from yeban.database.tables.states import REFINABLE, JobState
from yeban.errors import Conflict, msg
from yeban.jobs.locking import lock_job
from yeban.jobs.queries import embedded
from yeban.results import queries


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """A row with its row label, its scores as a binary float4 array of PostgreSQL, and its packed embedding.

    ``text`` is its beginning; ``refined`` is the label that an earlier refinement gave it.
    """

    row_no: int
    text: str
    label: int
    refined: int | None
    scores: bytes
    vector: bytes | None


@dataclass(frozen=True, slots=True)
class Block:
    """Packed embeddings of the rows from ``first_row`` to ``last_row``."""

    first_row: int
    last_row: int
    vectors: bytes


@dataclass(frozen=True, kw_only=True)
class Material:
    """Scored rows of a job, and the encoders and sizes of their embeddings."""

    scored: int
    complete: bool  # every scored row has an embedding
    encoders: tuple[str, ...]
    bytes_a_row: int


def survey(database: Database, job_id: int) -> Material:
    """Count scores and embeddings without reading them."""
    with database.begin() as connection:
        has_scores = Chunk.ok + Chunk.abstained > 0
        chunks = connection.execute(
            select(
                func.coalesce(func.sum(Chunk.ok + Chunk.abstained), 0).label("scored"),
                func.coalesce(func.bool_and(Embedding.job_id.is_not(None)).filter(has_scores), true()).label(
                    "complete"
                ),
            )
            .outerjoin(Embedding, and_(Embedding.job_id == Chunk.job_id, Embedding.first_row == Chunk.first_row))
            .where(Chunk.job_id == job_id)
        ).one()
        chunk_rows = Embedding.last_row - Embedding.first_row + 1
        row_bytes = func.octet_length(Embedding.vectors, type_=Integer) // chunk_rows
        found = connection.execute(
            select(
                func.array_agg(Embedding.encoder.distinct()).label("encoders"),
                func.coalesce(func.max(row_bytes), 0).label("bytes_a_row"),
            ).where(Embedding.job_id == job_id)
        ).one()
    return Material(
        scored=int(chunks.scored),
        complete=chunks.complete,
        encoders=tuple(found.encoders or ()),
        bytes_a_row=found.bytes_a_row,
    )


def corrected(database: Database, job_id: int) -> dict[int, list[int]]:
    """Read the corrected labels, by row number."""
    with database.begin() as connection:
        rows = connection.execute(
            select(Correction.row_no, Correction.labels).where(Correction.job_id == job_id).order_by(Correction.row_no)
        )
        return {row_no: list(labels) for row_no, labels in rows}


def sampled(
    database: Database, job_id: int, row_nos: Sequence[int], *, chars: int, bytes_a_row: int
) -> list[ScoredRow]:
    """Read the scored rows among ``row_nos``, in order, with ``chars`` characters of text and embeddings."""
    with database.begin() as connection:
        found = connection.execute(
            queries.SAMPLED, {"id": job_id, "row_nos": list(row_nos), "chars": chars, "width": bytes_a_row}
        )
        return [ScoredRow(*row) for row in found]


def read_range(
    database: Database, job_id: int, first: int, last: int, *, chars: int
) -> tuple[list[ScoredRow], list[Block]]:
    """Read the scored rows from ``first`` to ``last`` and the blocks of their embeddings."""
    with database.begin() as connection:
        # With statistics older than the job, PostgreSQL would compare every row of the range with every other.
        connection.execute(text("SET LOCAL enable_nestloop = off"))
        rows = connection.execute(
            queries.SCORED_RANGE, {"id": job_id, "first": first, "last": last, "chars": chars}
        ).all()
        blocks = connection.execute(
            select(Embedding.first_row, Embedding.last_row, Embedding.vectors)
            .where(Embedding.job_id == job_id, Embedding.first_row <= last, Embedding.last_row >= first)
            .order_by(Embedding.first_row)
        ).all()
    return [ScoredRow(*row) for row in rows], [Block(*block) for block in blocks]


def ask_again(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> int:
    """Request another refinement of a completed job; return its internal number.

    The refinement learns from corrections made meanwhile, and the job stays readable. A request during a refinement
    restarts it, since rows may have been corrected meanwhile.
    Raises ``NotFound``, and ``Conflict`` for a job that is not completed or keeps no embeddings.
    """
    with database.begin() as connection:
        job = lock_job(connection, public_id, viewer=viewer)
        if job.state not in REFINABLE | {JobState.FINISHING}:
            raise Conflict(
                msg("A job that is %(state)s cannot be refined. It must be completed first.", state=job.state.message),
                state=job.state,
            )
        # Not in one statement with the lock, which would see the embeddings as they were before it waited.
        if not connection.scalar(select(embedded()).where(Job.id == job.id)):
            raise Conflict(
                msg(
                    "This job kept no embeddings, so it cannot be refined. Submit the file again with refine turned on."
                )
            )
        # A worker that is refining the job loses its lease and leaves the job to the next.
        connection.execute(
            update(Job)
            .where(Job.id == job.id)
            .values(state=JobState.FINISHING, finishing_at=func.now(), refine=True, ender_token=None, ender_until=None)
        )
        return job.id
