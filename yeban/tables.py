"""The tables in PostgreSQL, as SQLAlchemy 2 models. What must not be lost is here and nowhere else."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB, REAL
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from yeban.jobs.states import ChunkState, JobState
from yeban.labels import Status


class Base(DeclarativeBase):
    """Constraint names are fixed, so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        str: Text,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[str]: JSONB,
        uuid.UUID: Uuid,
    }


def _one_of(column: str, values: type[JobState] | type[ChunkState] | type[Status]) -> CheckConstraint:
    listed = ", ".join(f"'{value.value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


class Job(Base):
    """One uploaded table and what to tag it with. ``public_id`` is what callers see."""

    __tablename__ = "job"
    __table_args__ = (
        _one_of("state", JobState),
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
    owner: Mapped[str] = mapped_column(server_default="")  # name of an account; "" where there were none
    team: Mapped[str] = mapped_column(server_default="")  # the owner's, when it was made
    state: Mapped[str]
    # Snapshot of the request: later changes to a label set or a model never touch a job.
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
    # When the job last entered each state; ``ended_at`` serves all final states.
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    queued_at: Mapped[datetime | None]
    running_at: Mapped[datetime | None]
    paused_at: Mapped[datetime | None]
    finishing_at: Mapped[datetime | None]
    cancelling_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    error: Mapped[str | None]  # why the job failed
    summary: Mapped[dict[str, Any] | None]  # written when the job ends
    # Refinement: whether it is wanted, what came of it, and who is ending the job until when.
    refine: Mapped[bool] = mapped_column(server_default="false")
    refinement: Mapped[dict[str, Any] | None]
    ender_token: Mapped[uuid.UUID | None]
    ender_until: Mapped[datetime | None]
    announced_at: Mapped[datetime | None]  # when its end was last told to webhooks
    deleted_at: Mapped[datetime | None]  # no longer shown; what it holds is removed in batches


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
    problem: Mapped[str | None]  # why the row cannot be scored


class Chunk(Base):
    """A run of rows, the unit of work: claimed under a lease, finished in one transaction."""

    __tablename__ = "chunk"
    __table_args__ = (
        _one_of("state", ChunkState),
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
    last_error: Mapped[str | None]
    # Counted when the chunk is finished, so that progress never scans results.
    ok: Mapped[int] = mapped_column(Integer, server_default="0")
    abstained: Mapped[int] = mapped_column(Integer, server_default="0")
    errors: Mapped[int] = mapped_column(Integer, server_default="0")


class Result(Base):
    """What became of one row. Label numbers point into the job's label set."""

    __tablename__ = "result"
    __table_args__ = (
        _one_of("status", Status),
        Index("ix_result_error", "job_id", "row_no", postgresql_where=text("status = 'error'")),
    )

    job_id: Mapped[int] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    row_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    status: Mapped[str]
    label: Mapped[int | None] = mapped_column(SmallInteger)  # the best label, also where the row abstained
    score: Mapped[float | None] = mapped_column(REAL)
    margin: Mapped[float | None] = mapped_column(REAL)
    scores: Mapped[list[float] | None] = mapped_column(ARRAY(REAL))  # in label order
    error: Mapped[str | None]


class Embedding(Base):
    """The embeddings of a chunk's rows, packed one after the other; zeros for a row that has none."""

    __tablename__ = "embedding"

    job_id: Mapped[int] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    first_row: Mapped[int] = mapped_column(Integer, primary_key=True)
    last_row: Mapped[int] = mapped_column(Integer)
    encoder: Mapped[str]  # fingerprint of the model that made them
    vectors: Mapped[bytes] = mapped_column(LargeBinary)


class Refined(Base):
    """What the whole file says of one scored row; what the row said by itself stays in its result."""

    __tablename__ = "refined"
    __table_args__ = (_one_of("status", Status),)

    job_id: Mapped[int] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    row_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    status: Mapped[str]
    label: Mapped[int] = mapped_column(SmallInteger)  # the best label, also where the row abstained
    score: Mapped[float] = mapped_column(REAL)
    margin: Mapped[float] = mapped_column(REAL)


class Correction(Base):
    """The labels that a person gave one row, none where none fits; they win over whatever was predicted."""

    __tablename__ = "correction"

    job_id: Mapped[int] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    row_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    labels: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger))
    author: Mapped[str] = mapped_column(server_default="")
    made_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Account(Base):
    """A person who may sign in. Accounts are disabled, never removed: a name always means the same person."""

    __tablename__ = "account"
    __table_args__ = (CheckConstraint("role IN ('member', 'admin')", name="role_known"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]  # argon2id, with its parameters
    role: Mapped[str]
    team: Mapped[str] = mapped_column(server_default="")  # whose members see each other's jobs; "" for none
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    disabled_at: Mapped[datetime | None]
    sessions_from: Mapped[datetime] = mapped_column(server_default=func.now())  # older sessions are no longer valid


class ApiToken(Base):
    """What a program signs in with, as its account. The token itself is shown once and not kept."""

    __tablename__ = "api_token"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(unique=True)  # its public part, by which it is found and recognised
    sha256: Mapped[str]  # of the whole token, which has 256 random bits: nothing slower is needed
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class SavedLabelSet(Base):
    """A label set with a name; what it says is in its versions."""

    __tablename__ = "label_set"
    __table_args__ = (
        Index("uq_label_set_owner_name", "owner", "name", unique=True, postgresql_where=text("deleted_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(unique=True, server_default=func.gen_random_uuid())
    owner: Mapped[str] = mapped_column(server_default="")
    team: Mapped[str] = mapped_column(server_default="")
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]


class LabelSetVersion(Base):
    """What a saved label set says, as of one version. Versions are added, never changed."""

    __tablename__ = "label_set_version"

    label_set_id: Mapped[int] = mapped_column(ForeignKey("label_set.id", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)  # from 1
    content: Mapped[dict[str, Any]]  # as LabelSet.to_json has it
    author: Mapped[str] = mapped_column(server_default="")
    made_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Draft(Base):
    """An uploaded file that a person looks at before it becomes a job."""

    __tablename__ = "draft"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(unique=True, server_default=func.gen_random_uuid())
    owner: Mapped[str] = mapped_column(server_default="")
    team: Mapped[str] = mapped_column(server_default="")
    name: Mapped[str]
    sha256: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class DraftPart(Base):
    """A piece of a draft's file: any web process can serve the draft, and none needs a shared disk."""

    __tablename__ = "draft_part"

    draft_id: Mapped[int] = mapped_column(ForeignKey("draft.id", ondelete="CASCADE"), primary_key=True)
    part_no: Mapped[int] = mapped_column(Integer, primary_key=True)  # from 0
    content: Mapped[bytes] = mapped_column(LargeBinary)


class Webhook(Base):
    """Where the ends of jobs are told. The secret signs what is sent, so it is kept as it is."""

    __tablename__ = "webhook"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(unique=True, server_default=func.gen_random_uuid())
    owner: Mapped[str] = mapped_column(server_default="")
    team: Mapped[str] = mapped_column(server_default="")
    url: Mapped[str]
    secret: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class WebhookDelivery(Base):
    """One message to one webhook, and what became of it."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (Index("ix_webhook_delivery_next_at", "next_at", postgresql_where=text("next_at IS NOT NULL")),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(unique=True, server_default=func.gen_random_uuid())
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhook.id", ondelete="CASCADE"), index=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), index=True)
    event: Mapped[str]
    payload: Mapped[dict[str, Any]]
    attempt: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    next_at: Mapped[datetime | None]  # when it is to be tried; NULL once it arrived or was given up
    delivered_at: Mapped[datetime | None]
    status: Mapped[int | None] = mapped_column(SmallInteger)  # HTTP status of the last try
    error: Mapped[str | None]  # why the last try failed
    made_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Worker(Base):
    """A live worker process, as its last heartbeat told."""

    __tablename__ = "worker"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    role: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int] = mapped_column(Integer)
    models: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    window: Mapped[int] = mapped_column(Integer)  # chunks this worker keeps busy with at a time
    cache: Mapped[dict[str, Any]] = mapped_column(server_default="{}")  # counters of its caches
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
