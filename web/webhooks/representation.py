"""Webhooks and their deliveries as JSON, and trying one out, for the API and the pages alike."""

from __future__ import annotations

import uuid
from typing import Any

from web.auth.authentication import viewer
from web.server.admission import Admission
from web.services import Services
from yeban.errors import msg
from yeban.webhooks.deliveries import Delivery
from yeban.webhooks.endpoints import Webhook
from yeban.webhooks.notifier import send_test
from yeban.webhooks.sender import Answer

# Of a web process; each may keep its request thread for ten seconds.
_TESTS = Admission(msg("webhook tests"), most=4)


def webhook_json(webhook: Webhook) -> dict[str, Any]:
    """A webhook, without its secret."""
    return {
        "id": str(webhook.id),
        "url": webhook.url,
        "owner": webhook.owner,
        "team": webhook.team,
        "created_at": webhook.created_at.isoformat(),
        "waiting": webhook.waiting,
        "given_up": webhook.given_up,
        "delivered_at": webhook.delivered_at and webhook.delivered_at.isoformat(),
        "former_until": webhook.former_until and webhook.former_until.isoformat(),
    }


def delivery_json(delivery: Delivery) -> dict[str, Any]:
    """One delivery."""
    return {
        "id": str(delivery.id),
        "event": delivery.event,
        "job": delivery.job_id and str(delivery.job_id),
        "state": delivery.state.value,
        "attempt": delivery.attempt,
        "status": delivery.status,
        "error": delivery.error,
        "made_at": delivery.made_at.isoformat(),
        "next_at": delivery.next_at and delivery.next_at.isoformat(),
        "delivered_at": delivery.delivered_at and delivery.delivered_at.isoformat(),
    }


def answer_json(answer: Answer) -> dict[str, Any]:
    """How a test went."""
    return {
        "delivered": answer.failure is None,
        "status": answer.status,
        "error": answer.failure and answer.failure.value,
        "ms": round(1000 * answer.seconds, 1),
    }


def try_out(services: Services, webhook_id: uuid.UUID) -> Answer:
    """Send a test message now. Raises ``NotFound``, and ``Overloaded`` when too many are being sent."""
    with _TESTS.admit():
        return send_test(
            services.database, webhook_id, private=services.settings.webhook_private_addresses, viewer=viewer()
        )
