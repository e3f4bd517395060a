"""What refinement reads of a job, and how it is asked for once more."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from yeban.accounts.viewer import Viewer
from yeban.database.engine import Database
from yeban.database.tables.states import REFINABLE, JobState
from yeban.errors import Conflict, msg
from yeban.jobs.locking import lock_job
from yeban.jobs.views import EMBEDDED


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """A row with its own label and scores, these as PostgreSQL's binary array of float4, and its packed embedding.

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
    """What of a job can be refined: rows with scores, and the models and sizes of what embeds them."""

    scored: int
    complete: bool  # whether every scored row has an embedding
    encoders: tuple[str, ...]
    bytes_a_row: int


def survey(database: Database, job_id: int) -> Material:
    """How many rows have scores and how many embeddings, without reading them."""
    with database.begin() as connection:
        chunks = connection.execute(
            text(
                "SELECT coalesce(sum(ok + abstained), 0) AS scored, coalesce(bool_and(embedding.job_id IS NOT NULL)"
                " FILTER (WHERE ok + abstained > 0), true) AS complete"
                " FROM chunk LEFT JOIN embedding USING (job_id, first_row) WHERE chunk.job_id = :id"
            ),
            {"id": job_id},
        ).one()
        found = connection.execute(
            text(
                "SELECT coalesce(array_agg(DISTINCT encoder), '{}') AS encoders,"
                " coalesce(max(octet_length(vectors) / (last_row - first_row + 1)), 0) AS bytes_a_row"
                " FROM embedding WHERE job_id = :id"
            ),
            {"id": job_id},
        ).one()
    return Material(
        scored=int(chunks.scored),
        complete=chunks.complete,
        encoders=tuple(found.encoders),
        bytes_a_row=found.bytes_a_row,
    )


def corrected(database: Database, job_id: int) -> dict[int, list[int]]:
    """The labels that people gave, by row number."""
    with database.begin() as connection:
        rows = connection.execute(
            text("SELECT row_no, labels FROM correction WHERE job_id = :id ORDER BY row_no"), {"id": job_id}
        )
        return {row_no: list(labels) for row_no, labels in rows}


_SAMPLED = text(
    """
    SELECT "row".row_no, left("row".text, :chars), label, NULL, array_send(scores),
        substring(vectors FROM ("row".row_no - first_row) * CAST(:width AS int) + 1 FOR CAST(:width AS int))
    FROM unnest(CAST(:row_nos AS int[])) AS wanted (row_no)
        JOIN "row" ON "row".job_id = :id AND "row".row_no = wanted.row_no
        JOIN result ON result.job_id = :id AND result.row_no = wanted.row_no AND result.status <> 'error'
        JOIN embedding ON embedding.job_id = :id AND embedding.first_row = (
            SELECT max(first_row) FROM embedding WHERE job_id = :id AND first_row <= wanted.row_no)
    ORDER BY 1
    """
)


def sampled(
    database: Database, job_id: int, row_nos: Sequence[int], *, chars: int, bytes_a_row: int
) -> list[ScoredRow]:
    """The scored rows among ``row_nos``, in order, with the first ``chars`` of their texts and their embeddings."""
    with database.begin() as connection:
        found = connection.execute(
            _SAMPLED, {"id": job_id, "row_nos": list(row_nos), "chars": chars, "width": bytes_a_row}
        )
        return [ScoredRow(*row) for row in found]


_IN_RANGE = text(
    """
    SELECT "row".row_no, left("row".text, :chars), result.label, refined.label, array_send(scores), NULL
    FROM "row" JOIN result ON result.job_id = :id AND result.row_no = "row".row_no
        AND result.row_no BETWEEN :first AND :last AND result.status <> 'error'
    LEFT JOIN refined ON refined.job_id = :id AND refined.row_no = "row".row_no
        AND refined.row_no BETWEEN :first AND :last
    WHERE "row".job_id = :id AND "row".row_no BETWEEN :first AND :last ORDER BY 1
    """
)


def read_range(
    database: Database, job_id: int, first: int, last: int, *, chars: int
) -> tuple[list[ScoredRow], list[Block]]:
    """The scored rows numbered from ``first`` to ``last``, and the blocks that hold their embeddings."""
    with database.begin() as connection:
        # With statistics older than the job, PostgreSQL would compare every row of the range with every other.
        connection.execute(text("SET LOCAL enable_nestloop = off"))
        rows = connection.execute(_IN_RANGE, {"id": job_id, "first": first, "last": last, "chars": chars}).all()
        blocks = connection.execute(
            text(
                "SELECT first_row, last_row, vectors FROM embedding"
                " WHERE job_id = :id AND first_row <= :last AND last_row >= :first ORDER BY first_row"
            ),
            {"id": job_id, "first": first, "last": last},
        ).all()
    return [ScoredRow(*row) for row in rows], [Block(*block) for block in blocks]


def ask_again(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> int:
    """Let a completed job be refined once more, with what people corrected meanwhile; returns its internal number.

    It stays readable. Asking again while that goes on begins it anew, since rows may have been corrected meanwhile.
    Raises ``NotFound``, and ``Conflict`` for a job that is not completed or keeps no embeddings.
    """
    with database.begin() as connection:
        job = lock_job(connection, public_id, viewer=viewer)
        if job.state not in REFINABLE | {JobState.FINISHING}:
            raise Conflict(
                msg("A job that is %(state)s cannot be refined; it must be completed first.", state=job.state),
                state=job.state,
            )
        # A statement of its own: that above sees the embeddings as they were before it waited for whoever forgets them.
        if not connection.scalar(text(f"SELECT {EMBEDDED} FROM job WHERE id = :id"), {"id": job.id}):  # noqa: S608
            raise Conflict(
                msg("This job kept no embeddings, so it cannot be refined; submit it with refine switched on.")
            )
        connection.execute(
            # Whoever is at it finds the job lost and leaves it to the next.
            text(
                "UPDATE job SET state = 'finishing', finishing_at = now(), refine = true, ender_token = NULL,"
                " ender_until = NULL WHERE id = :id"
            ),
            {"id": job.id},
        )
        return job.id
