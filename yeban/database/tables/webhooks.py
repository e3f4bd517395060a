"""Webhooks, their former secrets, and their deliveries."""

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
    """A URL that receives the ends of jobs. The secret signs messages, so it is stored in plain text."""

    __tablename__ = "webhook"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(unique=True, server_default=func.gen_random_uuid())
    owner: Mapped[str] = mapped_column(server_default="")
    team: Mapped[str] = mapped_column(server_default="")
    url: Mapped[str]
    secret: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class WebhookFormerSecret(Base):
    """A rotated secret, which signs messages beside the new one until ``until``."""

    __tablename__ = "webhook_former_secret"

    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhook.id", ondelete="CASCADE"), primary_key=True)
    secret: Mapped[str] = mapped_column(primary_key=True)
    until: Mapped[datetime]


class WebhookDelivery(Base):
    """One message to one webhook, with the result of its last attempt."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (Index("ix_webhook_delivery_next_at", "next_at", postgresql_where=text("next_at IS NOT NULL")),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(unique=True, server_default=func.gen_random_uuid())
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhook.id", ondelete="CASCADE"), index=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), index=True)
    event: Mapped[str]
    payload: Mapped[dict[str, Any]]
    attempt: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    next_at: Mapped[datetime | None]  # time of the next attempt; NULL once it arrived or was given up
    delivered_at: Mapped[datetime | None]
    status: Mapped[int | None] = mapped_column(SmallInteger)  # HTTP status of the last attempt
    error: Mapped[str | None]  # a Failure, if the last attempt failed
    made_at: Mapped[datetime] = mapped_column(server_default=func.now())
