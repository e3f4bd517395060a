"""What is answered about webhooks and their deliveries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from web.openapi.schema_base import AnswerBody
from yeban.webhooks.deliveries import DeliveryState
from yeban.webhooks.events import Event
from yeban.webhooks.failures import Failure

_WEBHOOK = {
    "id": "6f0c1b2a-3d4e-4f50-8a6b-7c8d9e0f1a2b",
    "url": "https://example.com/hooks/yeban",
    "owner": "",
    "team": "",
    "created_at": "2026-11-26T08:15:02+00:00",
    "waiting": 0,
    "given_up": 0,
    "delivered_at": None,
    "former_until": None,
}
_DELIVERY = {
    "id": "b1d64c7e-5f2a-4b3c-9d8e-0a1b2c3d4e5f",
    "event": "job.completed",
    "job": "0cca0c22-b766-4c38-9543-2470d0a7a180",
    "state": "waiting",
    "attempt": 2,
    "status": 503,
    "error": "not_accepted",
    "made_at": "2026-11-26T08:15:02+00:00",
    "next_at": "2026-11-26T08:20:02+00:00",
    "delivered_at": None,
}


class Webhook(AnswerBody):
    """Where the ends of jobs are told."""

    id: UUID
    url: str
    owner: str
    team: str
    """The team whose jobs it is told of; where it is empty, those of its `owner`."""
    created_at: datetime
    waiting: int
    """Messages that are to be sent, or sent again."""
    given_up: int
    """Messages that are not sent any more."""
    delivered_at: datetime | None
    """When the last message arrived."""
    former_until: datetime | None
    """Until when messages are signed with a former secret too; `null` where they are not."""


class WebhookWithSecret(Webhook):
    """A webhook with the secret that its messages are signed with; no other answer has it."""

    secret: str

    example: ClassVar[Mapping[str, Any] | None] = {**_WEBHOOK, "secret": "whsec_…"}


class Webhooks(AnswerBody):
    """Webhooks, the oldest first, without their secrets."""

    webhooks: list[Webhook]

    example: ClassVar[Mapping[str, Any] | None] = {"webhooks": [_WEBHOOK]}


class WebhookTest(AnswerBody):
    """How a test message fared."""

    delivered: bool
    status: int | None
    """The receiver's, if it answered."""
    error: Failure | None
    ms: float
    """How long it took."""

    example: ClassVar[Mapping[str, Any] | None] = {
        "delivered": False,
        "status": 500,
        "error": "not_accepted",
        "ms": 31.8,
    }


class Delivery(AnswerBody):
    """What became of one message."""

    id: UUID
    """What the receiver sees as `webhook-id`."""
    event: Event
    job: UUID | None
    """`null` where it is not the caller's to see: of another team, since its owner or the webhook's changed theirs."""
    state: DeliveryState
    attempt: int
    """How often it was tried."""
    status: int | None
    """The receiver's at the last try, if it answered."""
    error: Failure | None
    """Why the last try failed."""
    made_at: datetime
    next_at: datetime | None
    delivered_at: datetime | None

    example: ClassVar[Mapping[str, Any] | None] = _DELIVERY


class DeliveryPage(AnswerBody):
    """Deliveries, newest first."""

    deliveries: list[Delivery]
    next_cursor: str | None
    """The `cursor` of the next page; `null` on the last."""

    example: ClassVar[Mapping[str, Any] | None] = {"deliveries": [_DELIVERY], "next_cursor": None}
