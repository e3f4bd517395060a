"""Redis transport and consumer that survive malformed queue entries.

kombu assumes that it wrote every entry of a queue. It reads them in the consumer's event loop, so an entry that is not
JSON stops the worker, and one without the shape of a message breaks its connection. Celery logs unknown messages in
full, with a ticket's text if they hold one.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from celery import Celery
from celery.worker import consumer
from kombu.transport import TRANSPORT_ALIASES, redis

log = logging.getLogger(__name__)

_SCHEME = "yeban-redis"
#: Errors of parsing JSON.
_JSON_ERRORS = (ValueError, TypeError, RecursionError)
_ENCODINGS = (None, "base64", "utf-8")


class Channel(redis.Channel):
    """Drops entries that are not JSON. They have already left the list, so they do not return."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except _JSON_ERRORS as error:
            if isinstance(error, self.connection_errors):
                raise
            _dropped(type(error).__name__)
            return True


class Transport(redis.Transport):
    """kombu's Redis transport; drops entries that are not messages."""

    Channel = Channel

    def _deliver(self, message: Any, queue: str) -> None:
        if _is_message(message):
            super()._deliver(message, queue)  # type: ignore[no-untyped-call]
        else:
            _dropped("not shaped as a message")


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """Celery's consumer; rejects unknown messages without logging their content."""

    def on_unknown_message(self, _body: Any, message: Any) -> None:
        self._refuse(message, "no task is named")

    def on_unknown_task(self, _body: Any, message: Any, _error: Exception) -> None:
        self._refuse(message, "unknown task; do senders and workers differ in version?")

    def on_invalid_task(self, _body: Any, message: Any, _error: Exception) -> None:
        self._refuse(message, "invalid task")

    def on_decode_error(self, message: Any, _error: Exception) -> None:
        self._refuse(message, "the body cannot be decoded")

    def _refuse(self, message: Any, reason: str) -> None:
        _dropped(reason)
        message.reject_log_error(log, self.connection_errors)


def install(app: Celery) -> None:
    """Make ``app`` use this consumer and transport."""
    app.conf.worker_consumer = f"{__name__}:{Consumer.__name__}"
    # kombu finds the transport of a redis+socket:// URL by its scheme alone, and may have resolved its own scheme
    # before; hence another scheme.
    TRANSPORT_ALIASES[_SCHEME] = f"{__name__}:{Transport.__name__}"
    app.conf.broker_url = re.sub("^rediss?(?=[+:])", _SCHEME, app.conf.broker_url)


def _is_message(entry: Any) -> bool:
    """True if the entry has every part that is read without a check."""
    match entry:
        case {
            "headers": dict(headers),
            "properties": {
                "delivery_tag": str(),
                "delivery_info": {"exchange": str(), "routing_key": str()},
                **properties,
            },
        }:
            return (
                isinstance(headers.get("task"), str | None)
                and isinstance(entry.get("body"), str | None)
                and properties.get("body_encoding") in _ENCODINGS
            )
    return False


def _dropped(reason: str) -> None:
    # Without the entry, which may hold a ticket.
    log.error("malformed queue entry dropped", extra={"reason": reason})
