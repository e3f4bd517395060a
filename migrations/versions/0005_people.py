"""Accounts, tokens, label sets that are kept, drafts of uploads, webhooks, and whose each job is."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")
_NEW_UUID = sa.text("gen_random_uuid()")


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False)


def _public_id() -> sa.Column[object]:
    return sa.Column("public_id", sa.Uuid(), server_default=_NEW_UUID, nullable=False)


def _owned() -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), server_default="", nullable=False) for name in ("owner", "team")]


def _moment(name: str, *, now: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=_NOW if now else None, nullable=not now)


def _text(name: str, *, nullable: bool = False, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default=default, nullable=nullable)


def upgrade() -> None:
    op.add_column("job", _text("team", default=""))
    op.add_column("job", _moment("announced_at"))
    # What ended before there were webhooks is no news.
    op.execute("UPDATE job SET announced_at = now() WHERE ended_at IS NOT NULL")
    op.create_index("ix_job_owner", "job", ["owner", "id"])
    op.create_index(
        "ix_job_unannounced",
        "job",
        ["id"],
        postgresql_where=sa.text("ended_at IS NOT NULL AND (announced_at IS NULL OR announced_at < ended_at)"),
    )
    op.create_table(
        "account",
        _id(),
        _text("name"),
        _text("password_hash"),
        _text("role"),
        _text("team", default=""),
        _moment("created_at", now=True),
        _moment("disabled_at"),
        _moment("sessions_from", now=True),
        sa.CheckConstraint("role IN ('member', 'admin')", name="ck_account_role_known"),
        sa.PrimaryKeyConstraint("id", name="pk_account"),
        sa.UniqueConstraint("name", name="uq_account_name"),
    )
    op.create_table(
        "ended_session",
        _text("id"),
        _moment("ended_at", now=True),
        sa.PrimaryKeyConstraint("id", name="pk_ended_session"),
    )
    op.create_table(
        "api_token",
        _id(),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        _text("name"),
        _text("prefix"),
        _text("sha256"),
        _moment("created_at", now=True),
        _moment("expires_at"),
        _moment("used_at"),
        _moment("revoked_at"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name="fk_api_token_account_id_account", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_api_token"),
        sa.UniqueConstraint("prefix", name="uq_api_token_prefix"),
    )
    op.create_index("ix_api_token_account_id", "api_token", ["account_id"])
    _create_label_sets()
    _create_drafts()
    _create_webhooks()


def _create_label_sets() -> None:
    op.create_table(
        "label_set",
        _id(),
        _public_id(),
        *_owned(),
        _text("name"),
        _moment("created_at", now=True),
        _moment("deleted_at"),
        sa.PrimaryKeyConstraint("id", name="pk_label_set"),
        sa.UniqueConstraint("public_id", name="uq_label_set_public_id"),
    )
    op.create_index(
        "uq_label_set_owner_name",
        "label_set",
        ["owner", "name"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "label_set_version",
        sa.Column("label_set_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        _text("author", default=""),
        _moment("made_at", now=True),
        sa.ForeignKeyConstraint(
            ["label_set_id"], ["label_set.id"], name="fk_label_set_version_label_set_id_label_set", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("label_set_id", "version", name="pk_label_set_version"),
    )


def _create_drafts() -> None:
    op.create_table(
        "draft",
        _id(),
        _public_id(),
        *_owned(),
        _text("name"),
        _text("sha256"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        _moment("created_at", now=True),
        sa.PrimaryKeyConstraint("id", name="pk_draft"),
        sa.UniqueConstraint("public_id", name="uq_draft_public_id"),
    )
    op.create_table(
        "draft_part",
        sa.Column("draft_id", sa.BigInteger(), nullable=False),
        sa.Column("part_no", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["draft_id"], ["draft.id"], name="fk_draft_part_draft_id_draft", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("draft_id", "part_no", name="pk_draft_part"),
    )


def _create_webhooks() -> None:
    op.create_table(
        "webhook",
        _id(),
        _public_id(),
        *_owned(),
        _text("url"),
        _text("secret"),
        _moment("created_at", now=True),
        sa.PrimaryKeyConstraint("id", name="pk_webhook"),
        sa.UniqueConstraint("public_id", name="uq_webhook_public_id"),
    )
    op.create_table(
        "webhook_former_secret",
        sa.Column("webhook_id", sa.BigInteger(), nullable=False),
        _text("secret"),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhook.id"], name="fk_webhook_former_secret_webhook_id_webhook", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("webhook_id", "secret", name="pk_webhook_former_secret"),
    )
    op.create_table(
        "webhook_delivery",
        _id(),
        _public_id(),
        sa.Column("webhook_id", sa.BigInteger(), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        _text("event"),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("attempt", sa.SmallInteger(), server_default="0", nullable=False),
        _moment("next_at"),
        _moment("delivered_at"),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        _text("error", nullable=True),
        _moment("made_at", now=True),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhook.id"], name="fk_webhook_delivery_webhook_id_webhook", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_webhook_delivery_job_id_job", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_delivery"),
        sa.UniqueConstraint("public_id", name="uq_webhook_delivery_public_id"),
    )
    op.create_index("ix_webhook_delivery_webhook_id", "webhook_delivery", ["webhook_id"])
    op.create_index("ix_webhook_delivery_job_id", "webhook_delivery", ["job_id"])
    op.create_index(
        "ix_webhook_delivery_next_at",
        "webhook_delivery",
        ["next_at"],
        postgresql_where=sa.text("next_at IS NOT NULL"),
    )


def downgrade() -> None:
    for table in (
        "webhook_delivery",
        "webhook_former_secret",
        "webhook",
        "draft_part",
        "draft",
        "label_set_version",
        "label_set",
        "api_token",
        "ended_session",
        "account",
    ):
        op.drop_table(table)
    op.drop_index("ix_job_unannounced", table_name="job")
    op.drop_index("ix_job_owner", table_name="job")
    op.drop_column("job", "announced_at")
    op.drop_column("job", "team")
