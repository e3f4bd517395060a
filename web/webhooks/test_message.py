"""Test messages to webhooks, for the API and the pages."""

from __future__ import annotations

import uuid

from web.auth.authentication import viewer
from web.server.admission import Admission
from web.services import Services
from yeban.errors import msg
from yeban.webhooks.notifier import send_test
from yeban.webhooks.sender import Answer

# Per web process; each may occupy a request thread for ten seconds.
_TESTS = Admission(msg("webhook tests"), most=4)


def send_test_message(services: Services, webhook_id: uuid.UUID) -> Answer:
    """Send a test message now. Raises ``NotFound``, and ``Overloaded`` while too many are being sent."""
    with _TESTS.admit():
        return send_test(
            services.database, webhook_id, private=services.settings.webhook_private_addresses, viewer=viewer()
        )
