"""Jobs that are deleted: hidden at once, removed in batches."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_job_deleted_at", "job", ["deleted_at"], postgresql_where=sa.text("deleted_at IS NOT NULL"))


def downgrade() -> None:
    # Without the column they would be there again.
    op.execute("DELETE FROM job WHERE deleted_at IS NOT NULL")
    op.drop_index("ix_job_deleted_at", table_name="job")
    op.drop_column("job", "deleted_at")
