"""Deliveries: taken one at a time under a lease, tried, and entered as arrived, to be tried again, or given up.

A delivery is taken by putting off its next try and counting this one, so a sender that dies costs a minute and may cost
the receiver a second copy under the same id, but never the message.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, text

from yeban.accounts.viewer import VISIBLE, Viewer
from yeban.database.engine import Database
from yeban.errors import NotFound, msg
from yeban.webhooks.endpoints import SECRETS, find_webhook
from yeban.webhooks.failures import Failure
from yeban.webhooks.sender import Answer

#: Seconds between a try that failed and the next; three days in all, as Standard Webhooks advises.
DELAYS_S = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
#: How long a try may take before another may begin; longer than :data:`yeban.webhooks.sender.LIMIT_S`.
LEASE_S = 60.0
#: Seconds after which a message that nobody has begun with is late.
LATE_S = 300.0
#: Days that a delivery is kept after it arrived, or was made and given up.
KEPT_DAYS = 30

_JITTER = 0.2  # of a delay at most, so that what failed together does not come back together
_BATCH = 1_000

# Of a delivery joined with its job: what :func:`_view` reads, but for whether the job is visible.
_COLUMNS = "webhook_delivery.*, job.public_id AS job_public_id, source_name, deleted_at"
# No try is put off for longer than that; where one is, the clock was set back: see yeban.chunks.clock.
_DUE = "(next_at <= now() OR next_at > now() + interval '2 days')"


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"  # to be tried, or tried again
    DELIVERED = "delivered"  # it arrived
    GIVEN_UP = "given_up"  # it is not tried any more, unless a person asks


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A delivery as somebody sees it who may see its webhook, but maybe not the job: then it is not told which."""

    internal_id: int
    id: uuid.UUID  # what the receiver sees as webhook-id
    job_id: uuid.UUID | None
    job_name: str | None  # of its file
    job_deleted: bool
    event: str
    state: DeliveryState
    attempt: int
    status: int | None  # HTTP status of the last try
    error: str | None  # a Failure
    made_at: datetime
    next_at: datetime | None
    delivered_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class DeliveryPage:
    """Newest first; ``next_before`` is the cursor of the following page, if there is one."""

    deliveries: tuple[Delivery, ...]
    next_before: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A delivery that was taken to be tried now."""

    internal_id: int
    webhook_id: int
    id: uuid.UUID
    attempt: int
    payload: dict[str, Any]
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


def due_webhooks(database: Database) -> list[tuple[int, str]]:
    """Webhooks that have something due, with their URLs."""
    with database.begin() as connection:
        found = connection.execute(
            text(
                "SELECT id, url FROM webhook WHERE id IN"  # noqa: S608  # a constant
                f" (SELECT webhook_id FROM webhook_delivery WHERE next_at IS NOT NULL AND {_DUE}) ORDER BY id"
            )
        )
        return [(row.id, row.url) for row in found]


def count_late(database: Database) -> int:
    """How many messages have been due for more than :data:`LATE_S`, so that nobody seems to send them."""
    with database.begin() as connection:
        late: int = connection.scalar(
            text("SELECT count(*) FROM webhook_delivery WHERE next_at < now() - make_interval(secs => :late_s)"),
            {"late_s": LATE_S},
        )
    return late


def take(database: Database, webhook_ids: Collection[int]) -> Message | None:
    """Take what has been due longest at one of the webhooks; ``None`` if nothing is."""
    with database.begin() as connection:
        row = connection.execute(
            text(
                "WITH due AS (SELECT id FROM webhook_delivery"  # noqa: S608  # a constant
                f" WHERE webhook_id = ANY(:webhooks) AND next_at IS NOT NULL AND {_DUE}"
                " ORDER BY next_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)"
                " UPDATE webhook_delivery AS taken SET attempt = attempt + 1,"
                " next_at = now() + make_interval(secs => :lease_s)"
                " FROM due, webhook WHERE taken.id = due.id AND webhook.id = taken.webhook_id"
                " RETURNING taken.id, taken.webhook_id, taken.public_id, taken.attempt, taken.payload, url,"
                f" {SECRETS} AS secrets"
            ),
            {"webhooks": list(webhook_ids), "lease_s": LEASE_S},
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


def enter(database: Database, message: Message, answer: Answer) -> DeliveryState:
    """Enter how a try ended; one that failed is not entered where another was begun, or asked for, meanwhile."""
    if answer.failure is None:
        _enter_arrived(database, message, answer)
        return DeliveryState.DELIVERED
    if answer.failure is Failure.GONE:
        _enter_gone(database, message, answer)
        return DeliveryState.GIVEN_UP
    delay_s = delay_before(message.attempt + 1)
    with database.begin() as connection:
        connection.execute(
            text(
                "UPDATE webhook_delivery SET status = :status, error = :error,"
                " next_at = now() + make_interval(secs => CAST(:delay_s AS double precision))"
                " WHERE id = :id AND attempt = :attempt AND delivered_at IS NULL"
            ),
            {
                "id": message.internal_id,
                "attempt": message.attempt,
                "status": answer.status,
                "error": answer.failure.value,
                "delay_s": delay_s,
            },
        )
    return DeliveryState.GIVEN_UP if delay_s is None else DeliveryState.WAITING


def delay_before(attempt: int) -> float | None:
    """Seconds to wait before try ``attempt`` (from 2); ``None`` when there is to be no such try."""
    if attempt - 2 >= len(DELAYS_S):
        return None
    return DELAYS_S[attempt - 2] * (1 + random.random() * _JITTER)  # noqa: S311  # no secret


def list_deliveries(
    database: Database,
    webhook_id: uuid.UUID,
    *,
    before: int | None = None,
    limit: int = 50,
    viewer: Viewer,
) -> DeliveryPage:
    """A page of a webhook's deliveries, newest first. Raises ``NotFound``, also for someone else's webhook."""
    with database.begin() as connection:
        webhook = find_webhook(connection, webhook_id, viewer=viewer)
        rows = connection.execute(
            text(
                f"SELECT {_COLUMNS}, {VISIBLE} AS visible"  # noqa: S608  # constants
                " FROM webhook_delivery JOIN job ON job.id = job_id WHERE webhook_id = :webhook"
                " AND (CAST(:before AS bigint) IS NULL OR webhook_delivery.id < :before)"
                " ORDER BY webhook_delivery.id DESC LIMIT :limit"
            ),
            {"webhook": webhook.internal_id, "before": before, "limit": limit + 1, **viewer.parameters},
        ).all()
    found = tuple(_view(row) for row in rows[:limit])
    return DeliveryPage(deliveries=found, next_before=found[-1].internal_id if len(rows) > limit else None)


def try_again(database: Database, webhook_id: uuid.UUID, delivery_id: uuid.UUID, *, viewer: Viewer) -> Delivery:
    """Have a delivery tried now and as often as a new one, whatever became of it.

    Raises ``NotFound``, also where the job is someone else's.
    """
    with database.begin() as connection:
        webhook = find_webhook(connection, webhook_id, viewer=viewer)
        row = connection.execute(
            text(
                "UPDATE webhook_delivery SET next_at = now(), attempt = 0, delivered_at = NULL FROM job"  # noqa: S608
                f" WHERE webhook_delivery.public_id = :id AND webhook_id = :webhook AND job.id = job_id AND {VISIBLE}"
                f" RETURNING {_COLUMNS}, true AS visible"
            ),
            {"id": delivery_id, "webhook": webhook.internal_id, **viewer.parameters},
        ).one_or_none()
    if row is None:
        raise NotFound(
            msg("There is no delivery %(delivery_id)s of that webhook.", delivery_id=delivery_id),
            delivery_id=str(delivery_id),
        )
    return _view(row)


def forget_old(database: Database) -> int:
    """Remove deliveries that have long arrived, or have long been given up; returns how many."""
    removed = 0
    while True:
        with database.begin() as connection:
            count = connection.execute(
                text(
                    "DELETE FROM webhook_delivery WHERE id IN (SELECT id FROM webhook_delivery"
                    " WHERE next_at IS NULL AND coalesce(delivered_at, made_at) < now() - make_interval(days => :days)"
                    " LIMIT :batch FOR UPDATE SKIP LOCKED)"
                ),
                {"days": KEPT_DAYS, "batch": _BATCH},
            ).rowcount
        removed += count
        if count < _BATCH:
            return removed


def _enter_arrived(database: Database, message: Message, answer: Answer) -> None:
    with database.begin() as connection:
        connection.execute(
            text(
                "UPDATE webhook_delivery SET delivered_at = now(), next_at = NULL, status = :status, error = NULL"
                " WHERE id = :id AND delivered_at IS NULL"
            ),
            {"id": message.internal_id, "status": answer.status},
        )


def _enter_gone(database: Database, message: Message, answer: Answer) -> None:
    """Give up whatever waits for a receiver that wants no more."""
    with database.begin() as connection:
        connection.execute(
            text(
                # In order, or two that are told so at once would wait for one another.
                "WITH waiting AS (SELECT id FROM webhook_delivery WHERE webhook_id = :webhook AND next_at IS NOT NULL"
                " ORDER BY id FOR UPDATE)"
                " UPDATE webhook_delivery AS given_up SET next_at = NULL, error = :error,"
                " status = CASE WHEN given_up.id = :id THEN :status ELSE status END"
                " FROM waiting WHERE given_up.id = waiting.id"
            ),
            {
                "webhook": message.webhook_id,
                "id": message.internal_id,
                "error": Failure.GONE.value,
                "status": answer.status,
            },
        )


def _view(row: Row[Any]) -> Delivery:
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
