"""The way from Redis to Celery, hardened: an entry that is no message costs itself and nothing else.

kombu takes for granted that whatever lies in a queue's list was put there by kombu. It reads within the consumer's
event loop, so that one entry that is not JSON ends the worker, and one that is not shaped as a message costs it its
connection. What is a message but not one of ours, Celery writes to the log in full, and so a ticket's text.
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
#: What reading text as JSON can raise.
_NO_JSON = (ValueError, TypeError, RecursionError)
_ENCODINGS = (None, "base64", "utf-8")


class Channel(redis.Channel):
    """Drops what is not JSON. By then it has left the list, so it does not come again."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except _NO_JSON as error:
            if isinstance(error, self.connection_errors):
                raise
            _dropped(type(error).__name__)
            return True


class Transport(redis.Transport):
    """kombu's Redis transport; drops what lacks the parts of a message that kombu and Celery read unasked."""

    Channel = Channel

    def _deliver(self, message: Any, queue: str) -> None:
        if _is_message(message):
            super()._deliver(message, queue)  # type: ignore[no-untyped-call]
        else:
            _dropped("not shaped as a message")


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """Celery's consumer; refuses messages that are not ours without writing down what is in them."""

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
    """Have ``app`` consume by the classes here."""
    app.conf.worker_consumer = f"{__name__}:{Consumer.__name__}"
    # A name of our own in the URL, since kombu takes the transport of a redis+socket:// URL from there alone, and may
    # have looked up its own name long before.
    TRANSPORT_ALIASES[_SCHEME] = f"{__name__}:{Transport.__name__}"
    app.conf.broker_url = re.sub("^rediss?(?=[+:])", _SCHEME, app.conf.broker_url)


def _is_message(entry: Any) -> bool:
    """Whether everything is there that is read before anyone looks whether it is."""
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
    # Never the entry itself: it may hold a ticket.
    log.error("malformed queue entry dropped", extra={"reason": reason})
