"""Webhooks and the deliveries of their messages."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Any, ClassVar

from flask import Response
from pydantic import Field

from web.auth.authentication import viewer
from web.blueprints import SIGNED_IN, api
from web.http import pagination
from web.http.json import json_response
from web.http.pagination import PageQuery
from web.http.parsing import JsonBody, documented_limit, json_body, query
from web.openapi.documentation import Answer, documented
from web.services import services
from web.webhooks import schemas
from web.webhooks.test_message import send_test_message
from yeban.errors import Conflict, Overloaded
from yeban.webhooks import deliveries, endpoints
from yeban.webhooks.endpoints import Webhook
from yeban.webhooks.targets import MAX_URL_CHARS


class WebhookBody(JsonBody):
    """A URL that receives a message when a job finishes."""

    url: str = Field(**documented_limit(minLength=1, maxLength=MAX_URL_CHARS))
    """Starts with `https://`, or with `http://` for an address in a private network."""

    example: ClassVar[Mapping[str, Any]] = {"url": "https://example.com/hooks/yeban"}


@api.get("/webhooks", policy=SIGNED_IN)
@documented(group="Webhooks", summary="List webhooks", answers={200: schemas.Webhooks})
def list_webhooks() -> Response:
    """List webhooks without their secrets, oldest first."""
    found = endpoints.list_webhooks(services().database, viewer=viewer())
    return json_response(schemas.Webhooks(webhooks=[schemas.Webhook.of(webhook) for webhook in found]))


@api.post("/webhooks", policy=SIGNED_IN)
@documented(
    group="Webhooks",
    summary="Create a webhook",
    body=WebhookBody,
    answers={201: schemas.WebhookWithSecret},
    problems=(Conflict,),
)
def create_webhook() -> Response:
    """Create a webhook. No other answer contains its secret."""
    body = json_body(WebhookBody)
    private = services().settings.webhook_private_addresses
    created = endpoints.create_webhook(services().database, body.url, private=private, viewer=viewer())
    return json_response(_with_secret(created.webhook, created.secret), HTTPStatus.CREATED)


@api.delete("/webhooks/<uuid:webhook_id>", policy=SIGNED_IN)
@documented(
    group="Webhooks",
    summary="Delete a webhook",
    answers={204: Answer(description="The webhook and its waiting messages are deleted.")},
)
def delete_webhook(webhook_id: uuid.UUID) -> Response:
    """Delete a webhook with its deliveries."""
    endpoints.delete_webhook(services().database, webhook_id, viewer=viewer())
    return Response(status=HTTPStatus.NO_CONTENT)


@api.post("/webhooks/<uuid:webhook_id>/rotate", policy=SIGNED_IN)
@documented(
    group="Webhooks",
    summary="Rotate the secret of a webhook",
    description="For 24 hours, until `former_until`, messages are also signed with the previous secret.",
    answers={200: schemas.WebhookWithSecret},
)
def rotate_webhook(webhook_id: uuid.UUID) -> Response:
    """Sign messages with a new secret."""
    secret = endpoints.rotate_secret(services().database, webhook_id, viewer=viewer())
    webhook = endpoints.get_webhook(services().database, webhook_id, viewer=viewer())
    return json_response(_with_secret(webhook, secret))


@api.delete("/webhooks/<uuid:webhook_id>/former-secrets", policy=SIGNED_IN)
@documented(
    group="Webhooks",
    summary="Revoke previous secrets",
    description="Repeating the request changes nothing.",
    answers={204: Answer(description="Messages are signed with the newest secret alone.")},
)
def end_former_secrets(webhook_id: uuid.UUID) -> Response:
    """Stop signing with previous secrets."""
    endpoints.end_former_secrets(services().database, webhook_id, viewer=viewer())
    return Response(status=HTTPStatus.NO_CONTENT)


@api.post("/webhooks/<uuid:webhook_id>/test", policy=SIGNED_IN)
@documented(
    group="Webhooks",
    summary="Send a test message",
    description="The message has the type `webhook.test`. The answer takes ten seconds at most.",
    answers={200: schemas.WebhookTest},
    problems=(Overloaded,),
)
def test_webhook(webhook_id: uuid.UUID) -> Response:
    """Send a test message and report its outcome."""
    return json_response(schemas.WebhookTest.of(send_test_message(services(), webhook_id)))


@api.get("/webhooks/<uuid:webhook_id>/deliveries", policy=SIGNED_IN)
@documented(
    group="Webhooks",
    summary="List deliveries",
    query=PageQuery,
    answers={200: schemas.DeliveryPage},
)
def list_deliveries(webhook_id: uuid.UUID) -> Response:
    """List deliveries, newest first."""
    asked = query(PageQuery)
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
    summary="Retry a delivery",
    description="Works in any state, and restarts the schedule of retries.",
    answers={202: Answer(model=schemas.Delivery, description="The delivery, due now.")},
)
def retry_delivery(webhook_id: uuid.UUID, delivery_id: uuid.UUID) -> Response:
    """Retry a delivery now, in any state."""
    delivery = deliveries.try_again(services().database, webhook_id, delivery_id, viewer=viewer())
    return json_response(schemas.Delivery.of(delivery), HTTPStatus.ACCEPTED)


def _with_secret(webhook: Webhook, secret: str) -> schemas.WebhookWithSecret:
    return schemas.WebhookWithSecret.of({**asdict(webhook), "secret": secret})
