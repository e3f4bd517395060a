"""Jobs, their rows, chunks and results."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, REAL
from sqlalchemy.orm import Mapped, mapped_column

from yeban.database.tables.base import Base, one_of
from yeban.database.tables.states import ChunkState, JobState
from yeban.labels import Status


class Job(Base):
    """An uploaded table and the labels to tag it with. Callers see ``public_id``."""

    __tablename__ = "job"
    __table_args__ = (
        one_of("state", JobState),
        Index("uq_job_owner_idempotency_key", "owner", "idempotency_key", unique=True),
        Index("ix_job_deleted_at", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
        Index("ix_job_owner", "owner", "id"),
        Index(
            "ix_job_unannounced",
            "id",
            postgresql_where=text("ended_at IS NOT NULL AND (announced_at IS NULL OR announced_at < ended_at)"),
        ),
        Index(
            "ix_job_unended",
            "id",
            postgresql_where=text("state IN ('scheduled', 'queued', 'running', 'finishing', 'paused', 'cancelling')"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(unique=True, server_default=func.gen_random_uuid())
    owner: Mapped[str] = mapped_column(server_default="")  # name of an account; "" without accounts
    team: Mapped[str] = mapped_column(server_default="")  # the owner's, at creation
    state: Mapped[str]
    # A snapshot of the request: later changes to a label set or a model do not affect a job.
    label_set: Mapped[dict[str, Any]]
    model: Mapped[str]
    model_fingerprint: Mapped[str | None]  # pinned by the first worker that claims a chunk
    # The source, as it was read.
    source_name: Mapped[str]
    source_sha256: Mapped[str]
    source_format: Mapped[str]
    source_encoding: Mapped[str]
    source_delimiter: Mapped[str | None]
    columns: Mapped[list[str]]
    text_index: Mapped[int]
    gold_index: Mapped[int | None]
    row_count: Mapped[int] = mapped_column(Integer)
    # Creation is idempotent: the same key with the same request returns the same job.
    idempotency_key: Mapped[str | None]
    request_sha256: Mapped[str]
    start_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    # When the job last entered each state; ``ended_at`` is for all finished states.
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    queued_at: Mapped[datetime | None]
    running_at: Mapped[datetime | None]
    paused_at: Mapped[datetime | None]
    finishing_at: Mapped[datetime | None]
    cancelling_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    error: Mapped[dict[str, Any] | None]  # why the job failed
    summary: Mapped[dict[str, Any] | None]  # written at completion
    # Refinement: requested, its report, and the lease of the worker that completes the job.
    refine: Mapped[bool] = mapped_column(server_default="false")
    refinement: Mapped[dict[str, Any] | None]
    ender_token: Mapped[uuid.UUID | None]
    ender_until: Mapped[datetime | None]
    announced_at: Mapped[datetime | None]  # when webhooks were last told that it finished
    deleted_at: Mapped[datetime | None]  # hidden since then; its rows are removed in batches


class Row(Base):
    """One data row as read. ``file_row`` is the number a person sees in the file."""

    __tablename__ = "row"

    job_id: Mapped[int] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    row_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    file_row: Mapped[int] = mapped_column(Integer)
    text: Mapped[str]
    gold: Mapped[str | None]
    # JSON, not JSONB: it keeps every cell exactly as read, NUL characters included.
    cells: Mapped[Any] = mapped_column(JSON)
    problem: Mapped[dict[str, Any] | None]  # why the row cannot be scored


class Chunk(Base):
    """A run of rows: the unit of work, claimed under a lease and finished in one transaction."""

    __tablename__ = "chunk"
    __table_args__ = (
        one_of("state", ChunkState),
        Index("ix_chunk_open", "job_id", postgresql_where=text("state <> 'done'")),
        Index("ix_chunk_to_hint", "job_id", "id", postgresql_where=text("state = 'queued' AND hinted_at IS NULL")),
        Index(
            "ix_chunk_outstanding",
            "job_id",
            postgresql_where=text("state = 'leased' OR (state = 'queued' AND hinted_at IS NOT NULL)"),
        ),
        Index("ix_chunk_finished_at", "job_id", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
        Index("uq_chunk_job_id_first_row", "job_id", "first_row", unique=True),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"))
    first_row: Mapped[int] = mapped_column(Integer)
    last_row: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(server_default=ChunkState.QUEUED.value)
    attempt: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    lease_token: Mapped[uuid.UUID | None]
    lease_until: Mapped[datetime | None]
    worker_id: Mapped[uuid.UUID | None]
    not_before: Mapped[datetime | None]
    hinted_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    last_error: Mapped[dict[str, Any] | None]
    # Counted when the chunk is finished, so that progress never scans results.
    ok: Mapped[int] = mapped_column(Integer, server_default="0")
    abstained: Mapped[int] = mapped_column(Integer, server_default="0")
    errors: Mapped[int] = mapped_column(Integer, server_default="0")


class Result(Base):
    """The result of a row. Labels are indexes into the job's label set."""

    __tablename__ = "result"
    __table_args__ = (
        one_of("status", Status),
        Index("ix_result_error", "job_id", "row_no", postgresql_where=text("status = 'error'")),
    )

    job_id: Mapped[int] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    row_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    status: Mapped[str]
    label: Mapped[int | None] = mapped_column(SmallInteger)  # the best label, also where the row abstained
    score: Mapped[float | None] = mapped_column(REAL)
    margin: Mapped[float | None] = mapped_column(REAL)
    scores: Mapped[list[float] | None] = mapped_column(ARRAY(REAL))  # in label order
    error: Mapped[dict[str, Any] | None]


class Embedding(Base):
    """The embeddings of a chunk's rows, packed in row order; zeros for a row without one."""

    __tablename__ = "embedding"

    job_id: Mapped[int] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    first_row: Mapped[int] = mapped_column(Integer, primary_key=True)
    last_row: Mapped[int] = mapped_column(Integer)
    encoder: Mapped[str]  # fingerprint of the model that made them
    vectors: Mapped[bytes] = mapped_column(LargeBinary)


class Refined(Base):
    """The refined label of a scored row; its row label stays in its result."""

    __tablename__ = "refined"
    __table_args__ = (one_of("status", Status),)

    job_id: Mapped[int] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    row_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    status: Mapped[str]
    label: Mapped[int] = mapped_column(SmallInteger)  # the best label, also where the row abstained
    score: Mapped[float] = mapped_column(REAL)
    margin: Mapped[float] = mapped_column(REAL)


class Correction(Base):
    """The labels that a person gave a row, empty where no label fits; they override predictions."""

    __tablename__ = "correction"

    job_id: Mapped[int] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    row_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    labels: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger))
    author: Mapped[str] = mapped_column(server_default="")
    made_at: Mapped[datetime] = mapped_column(server_default=func.now())
