"""Webhooks: make, list, delete, try, and what became of each message."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any, ClassVar

from flask import Response
from pydantic import Field

from web.auth.authentication import viewer
from web.blueprints import SIGNED_IN, api
from web.http import pagination
from web.http.json import json_response
from web.http.parsing import Fields, JsonBody, documented_limit, json_body, query
from web.openapi.documentation import Answer, documented
from web.services import services
from web.webhooks import schemas
from web.webhooks.test_message import send_test_message
from yeban.errors import Conflict, Overloaded
from yeban.webhooks import deliveries, endpoints
from yeban.webhooks.endpoints import Webhook
from yeban.webhooks.targets import MAX_URL_CHARS


class WebhookBody(JsonBody):
    """Where to tell the ends of jobs."""

    url: str = Field(**documented_limit(minLength=1, maxLength=MAX_URL_CHARS))
    """It begins with `https://`, or with `http://` for an address inside one's own network."""

    example: ClassVar[Mapping[str, Any]] = {"url": "https://example.com/hooks/yeban"}


class DeliveriesQuery(Fields):
    """Which deliveries to list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: str | None = None
    """The `next_cursor` of the page before."""


@api.get("/webhooks", policy=SIGNED_IN)
@documented(group="Webhooks", summary="List webhooks", answers={200: schemas.Webhooks})
def list_webhooks() -> Response:
    """All webhooks, the oldest first; without their secrets."""
    found = endpoints.list_webhooks(services().database, viewer=viewer())
    return json_response(schemas.Webhooks(webhooks=[schemas.Webhook.of(webhook) for webhook in found]))


@api.post("/webhooks", policy=SIGNED_IN)
@documented(
    group="Webhooks",
    summary="Have the ends of jobs told to a URL",
    body=WebhookBody,
    answers={201: schemas.WebhookWithSecret},
    problems=(Conflict,),
)
def create_webhook() -> Response:
    """Make a webhook; the answer is the only one with its secret."""
    body = json_body(WebhookBody)
    private = services().settings.webhook_private_addresses
    created = endpoints.create_webhook(services().database, body.url, private=private, viewer=viewer())
    return json_response(_with_secret(created.webhook, created.secret), HTTPStatus.CREATED)


@api.delete("/webhooks/<uuid:webhook_id>", policy=SIGNED_IN)
@documented(
    group="Webhooks",
    summary="Delete a webhook",
    answers={204: Answer(description="It is gone, with what was waiting for it.")},
)
def delete_webhook(webhook_id: uuid.UUID) -> Response:
    """Delete a webhook with its deliveries."""
    endpoints.delete_webhook(services().database, webhook_id, viewer=viewer())
    return Response(status=HTTPStatus.NO_CONTENT)


@api.post("/webhooks/<uuid:webhook_id>/rotate", policy=SIGNED_IN)
@documented(
    group="Webhooks",
    summary="Sign with a new secret",
    description="For 24 hours messages are signed with the old one too; `former_until` says until when.",
    answers={200: schemas.WebhookWithSecret},
)
def rotate_webhook(webhook_id: uuid.UUID) -> Response:
    """Sign with a new secret from now on."""
    secret = endpoints.rotate_secret(services().database, webhook_id, viewer=viewer())
    webhook = endpoints.get_webhook(services().database, webhook_id, viewer=viewer())
    return json_response(_with_secret(webhook, secret))


@api.delete("/webhooks/<uuid:webhook_id>/former-secrets", policy=SIGNED_IN)
@documented(
    group="Webhooks",
    summary="Sign with the newest secret alone",
    description="Nothing changes when it is repeated.",
    answers={204: Answer(description="No former secret signs any more.")},
)
def end_former_secrets(webhook_id: uuid.UUID) -> Response:
    """End the time in which former secrets sign too."""
    endpoints.end_former_secrets(services().database, webhook_id, viewer=viewer())
    return Response(status=HTTPStatus.NO_CONTENT)


@api.post("/webhooks/<uuid:webhook_id>/test", policy=SIGNED_IN)
@documented(
    group="Webhooks",
    summary="Send a test message",
    description="It has the type `webhook.test`. The answer comes after ten seconds at most.",
    answers={200: schemas.WebhookTest},
    problems=(Overloaded,),
)
def test_webhook(webhook_id: uuid.UUID) -> Response:
    """Send a message that says nothing, and tell how that went."""
    return json_response(schemas.WebhookTest.of(send_test_message(services(), webhook_id)))


@api.get("/webhooks/<uuid:webhook_id>/deliveries", policy=SIGNED_IN)
@documented(
    group="Webhooks",
    summary="What became of each message",
    query=DeliveriesQuery,
    answers={200: schemas.DeliveryPage},
)
def list_deliveries(webhook_id: uuid.UUID) -> Response:
    """A page of deliveries, newest first."""
    asked = query(DeliveriesQuery)
    page = deliveries.list_deliveries(
        services().database,
        webhook_id,
        before=pagination.decode("deliveries", asked.cursor),
        limit=asked.limit,
        viewer=viewer(),
    )
    return json_response(
        schemas.DeliveryPage(
            deliveries=[schemas.Delivery.of(delivery) for delivery in page.deliveries],
            next_cursor=pagination.encode("deliveries", page.next_before),
        )
    )


@api.post("/webhooks/<uuid:webhook_id>/deliveries/<uuid:delivery_id>/retry", policy=SIGNED_IN)
@documented(
    group="Webhooks",
    summary="Send a message again",
    description="Whatever became of it, and as often as a new one if need be.",
    answers={202: Answer(model=schemas.Delivery, description="The delivery, which is sent now.")},
)
def retry_delivery(webhook_id: uuid.UUID, delivery_id: uuid.UUID) -> Response:
    """Have a delivery tried again now, whatever became of it."""
    delivery = deliveries.try_again(services().database, webhook_id, delivery_id, viewer=viewer())
    return json_response(schemas.Delivery.of(delivery), HTTPStatus.ACCEPTED)


def _with_secret(webhook: Webhook, secret: str) -> schemas.WebhookWithSecret:
    return schemas.WebhookWithSecret.of({**asdict(webhook), "secret": secret})
