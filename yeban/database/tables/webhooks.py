"""Who is told of the ends of jobs, and what became of telling them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Identity,
    Index,
    SmallInteger,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from yeban.database.tables.base import Base


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


class WebhookFormerSecret(Base):
    """A secret that was replaced, and signs what is sent beside the new one until then."""

    __tablename__ = "webhook_former_secret"

    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhook.id", ondelete="CASCADE"), primary_key=True)
    secret: Mapped[str] = mapped_column(primary_key=True)
    until: Mapped[datetime]


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
