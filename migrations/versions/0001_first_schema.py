"""The first schema: jobs, rows, chunks, results, workers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "job",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("public_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("owner", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("label_set", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("model_fingerprint", sa.Text(), nullable=True),
        sa.Column("source_name", sa.Text(), nullable=False),
        sa.Column("source_sha256", sa.Text(), nullable=False),
        sa.Column("source_format", sa.Text(), nullable=False),
        sa.Column("source_encoding", sa.Text(), nullable=False),
        sa.Column("source_delimiter", sa.Text(), nullable=True),
        sa.Column("columns", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("text_index", sa.Integer(), nullable=False),
        sa.Column("gold_index", sa.Integer(), nullable=True),
        sa.Column("row_count", sa.Integer(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("request_sha256", sa.Text(), nullable=False),
        sa.Column("start_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("running_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finishing_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelling_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("summary", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint(
            "state IN ('scheduled', 'queued', 'running', 'finishing', 'completed', 'completed_with_errors', 'paused', 'cancelling', 'cancelled', 'failed', 'expired')",
            name=op.f("ck_job_state_known"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint("public_id", name=op.f("uq_job_public_id")),
    )
    op.create_index(
        "ix_job_unended",
        "job",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state IN ('scheduled', 'queued', 'running', 'finishing', 'paused', 'cancelling')"),
    )
    op.create_index("uq_job_owner_idempotency_key", "job", ["owner", "idempotency_key"], unique=True)
    op.create_table(
        "worker",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("models", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("window", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worker")),
    )
    op.create_table(
        "chunk",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("first_row", sa.Integer(), nullable=False),
        sa.Column("last_row", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("attempt", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("worker_id", sa.Uuid(), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hinted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("ok", sa.Integer(), server_default="0", nullable=False),
        sa.Column("abstained", sa.Integer(), server_default="0", nullable=False),
        sa.Column("errors", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("state IN ('queued', 'leased', 'done')", name=op.f("ck_chunk_state_known")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_chunk_job_id_job"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chunk")),
    )
    op.create_index(
        "ix_chunk_finished_at",
        "chunk",
        ["job_id", "finished_at"],
        unique=False,
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )
    op.create_index("ix_chunk_open", "chunk", ["job_id"], unique=False, postgresql_where=sa.text("state <> 'done'"))
    op.create_index(
        "ix_chunk_outstanding",
        "chunk",
        ["job_id"],
        unique=False,
        postgresql_where=sa.text("state = 'leased' OR (state = 'queued' AND hinted_at IS NOT NULL)"),
    )
    op.create_index(
        "ix_chunk_to_hint",
        "chunk",
        ["job_id", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'queued' AND hinted_at IS NULL"),
    )
    op.create_index("uq_chunk_job_id_first_row", "chunk", ["job_id", "first_row"], unique=True)
    op.create_table(
        "result",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("row_no", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("label", sa.SmallInteger(), nullable=True),
        sa.Column("score", sa.REAL(), nullable=True),
        sa.Column("margin", sa.REAL(), nullable=True),
        sa.Column("scores", postgresql.ARRAY(sa.REAL()), nullable=True),
        sa.Column("refined_label", sa.SmallInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint("status IN ('ok', 'abstained', 'error')", name=op.f("ck_result_status_known")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_result_job_id_job"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "row_no", name=op.f("pk_result")),
    )
    op.create_index(
        "ix_result_error", "result", ["job_id", "row_no"], unique=False, postgresql_where=sa.text("status = 'error'")
    )
    op.create_table(
        "row",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("row_no", sa.Integer(), nullable=False),
        sa.Column("file_row", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("gold", sa.Text(), nullable=True),
        sa.Column("cells", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_row_job_id_job"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "row_no", name=op.f("pk_row")),
    )


def downgrade() -> None:
    op.drop_table("row")
    op.drop_index("ix_result_error", table_name="result", postgresql_where=sa.text("status = 'error'"))
    op.drop_table("result")
    op.drop_index("uq_chunk_job_id_first_row", table_name="chunk")
    op.drop_index(
        "ix_chunk_to_hint", table_name="chunk", postgresql_where=sa.text("state = 'queued' AND hinted_at IS NULL")
    )
    op.drop_index(
        "ix_chunk_outstanding",
        table_name="chunk",
        postgresql_where=sa.text("state = 'leased' OR (state = 'queued' AND hinted_at IS NOT NULL)"),
    )
    op.drop_index("ix_chunk_open", table_name="chunk", postgresql_where=sa.text("state <> 'done'"))
    op.drop_index("ix_chunk_finished_at", table_name="chunk", postgresql_where=sa.text("finished_at IS NOT NULL"))
    op.drop_table("chunk")
    op.drop_table("worker")
    op.drop_index("uq_job_owner_idempotency_key", table_name="job")
    op.drop_index(
        "ix_job_unended",
        table_name="job",
        postgresql_where=sa.text("state IN ('scheduled', 'queued', 'running', 'finishing', 'paused', 'cancelling')"),
    )
    op.drop_table("job")
