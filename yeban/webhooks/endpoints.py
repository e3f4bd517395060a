"""Webhooks: create, find, delete, and rotate their secrets."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Text, delete, func, insert, select, true, update
from sqlalchemy.dialects.postgresql import ARRAY, array

from yeban.accounts.viewer import Viewer, visible
from yeban.database import tables
from yeban.database.engine import Database, lock_name
from yeban.database.tables import WebhookDelivery, WebhookFormerSecret
from yeban.errors import Conflict, NotFound, msg
from yeban.webhooks.signatures import new_secret
from yeban.webhooks.targets import check

log = logging.getLogger(__name__)

#: Maximum number of webhooks of one owner.
MAX_WEBHOOKS = 20
#: Hours for which a rotated secret signs beside the new one.
FORMER_HOURS = 24

_MAX_LISTED = 1_000
_MAX_FORMER = 4  # after losing a new secret and rotating again, the receiver still knows an older one

_OF_WEBHOOK = WebhookFormerSecret.webhook_id == tables.Webhook.id
_UNEXPIRED = WebhookFormerSecret.until > func.now()
_FORMER_SECRETS = (
    select(WebhookFormerSecret.secret)
    .where(_OF_WEBHOOK, _UNEXPIRED)
    .order_by(WebhookFormerSecret.until.desc())
    .correlate(tables.Webhook)
    .scalar_subquery()
)
#: Secrets that sign the messages of a webhook, newest first: a column over ``webhook``.
SECRETS = (array([tables.Webhook.secret]) + func.array(_FORMER_SECRETS, type_=ARRAY(Text))).label("secrets")
_FORMER_UNTIL = (
    select(func.max(WebhookFormerSecret.until))
    .where(_OF_WEBHOOK, _UNEXPIRED)
    .correlate(tables.Webhook)
    .scalar_subquery()
)
_COUNTS = (
    select(
        func.count().filter(WebhookDelivery.next_at.is_not(None)).label("waiting"),
        func.count()
        .filter(WebhookDelivery.next_at.is_(None), WebhookDelivery.delivered_at.is_(None))
        .label("given_up"),
        func.max(WebhookDelivery.delivered_at).label("delivered_at"),
    )
    .where(WebhookDelivery.webhook_id == tables.Webhook.id)
    .lateral("counts")
)


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """A webhook without its secret, with counts of its deliveries."""

    id: uuid.UUID
    owner: str  # name of the account that created it; "" without accounts
    team: str  # whose jobs it reports; "" for the jobs of its owner
    url: str
    created_at: datetime
    waiting: int  # deliveries with a scheduled attempt
    given_up: int
    delivered_at: datetime | None  # time of the last successful delivery
    former_until: datetime | None  # former secrets sign until then


@dataclass(frozen=True, kw_only=True)
class Created:
    """A new webhook with its secret, which is shown once."""

    webhook: Webhook
    secret: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The URL and secrets for sending to a webhook."""

    internal_id: int
    id: uuid.UUID
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


def create_webhook(database: Database, url: str, *, private: bool, viewer: Viewer) -> Created:
    """Create a webhook for the jobs of ``viewer`` or their team.

    ``private`` is as in ``targets.check``. Raises ``InvalidRequest`` for a refused URL, and ``Conflict`` if the owner
    has :data:`MAX_WEBHOOKS` already.
    """
    target, secret = check(url, private=private), new_secret()
    with database.begin() as connection:
        lock_name(connection, f"webhooks of {viewer.name}")  # or two could both find room for the last one
        count = connection.scalar(select(func.count()).where(tables.Webhook.owner == viewer.name)) or 0
        if count >= MAX_WEBHOOKS:
            raise Conflict(
                msg("There are already %(count)s webhooks. Delete one first.", count=count), limit=MAX_WEBHOOKS
            )
        public_id = connection.execute(
            insert(tables.Webhook)
            .values(owner=viewer.name, team=viewer.team, url=target.url, secret=secret)
            .returning(tables.Webhook.public_id)
        ).scalar_one()
        row = connection.execute(_select(viewer).where(tables.Webhook.public_id == public_id)).one()
    # Only the host: the path may be a secret.
    log.info("webhook created", extra={"webhook": str(public_id), "host": target.authority})
    return Created(webhook=Webhook(**row._mapping), secret=secret)


def list_webhooks(database: Database, *, viewer: Viewer) -> list[Webhook]:
    """The webhooks of ``viewer`` and their team, oldest first."""
    with database.begin() as connection:
        rows = connection.execute(_select(viewer).order_by(tables.Webhook.id).limit(_MAX_LISTED))
        return [Webhook(**row._mapping) for row in rows]


def get_webhook(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> Webhook:
    """Return a webhook. Raises ``NotFound``, also for another owner's."""
    with database.begin() as connection:
        row = connection.execute(_select(viewer).where(tables.Webhook.public_id == public_id)).one_or_none()
    if row is None:
        raise _not_found(public_id)
    return Webhook(**row._mapping)


def find_webhook(connection: Connection, public_id: uuid.UUID, *, viewer: Viewer) -> Found:
    """Return the URL and secrets of a webhook. Raises ``NotFound``, also for another owner's."""
    row = connection.execute(
        select(tables.Webhook.id, tables.Webhook.url, SECRETS).where(
            tables.Webhook.public_id == public_id, _visible(viewer)
        )
    ).one_or_none()
    if row is None:
        raise _not_found(public_id)
    return Found(internal_id=row.id, id=public_id, url=row.url, secrets=tuple(row.secrets))


def delete_webhook(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> None:
    """Delete a webhook with its deliveries, waiting ones included. Raises ``NotFound``."""
    with database.begin() as connection:
        found = find_webhook(connection, public_id, viewer=viewer)
        connection.execute(delete(tables.Webhook).where(tables.Webhook.id == found.internal_id))
    log.info("webhook deleted", extra={"webhook": str(found.id)})


def rotate_secret(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> str:
    """Create and return a new secret; the former one keeps signing for :data:`FORMER_HOURS`.

    Raises ``NotFound``.
    """
    secret = new_secret()
    with database.begin() as connection:
        found = find_webhook(connection, public_id, viewer=viewer)
        of_webhook = tables.Webhook.id == found.internal_id
        # Lock the row: of two concurrent rotations, each must keep the secret the other returned.
        former = connection.scalar(select(tables.Webhook.secret).where(of_webhook).with_for_update())
        if former is None:
            raise _not_found(public_id)
        until = func.now() + timedelta(hours=FORMER_HOURS)
        connection.execute(insert(WebhookFormerSecret).values(webhook_id=found.internal_id, secret=former, until=until))
        formers = WebhookFormerSecret.webhook_id == found.internal_id
        newest = (
            select(WebhookFormerSecret.secret)
            .where(formers)
            .order_by(WebhookFormerSecret.until.desc())
            .limit(_MAX_FORMER)
        )
        connection.execute(delete(WebhookFormerSecret).where(formers, WebhookFormerSecret.secret.not_in(newest)))
        connection.execute(update(tables.Webhook).where(of_webhook).values(secret=secret))
    log.info("webhook secret rotated", extra={"webhook": str(found.id)})
    return secret


def end_former_secrets(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> None:
    """Sign with the newest secret alone from now on. Raises ``NotFound``."""
    with database.begin() as connection:
        found = find_webhook(connection, public_id, viewer=viewer)
        connection.execute(delete(WebhookFormerSecret).where(WebhookFormerSecret.webhook_id == found.internal_id))


def forget_former_secrets(database: Database) -> int:
    """Remove expired former secrets. Returns the number removed."""
    with database.begin() as connection:
        return connection.execute(delete(WebhookFormerSecret).where(~_UNEXPIRED)).rowcount


def _select(viewer: Viewer) -> Select[*tuple[Any, ...]]:
    table = tables.Webhook
    return (
        select(
            table.public_id.label("id"),
            table.owner,
            table.team,
            table.url,
            table.created_at,
            *_COUNTS.c,
            _FORMER_UNTIL.label("former_until"),
        )
        .select_from(table)
        .join(_COUNTS, true())
        .where(_visible(viewer))
    )


def _visible(viewer: Viewer) -> ColumnElement[bool]:
    return visible(viewer, owner=tables.Webhook.owner, team=tables.Webhook.team)


def _not_found(public_id: uuid.UUID) -> NotFound:
    return NotFound(
        msg("The webhook %(public_id)s does not exist; it may have been deleted.", public_id=public_id),
        webhook_id=str(public_id),
    )
