"""Sends due deliveries to several receivers at a time."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from opentelemetry.trace import SpanKind
from opentelemetry.util.types import Attributes

from yeban.accounts.viewer import Viewer
from yeban.database.engine import Database
from yeban.errors import InvalidRequest, ServiceUnavailable
from yeban.telemetry import metrics, tracing
from yeban.webhooks import deliveries, signatures, targets
from yeban.webhooks.deliveries import DeliveryState, Message
from yeban.webhooks.endpoints import find_webhook
from yeban.webhooks.events import Event, body, payload
from yeban.webhooks.failures import Failure
from yeban.webhooks.sender import LIMIT_S, Answer, send

log = logging.getLogger(__name__)

_SLOTS = 8  # receivers served at a time
_STAY_S = 10.0  # maximum time for one receiver while others wait


class Notifier:
    """Sends due deliveries, with one thread per host and port. Safe in any number of processes.

    A thread serves its host for a few seconds and skips a webhook after a failure. Hosts that have waited longest come
    first, so unreachable receivers, however many, delay the others only briefly.
    """

    def __init__(self, database: Database, *, private: bool, limit_s: float = LIMIT_S) -> None:
        """``private`` allows receivers in private networks; ``limit_s`` bounds an attempt."""
        self._database = database
        self._private = private
        self._limit_s = limit_s
        self._serving: dict[str, threading.Thread] = {}  # by host
        self._served: dict[str, float] = {}  # when a host was last served
        self._lock = threading.Lock()
        self._asking = threading.Lock()  # all threads share one connection to the database
        self._stopped = threading.Event()

    def turn(self) -> None:
        """Start a thread for each host with a due delivery while slots are free.

        Raises :class:`~yeban.errors.ServiceUnavailable` if the database is away.
        """
        hosts: dict[str, list[int]] = {}
        for webhook_id, url in deliveries.due_webhooks(self._database):
            hosts.setdefault(_authority(url), []).append(webhook_id)
        with self._lock:
            self._served = {host: at for host, at in self._served.items() if host in hosts}
            for host in sorted(hosts, key=lambda host: self._served.get(host, 0.0)):
                if self._stopped.is_set() or len(self._serving) >= _SLOTS:
                    break
                if host not in self._serving:
                    self._begin(host, set(hosts[host]))

    def stop(self, timeout_s: float) -> None:
        """Start nothing more and wait up to ``timeout_s`` for attempts in progress; the rest are repeated later."""
        self._stopped.set()
        end = time.monotonic() + timeout_s
        with self._lock:
            serving = list(self._serving.values())
        for thread in serving:
            thread.join(max(0.0, end - time.monotonic()))

    def _begin(self, host: str, webhook_ids: set[int]) -> None:
        self._served[host] = time.monotonic()
        thread = threading.Thread(target=self._serve, args=(host, webhook_ids), name="webhook", daemon=True)
        self._serving[host] = thread
        thread.start()

    def _serve(self, host: str, webhook_ids: set[int]) -> None:
        until = time.monotonic() + _STAY_S
        try:
            while webhook_ids and not self._stopped.is_set() and time.monotonic() < until:
                with self._asking:
                    message = deliveries.claim(self._database, webhook_ids)
                if message is None:
                    return
                if not self._deliver(host, message):
                    webhook_ids.discard(message.webhook_id)
        except ServiceUnavailable as error:
            log.warning("webhook: %s", error.detail)
        except Exception:
            log.exception("webhook failed")
        finally:
            with self._lock:
                del self._serving[host]

    def _deliver(self, host: str, message: Message) -> bool:
        # Only the host goes into spans and logs: the path may be a secret.
        known: Attributes = {
            "yeban.delivery.id": str(message.id),
            "server.address": host,
            "yeban.attempt": message.attempt,
        }
        with tracing.span("tell a webhook", known, kind=SpanKind.PRODUCER) as span:
            answer = _send(
                message.url, message.secrets, message.id, message.payload, private=self._private, limit_s=self._limit_s
            )
            if answer.status is not None:
                span.set_attributes({"http.response.status_code": answer.status})
            if answer.failure is not None:
                tracing.fail(span, answer.failure.value)
        with self._asking:
            state = deliveries.record(self._database, message, answer)
        metrics.WEBHOOK_SECONDS.observe(answer.seconds)
        metrics.WEBHOOK_TRIES.labels(outcome="failed" if state is DeliveryState.WAITING else state.value).inc()
        facts = {"delivery": str(message.id), "host": host, "attempt": message.attempt, "status": answer.status}
        if answer.failure is None:
            log.info("webhook delivered", extra=facts)
            return True
        level = logging.WARNING if state is DeliveryState.GIVEN_UP else logging.INFO
        log.log(level, "webhook %s", _WORDS[state], extra={**facts, "failure": answer.failure.value})
        return False


def send_test(database: Database, public_id: uuid.UUID, *, private: bool, viewer: Viewer) -> Answer:
    """Send a test message now and return the answer. Raises ``NotFound``.

    It takes up to :data:`~yeban.webhooks.sender.LIMIT_S`, is not stored, and is not repeated.
    """
    with database.begin() as connection:
        webhook = find_webhook(connection, public_id, viewer=viewer)
    content = payload(Event.TEST, datetime.now(UTC), {"webhook": str(webhook.id)})
    return _send(webhook.url, webhook.secrets, uuid.uuid4(), content, private=private, limit_s=LIMIT_S)


_WORDS = {DeliveryState.WAITING: "not delivered, tried again later", DeliveryState.GIVEN_UP: "given up"}


def _send(
    url: str,
    secrets: Sequence[str],
    message_id: uuid.UUID,
    content: Mapping[str, Any],
    *,
    private: bool,
    limit_s: float,
) -> Answer:
    try:
        target = targets.parse(url)
    except InvalidRequest:  # no longer accepted by today's checks
        return Answer(status=None, failure=Failure.ADDRESS_REFUSED, seconds=0.0)
    sent = body(content)
    headers = signatures.headers(secrets, str(message_id), int(time.time()), sent)
    return send(target, headers, sent, private=private, limit_s=limit_s)


def _authority(url: str) -> str:
    """Host and port of a URL, ``""`` if it is invalid."""
    try:
        return targets.parse(url).authority
    except InvalidRequest:
        return ""
