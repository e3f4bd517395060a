"""Answers about webhooks and their deliveries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self
from uuid import UUID

from pydantic import Field

from web.http.json import AnswerBody, Moment
from yeban.webhooks.deliveries import DeliveryState
from yeban.webhooks.events import Event
from yeban.webhooks.failures import Failure
from yeban.webhooks.sender import Answer

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
    """A URL that receives a message when a job finishes."""

    id: UUID
    url: str
    owner: str
    team: str
    """The team whose jobs it covers; empty for those of its `owner`."""
    created_at: Moment
    waiting: int
    """Messages to send or retry."""
    given_up: int
    """Messages that are no longer retried."""
    delivered_at: Moment | None
    """When the last message was delivered."""
    former_until: Moment | None
    """Until when messages are also signed with the previous secret; `null` if they are not."""


class WebhookWithSecret(Webhook):
    """A webhook with its signing secret, which no other answer contains."""

    secret: str

    example: ClassVar[Mapping[str, Any] | None] = {**_WEBHOOK, "secret": "whsec_…"}


class Webhooks(AnswerBody):
    """Webhooks without their secrets, oldest first."""

    webhooks: list[Webhook]

    example: ClassVar[Mapping[str, Any] | None] = {"webhooks": [_WEBHOOK]}


class WebhookTest(AnswerBody):
    """Outcome of a test message."""

    delivered: bool
    status: int | None
    """HTTP status of the receiver, if it answered."""
    error: Failure | None
    ms: float
    """Duration in milliseconds."""

    example: ClassVar[Mapping[str, Any] | None] = {
        "delivered": False,
        "status": 500,
        "error": "not_accepted",
        "ms": 31.8,
    }

    @classmethod
    def of(cls, view: Answer) -> Self:
        return cls(
            delivered=view.failure is None, status=view.status, error=view.failure, ms=round(1000 * view.seconds, 1)
        )


class Delivery(AnswerBody):
    """One message and its delivery."""

    id: UUID
    """Sent to the receiver as `webhook-id`."""
    event: Event
    job: UUID | None = Field(validation_alias="job_id")
    """`null` where the caller may not see the job: its owner or the webhook's has changed teams since."""
    state: DeliveryState
    attempt: int
    """Number of attempts."""
    status: int | None
    """HTTP status of the receiver at the last attempt, if it answered."""
    error: Failure | None
    """Why the last attempt failed."""
    made_at: Moment
    next_at: Moment | None
    delivered_at: Moment | None

    example: ClassVar[Mapping[str, Any] | None] = _DELIVERY


class DeliveryPage(AnswerBody):
    """Deliveries, newest first."""

    deliveries: list[Delivery]
    next_cursor: str | None
    """The `cursor` of the next page; `null` on the last."""

    example: ClassVar[Mapping[str, Any] | None] = {"deliveries": [_DELIVERY], "next_cursor": None}
