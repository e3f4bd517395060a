"""Deliveries of messages: claim, record, list, retry and remove.

A claim postpones the next attempt and counts the present one. A sender that dies costs a minute and at most a second
copy under the same id, never the message.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Row, case, delete, func, or_, select, true, update

from yeban.accounts.viewer import Viewer, visible
from yeban.database.engine import Database
from yeban.database.tables import Job, Webhook, WebhookDelivery
from yeban.errors import NotFound, msg
from yeban.webhooks.endpoints import SECRETS, find_webhook
from yeban.webhooks.failures import Failure
from yeban.webhooks.sender import Answer

#: Seconds between a failed attempt and the next; three days in total, as Standard Webhooks recommends.
DELAYS_S = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
#: Seconds until a claimed message may be claimed again; longer than :data:`yeban.webhooks.sender.LIMIT_S`.
LEASE_S = 60.0
#: Seconds after which a due message that was not attempted is late.
LATE_S = 300.0
#: Age at which a delivery is removed after it arrived, or was created and given up.
MAX_AGE = timedelta(days=30)
#: Longer than any delay. An attempt further ahead predates a clock that was set back, and is due: yeban.chunks.clock.
LONGEST_DELAY = timedelta(days=2)

_JITTER = 0.2  # maximum fraction added to a delay, to spread attempts that failed together
_BATCH = 1_000

_COLUMNS = (WebhookDelivery, Job.public_id.label("job_public_id"), Job.source_name, Job.deleted_at)


class DeliveryState(StrEnum):
    """The state of a delivery."""

    WAITING = "waiting"  # an attempt is scheduled
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"  # no attempt is scheduled, unless a person asks for one


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A delivery. ``job_id`` and ``job_name`` are ``None`` if the viewer may not see the job."""

    internal_id: int
    id: uuid.UUID  # sent as webhook-id
    job_id: uuid.UUID | None
    job_name: str | None  # of its file
    job_deleted: bool
    event: str
    state: DeliveryState
    attempt: int
    status: int | None  # HTTP status of the last attempt
    error: str | None  # a Failure
    made_at: datetime
    next_at: datetime | None
    delivered_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class DeliveryPage:
    """A page, newest first; ``next_before`` is the cursor of the next page, ``None`` on the last."""

    deliveries: tuple[Delivery, ...]
    next_before: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A claimed delivery, to be sent now."""

    internal_id: int
    webhook_id: int
    id: uuid.UUID
    attempt: int
    payload: dict[str, Any]
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


def due_webhooks(database: Database) -> list[tuple[int, str]]:
    """Keys and URLs of the webhooks with a due delivery."""
    due = select(WebhookDelivery.webhook_id).where(_is_due())
    with database.begin() as connection:
        rows = connection.execute(select(Webhook.id, Webhook.url).where(Webhook.id.in_(due)).order_by(Webhook.id))
        return [(row.id, row.url) for row in rows]


def count_late(database: Database) -> int:
    """Count messages that have been due for more than :data:`LATE_S`."""
    late = WebhookDelivery.next_at < func.now() - timedelta(seconds=LATE_S)
    with database.begin() as connection:
        return connection.scalar(select(func.count()).where(late)) or 0


def claim(database: Database, webhook_ids: Collection[int]) -> Message | None:
    """Claim the longest due delivery of these webhooks, if any."""
    due = (
        select(WebhookDelivery.id)
        .where(WebhookDelivery.webhook_id.in_(webhook_ids), _is_due())
        .order_by(WebhookDelivery.next_at, WebhookDelivery.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    with database.begin() as connection:
        row = connection.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.id == due.c.id, WebhookDelivery.webhook_id == Webhook.id)
            .values(attempt=WebhookDelivery.attempt + 1, next_at=func.now() + timedelta(seconds=LEASE_S))
            .returning(WebhookDelivery, Webhook.url, SECRETS)
        ).one_or_none()
    if row is None:
        return None
    return Message(
        internal_id=row.id,
        webhook_id=row.webhook_id,
        id=row.public_id,
        attempt=row.attempt,
        payload=row.payload,
        url=row.url,
        secrets=tuple(row.secrets),
    )


def record(database: Database, message: Message, answer: Answer) -> DeliveryState:
    """Record the answer to an attempt.

    A failure is ignored if another attempt was started or requested meanwhile.
    """
    values: dict[str, Any] = {"status": answer.status, "error": answer.failure, "next_at": None}
    conditions = [WebhookDelivery.id == message.internal_id, WebhookDelivery.delivered_at.is_(None)]
    state = DeliveryState.GIVEN_UP
    if answer.failure is Failure.GONE:
        _give_up(database, message, answer)
        return state
    if answer.failure is None:
        state = DeliveryState.DELIVERED
        values["delivered_at"] = func.now()
    else:
        conditions.append(WebhookDelivery.attempt == message.attempt)
        if (delay_s := delay_before(message.attempt + 1)) is not None:
            state = DeliveryState.WAITING
            values["next_at"] = func.now() + timedelta(seconds=delay_s)
    with database.begin() as connection:
        connection.execute(update(WebhookDelivery).where(*conditions).values(values))
    return state


def delay_before(attempt: int) -> float | None:
    """Seconds to wait before ``attempt`` (from 2); ``None`` after the last attempt."""
    if attempt - 2 >= len(DELAYS_S):
        return None
    return DELAYS_S[attempt - 2] * (1 + random.random() * _JITTER)  # noqa: S311


def list_deliveries(
    database: Database,
    webhook_id: uuid.UUID,
    *,
    before: int | None = None,
    limit: int = 50,
    viewer: Viewer,
) -> DeliveryPage:
    """A page of a webhook's deliveries, newest first. Raises ``NotFound``, also for another owner's webhook."""
    with database.begin() as connection:
        webhook = find_webhook(connection, webhook_id, viewer=viewer)
        statement = (
            select(*_COLUMNS, _job_visible(viewer).label("visible"))
            .join(Job, Job.id == WebhookDelivery.job_id)
            .where(WebhookDelivery.webhook_id == webhook.internal_id)
            .order_by(WebhookDelivery.id.desc())
            .limit(limit + 1)
        )
        if before is not None:
            statement = statement.where(WebhookDelivery.id < before)
        rows = connection.execute(statement).all()
    found = tuple(_view(row) for row in rows[:limit])
    return DeliveryPage(deliveries=found, next_before=found[-1].internal_id if len(rows) > limit else None)


def try_again(database: Database, webhook_id: uuid.UUID, delivery_id: uuid.UUID, *, viewer: Viewer) -> Delivery:
    """Schedule a delivery in any state for now, with all attempts.

    Raises ``NotFound``, also if the viewer may not see the job.
    """
    with database.begin() as connection:
        webhook = find_webhook(connection, webhook_id, viewer=viewer)
        row = connection.execute(
            update(WebhookDelivery)
            .where(
                WebhookDelivery.public_id == delivery_id,
                WebhookDelivery.webhook_id == webhook.internal_id,
                WebhookDelivery.job_id == Job.id,
                _job_visible(viewer),
            )
            .values(next_at=func.now(), attempt=0, delivered_at=None)
            .returning(*_COLUMNS, true().label("visible"))
        ).one_or_none()
    if row is None:
        raise NotFound(
            msg("This webhook has no delivery %(delivery_id)s.", delivery_id=delivery_id),
            delivery_id=str(delivery_id),
        )
    return _view(row)


def forget_old(database: Database) -> int:
    """Remove deliveries that arrived or were given up long ago. Returns the number removed."""
    settled_at = func.coalesce(WebhookDelivery.delivered_at, WebhookDelivery.made_at)
    batch = (
        select(WebhookDelivery.id)
        .where(WebhookDelivery.next_at.is_(None), settled_at < func.now() - MAX_AGE)
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
    )
    removed = 0
    while True:
        with database.begin() as connection:
            count = connection.execute(delete(WebhookDelivery).where(WebhookDelivery.id.in_(batch))).rowcount
        removed += count
        if count < _BATCH:
            return removed


def _give_up(database: Database, message: Message, answer: Answer) -> None:
    """Give up every waiting delivery of a receiver that answered 410."""
    waiting = (
        select(WebhookDelivery.id)
        .where(WebhookDelivery.webhook_id == message.webhook_id, WebhookDelivery.next_at.is_not(None))
        .order_by(WebhookDelivery.id)  # concurrent 410 answers would deadlock without an order
        .with_for_update()
        .cte("waiting")
    )
    status = case((WebhookDelivery.id == message.internal_id, answer.status), else_=WebhookDelivery.status)
    with database.begin() as connection:
        connection.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.id == waiting.c.id)
            .values(next_at=None, error=Failure.GONE, status=status)
        )


def _is_due() -> ColumnElement[bool]:
    next_at = WebhookDelivery.next_at
    return or_(next_at <= func.now(), next_at > func.now() + LONGEST_DELAY)


def _job_visible(viewer: Viewer) -> ColumnElement[bool]:
    return visible(viewer, owner=Job.owner, team=Job.team)


def _view(row: Row[*tuple[Any, ...]]) -> Delivery:
    state = DeliveryState.GIVEN_UP
    if row.delivered_at is not None:
        state = DeliveryState.DELIVERED
    elif row.next_at is not None:
        state = DeliveryState.WAITING
    return Delivery(
        internal_id=row.id,
        id=row.public_id,
        job_id=row.job_public_id if row.visible else None,
        job_name=row.source_name if row.visible else None,
        job_deleted=row.deleted_at is not None,
        event=row.event,
        state=state,
        attempt=row.attempt,
        status=row.status,
        error=row.error,
        made_at=row.made_at,
        next_at=row.next_at,
        delivered_at=row.delivered_at,
    )
