"""The webhooks themselves: who wants to be told where."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from yeban.accounts.viewer import VISIBLE, Viewer
from yeban.database.engine import Database
from yeban.errors import Conflict, NotFound, msg
from yeban.webhooks.signatures import new_secret
from yeban.webhooks.targets import check

log = logging.getLogger(__name__)

#: Most webhooks of an owner.
MAX_WEBHOOKS = 20
#: Hours that a secret signs beside the one that took its place.
FORMER_HOURS = 24
#: What messages of a webhook are signed with, the newest first: an expression over ``webhook``.
SECRETS = (
    "ARRAY[webhook.secret] || ARRAY(SELECT former.secret FROM webhook_former_secret AS former"
    " WHERE former.webhook_id = webhook.id AND until > now() ORDER BY until DESC)"
)

_MAX_LISTED = 1_000
_MAX_FORMER = 4  # whoever lost a new secret makes another, and the receiver still knows an older one


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """A webhook as its owner sees it: without its secret, and with what became of its messages."""

    id: uuid.UUID
    owner: str  # name of the account that made it; "" where there were none
    team: str  # all of whose jobs it is told of; "" for one that is told of its owner's
    url: str
    created_at: datetime
    waiting: int  # deliveries that are to be tried, or tried again
    given_up: int
    delivered_at: datetime | None  # when the last message arrived
    former_until: datetime | None  # until when a former secret signs messages too


@dataclass(frozen=True, kw_only=True)
class Created:
    """A webhook, and the secret that is shown this once."""

    webhook: Webhook
    secret: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What sending to a webhook takes."""

    internal_id: int
    id: uuid.UUID
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


_SELECT = f"""
    SELECT webhook.*, told.*,
        (SELECT max(until) FROM webhook_former_secret WHERE webhook_id = webhook.id AND until > now()) AS former_until
    FROM webhook CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE next_at IS NOT NULL) AS waiting,
            count(*) FILTER (WHERE next_at IS NULL AND delivered_at IS NULL) AS given_up,
            max(delivered_at) AS delivered_at
        FROM webhook_delivery WHERE webhook_id = webhook.id
    ) AS told WHERE {VISIBLE}
"""  # noqa: S608  # the condition of yeban.accounts.viewer


def create_webhook(database: Database, url: str, *, private: bool, viewer: Viewer) -> Created:
    """Have the ends of the viewer's jobs, or of their team's, told to ``url``; ``private`` as in ``targets.check``.

    Raises ``InvalidRequest`` for a URL that will not do, and ``Conflict`` when there are :data:`MAX_WEBHOOKS` already.
    """
    target, secret = check(url, private=private), new_secret()
    with database.begin() as connection:
        # Two at once would both find room for one.
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('webhooks of ' || :owner))"), _owner(viewer))
        count = connection.scalar(text("SELECT count(*) FROM webhook WHERE owner = :owner"), _owner(viewer))
        if count >= MAX_WEBHOOKS:
            raise Conflict(
                msg("There are %(count)s webhooks already; delete one first.", count=count), limit=MAX_WEBHOOKS
            )
        public_id = connection.scalar(
            text(
                "INSERT INTO webhook (owner, team, url, secret) VALUES (:owner, :team, :url, :secret)"
                " RETURNING public_id"
            ),
            {**_owner(viewer), "team": viewer.team, "url": target.url, "secret": secret},
        )
        row = connection.execute(text(f"{_SELECT} AND public_id = :id"), {"id": public_id, **viewer.parameters}).one()
    # The host alone: a path may be a secret.
    log.info("webhook made", extra={"webhook": str(row.public_id), "host": target.authority})
    return Created(webhook=_view(row), secret=secret)


def list_webhooks(database: Database, *, viewer: Viewer) -> list[Webhook]:
    """The viewer's webhooks and their team's, the oldest first."""
    with database.begin() as connection:
        rows = connection.execute(
            text(f"{_SELECT} ORDER BY webhook.id LIMIT :limit"), {**viewer.parameters, "limit": _MAX_LISTED}
        )
        return [_view(row) for row in rows]


def get_webhook(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> Webhook:
    """One webhook. Raises ``NotFound``, also for someone else's."""
    with database.begin() as connection:
        row = connection.execute(
            text(f"{_SELECT} AND public_id = :id"), {"id": public_id, **viewer.parameters}
        ).one_or_none()
    if row is None:
        raise _not_found(public_id)
    return _view(row)


def find_webhook(connection: Connection, public_id: uuid.UUID, *, viewer: Viewer) -> Found:
    """One webhook with its secret, inside a transaction. Raises ``NotFound``, also for someone else's."""
    row = connection.execute(
        text(f"SELECT id, public_id, url, {SECRETS} AS secrets FROM webhook WHERE public_id = :id AND {VISIBLE}"),  # noqa: S608
        {"id": public_id, **viewer.parameters},
    ).one_or_none()
    if row is None:
        raise _not_found(public_id)
    return Found(internal_id=row.id, id=row.public_id, url=row.url, secrets=tuple(row.secrets))


def delete_webhook(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> None:
    """Delete a webhook with its deliveries, those that wait among them. Raises ``NotFound``."""
    with database.begin() as connection:
        found = find_webhook(connection, public_id, viewer=viewer)
        connection.execute(text("DELETE FROM webhook WHERE id = :id"), {"id": found.internal_id})
    log.info("webhook deleted", extra={"webhook": str(found.id)})


def rotate_secret(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> str:
    """Sign with a new secret from now on, and return it; the former one signs too for :data:`FORMER_HOURS`.

    Raises ``NotFound``.
    """
    secret = new_secret()
    with database.begin() as connection:
        found = find_webhook(connection, public_id, viewer=viewer)
        # Two at once: each keeps what the other has just given out.
        former = connection.scalar(
            text("SELECT secret FROM webhook WHERE id = :id FOR UPDATE"), {"id": found.internal_id}
        )
        if former is None:
            raise _not_found(public_id)
        connection.execute(
            text(
                "INSERT INTO webhook_former_secret (webhook_id, secret, until)"
                " VALUES (:id, :former, now() + make_interval(hours => :hours))"
            ),
            {"id": found.internal_id, "former": former, "hours": FORMER_HOURS},
        )
        connection.execute(
            text(
                "DELETE FROM webhook_former_secret WHERE webhook_id = :id AND secret NOT IN"
                " (SELECT secret FROM webhook_former_secret WHERE webhook_id = :id ORDER BY until DESC LIMIT :most)"
            ),
            {"id": found.internal_id, "most": _MAX_FORMER},
        )
        connection.execute(
            text("UPDATE webhook SET secret = :secret WHERE id = :id"), {"id": found.internal_id, "secret": secret}
        )
    log.info("webhook has a new secret", extra={"webhook": str(found.id)})
    return secret


def end_former_secrets(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> None:
    """Sign with nothing but the newest secret from now on. Raises ``NotFound``."""
    with database.begin() as connection:
        found = find_webhook(connection, public_id, viewer=viewer)
        connection.execute(text("DELETE FROM webhook_former_secret WHERE webhook_id = :id"), {"id": found.internal_id})


def forget_former_secrets(database: Database) -> int:
    """Remove secrets that sign nothing any more; returns how many."""
    with database.begin() as connection:
        return connection.execute(text("DELETE FROM webhook_former_secret WHERE until <= now()")).rowcount


def _owner(viewer: Viewer) -> dict[str, str]:
    return {"owner": viewer.name}


def _not_found(public_id: uuid.UUID) -> NotFound:
    return NotFound(msg("There is no webhook %(public_id)s.", public_id=public_id), webhook_id=str(public_id))


def _view(row: Row[Any]) -> Webhook:
    return Webhook(
        id=row.public_id,
        owner=row.owner,
        team=row.team,
        url=row.url,
        created_at=row.created_at,
        waiting=row.waiting,
        given_up=row.given_up,
        delivered_at=row.delivered_at,
        former_until=row.former_until,
    )
