"""HTTP server of a worker: ``/metrics`` for Prometheus, ``/healthz`` for a supervisor."""

from __future__ import annotations

import json
import logging
import socket
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from worker.engine import Stores
from worker.heartbeat import Heartbeat
from yeban import __version__
from yeban.errors import ConfigurationError, msg
from yeban.runtime.programs import Role
from yeban.telemetry import metrics
from yeban.telemetry.metrics import CONTENT_TYPE, exposition

log = logging.getLogger(__name__)

#: Seconds after which a silent client is disconnected.
_CLIENT_TIMEOUT_S = 10


@dataclass(frozen=True, kw_only=True)
class WorkerState:
    """Collects the counters of a worker's caches and the age of its heartbeat."""

    role: Role
    stores: Stores
    heartbeat: Heartbeat
    max_age_s: float  # of a healthy heartbeat

    def collect(self) -> Iterable[Any]:
        """Metric families for Prometheus."""
        yield metrics.INFO.family([(("worker", __version__), 1)])
        age_s = self.heartbeat.age_s()
        yield metrics.HEARTBEAT_AGE.family([] if age_s is None else [((), age_s)])
        layers = [
            ((store, layer), counters)
            for store, kept in stores_by_name(self.stores).items()
            for layer, counters in kept.items()
        ]
        yield metrics.CACHE_LOOKUPS.family(
            ((*labels, result), value)
            for labels, counters in layers
            for result, value in (("hit", counters.hits), ("miss", counters.misses))
        )
        yield metrics.CACHE_WRITES.family((labels, counters.writes) for labels, counters in layers)
        yield metrics.CACHE_EVICTIONS.family((labels, counters.evictions) for labels, counters in layers)
        yield metrics.CACHE_FAILURES.family((labels, counters.failures) for labels, counters in layers)
        yield metrics.CACHE_ENTRIES.family(
            (labels, counters.entries) for labels, counters in layers if counters.entries is not None
        )

    def health(self) -> tuple[bool, dict[str, Any]]:
        """True if the heartbeat is recent, and the body of the response."""
        age_s = self.heartbeat.age_s()
        fine = age_s is not None and age_s <= self.max_age_s
        said = "ok" if fine else "no heartbeat yet" if age_s is None else "the heartbeat stopped"
        return fine, {
            "status": said,
            "role": self.role,
            "heartbeat_age_s": None if age_s is None else round(age_s, 1),
            "max_age_s": self.max_age_s,
        }


def stores_by_name(stores: Stores) -> dict[str, Mapping[str, Any]]:
    """Counters of each layer of each store."""
    named = {"labels": stores.labels, "texts": stores.texts, "pairs": stores.pairs}
    return {name: store.stats() for name, store in named.items()}


class WorkerServer(ThreadingHTTPServer):
    """Answers requests in daemon threads."""

    daemon_threads = True

    def __init__(self, host: str, port: int, state: WorkerState) -> None:
        """Listen. Raises :class:`~yeban.errors.ConfigurationError` if the port is not available."""
        self.state = state
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host.strip("[]"), port), _Handler)
        except OSError as error:
            raise ConfigurationError(
                msg(
                    "Cannot serve metrics on port %(port)s of %(host)s (%(reason)s). Each worker on a "
                    "machine needs its own port: set YEBAN_METRICS_PORT to another.",
                    port=port,
                    host=host,
                    reason=error.strerror,
                )
            ) from error

    def server_bind(self) -> None:
        """Bind without the library's DNS look-up of this machine's name."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def start(self) -> None:
        """Answer requests in the background."""
        threading.Thread(target=self.serve_forever, name="monitoring", daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the library's names
        """Log an error; a client that disconnected is not one."""
        level = logging.DEBUG if isinstance(sys.exception(), OSError) else logging.ERROR
        log.log(level, "request for metrics failed", exc_info=sys.exception())


class _Handler(BaseHTTPRequestHandler):
    timeout = _CLIENT_TIMEOUT_S
    server: WorkerServer

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(HTTPStatus.OK, CONTENT_TYPE, exposition(self.server.state))
        elif path == "/healthz":
            fine, said = self.server.state.health()
            status = HTTPStatus.OK if fine else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(status, "application/json", json.dumps(said).encode())
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"There are /metrics and /healthz.\n")

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's names
        """Do not log scrapes."""
