"""Refinement of a finished job, and people's corrections of its rows."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_STATUSES = "status IN ('ok', 'abstained', 'error')"


def upgrade() -> None:
    op.add_column("job", sa.Column("refine", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("job", sa.Column("refinement", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("job", sa.Column("ender_token", sa.Uuid(), nullable=True))
    op.add_column("job", sa.Column("ender_until", sa.DateTime(timezone=True), nullable=True))
    op.drop_column("result", "refined_label")
    op.create_table(
        "embedding",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("first_row", sa.Integer(), nullable=False),
        sa.Column("last_row", sa.Integer(), nullable=False),
        sa.Column("encoder", sa.Text(), nullable=False),
        sa.Column("vectors", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_embedding_job_id_job", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "first_row", name="pk_embedding"),
    )
    # Packed numbers do not compress, and single rows are read out of the middle.
    op.execute("ALTER TABLE embedding ALTER COLUMN vectors SET STORAGE EXTERNAL")
    op.create_table(
        "refined",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("row_no", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("label", sa.SmallInteger(), nullable=False),
        sa.Column("score", sa.REAL(), nullable=False),
        sa.Column("margin", sa.REAL(), nullable=False),
        sa.CheckConstraint(_STATUSES, name="ck_refined_status_known"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_refined_job_id_job", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "row_no", name="pk_refined"),
    )
    op.create_table(
        "correction",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("row_no", sa.Integer(), nullable=False),
        sa.Column("labels", postgresql.ARRAY(sa.SmallInteger()), nullable=False),
        sa.Column("author", sa.Text(), server_default="", nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_correction_job_id_job", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "row_no", name="pk_correction"),
    )


def downgrade() -> None:
    op.drop_table("correction")
    op.drop_table("refined")
    op.drop_table("embedding")
    op.add_column("result", sa.Column("refined_label", sa.SmallInteger(), nullable=True))
    for column in ("ender_until", "ender_token", "refinement", "refine"):
        op.drop_column("job", column)
