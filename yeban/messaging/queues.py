"""Queue and task names, message payloads, and the client that sends tasks.

A bulk message is only a hint (“look at this chunk”); losing or doubling one does no harm.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError as BrokerError
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

from yeban.errors import Message, ServiceUnavailable, msg
from yeban.messaging.redis_url import parse_redis_url
from yeban.messaging.tls import tls_failure
from yeban.settings import Settings

log = logging.getLogger(__name__)

BULK_QUEUE = "yeban.bulk"
INTERACTIVE_QUEUE = "yeban.interactive"
#: Redis hash in which kombu keeps unacknowledged messages of all queues.
UNACKNOWLEDGED_KEY = "unacked"

CLASSIFY_CHUNKS = "yeban.classify_chunks"
CLASSIFY_TEXT = "yeban.classify_text"
FINISH_JOB = "yeban.finish_job"

#: Exceptions of sending to a broken or unreachable broker.
SEND_ERRORS: tuple[type[Exception], ...] = (BrokerError, RedisError, OSError)

_SOCKET_TIMEOUT_S = 5
# Messages of a slower group are redelivered, and dropped because their chunks are claimed or done.
_VISIBILITY_TIMEOUT_S = 600


class ChunkHint(BaseModel):
    """Payload of :data:`CLASSIFY_CHUNKS`: one chunk worth looking at."""

    model_config = ConfigDict(frozen=True)

    chunk_id: int = Field(ge=1, le=2**63 - 1)


class TextRequest(BaseModel):
    """Payload of :data:`CLASSIFY_TEXT`: one text to score now."""

    model_config = ConfigDict(frozen=True)

    text: str
    label_set: dict[str, Any]  # LabelSet.to_json()
    model: str
    reply_to: str  # Redis list for the answer
    sent_at: FiniteFloat  # Unix seconds
    deadline: FiniteFloat  # Unix seconds; later answers are not read
    trace: dict[str, str] = {}  # the caller's span; empty without tracing


class TextReply(BaseModel):
    """A worker's answer, pushed to ``reply_to``: scores in label order, or an error."""

    model_config = ConfigDict(frozen=True)

    scores: list[FiniteFloat] = []
    model: str = ""
    fingerprint: str = ""
    precision: str = ""
    session: str = ""
    queue_ms: FiniteFloat = 0.0
    inference_ms: FiniteFloat = 0.0
    truncated: bool = False
    cached: bool = False  # everything came from the cache
    cache_lookups: int = 0  # of texts, or pairs of text and label
    cache_hits: int = 0
    error_code: str | None = None
    error_message: dict[str, Any] | None = None


def make_redis(
    redis_url: str,
    *,
    timeout_s: float = _SOCKET_TIMEOUT_S,
    connect_timeout_s: float = _SOCKET_TIMEOUT_S,
    max_connections: int | None = None,
) -> Redis:
    """Create a pooled redis-py client that gives up after ``timeout_s``. Values are bytes.

    It connects on first use, and verifies the certificate of a ``rediss://`` server unless the URL says otherwise. A
    command is sent once more if its connection is lost: the server may have closed a pooled connection long ago, and
    redis-py's default retries for seconds. Raises :class:`~yeban.errors.ConfigurationError` for an invalid URL.
    """
    # redis-py rejects keepalive for a Unix socket.
    keepalive = {} if redis_url.startswith("unix://") else {"socket_keepalive": True}
    return Redis.from_url(
        parse_redis_url(redis_url).client_url,
        max_connections=max_connections,
        socket_connect_timeout=min(connect_timeout_s, timeout_s),
        socket_timeout=timeout_s,
        health_check_interval=15,
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        **keepalive,
    )


def redis_problem(error: BaseException) -> Message:
    """Describe an error of a :func:`make_redis` client in one sentence, with advice for a TLS failure."""
    reason = tls_failure(error)
    if reason is not None:
        return msg(
            "Cannot make a trusted TLS connection to Redis: %(reason)s. Check YEBAN_REDIS_URL and the "
            "server's certificate.",
            reason=reason,
        )
    return msg("Redis does not answer (%(error)s). Check YEBAN_REDIS_URL.", error=error)


def check_tls(client: Redis) -> None:
    """Raise :class:`~yeban.errors.ServiceUnavailable` if TLS with Redis fails. Ignores other failures."""
    try:
        client.ping()
    except SEND_ERRORS as error:
        if tls_failure(error) is not None:
            raise ServiceUnavailable(redis_problem(error)) from error


def make_celery(name: str, settings: Settings, redis_url: str) -> Celery:
    """Create a Celery app with the settings that senders and workers share.

    Raises :class:`~yeban.errors.ConfigurationError` for an invalid URL.
    """
    address = parse_redis_url(redis_url)
    if address.unverified is not None:
        log.warning("Redis may be anyone: YEBAN_REDIS_URL says not to check its %s", address.unverified)
    app = Celery(name, broker=address.broker_url, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_default_queue=BULK_QUEUE,
        task_create_missing_queues=True,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        enable_utc=True,
        broker_connection_timeout=_SOCKET_TIMEOUT_S,
        broker_use_ssl=address.broker_tls or False,
        broker_transport_options={
            "visibility_timeout": max(_VISIBILITY_TIMEOUT_S, int(2 * settings.group_deadline_s)),
            "socket_timeout": _SOCKET_TIMEOUT_S,
            "socket_connect_timeout": _SOCKET_TIMEOUT_S,
            "socket_keepalive": True,
            "health_check_interval": 15,
        },
    )
    return app


class TaskSender:
    """Sends tasks by name, without importing worker code. Thread-safe."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    @classmethod
    def connect(cls, name: str, settings: Settings, redis_url: str) -> TaskSender:
        """Create a sender with its own Celery app; it connects on first use."""
        return cls(make_celery(name, settings, redis_url))

    def hint_chunks(self, chunk_ids: Sequence[int]) -> None:
        """Send one hint per chunk over one connection. Raises one of :data:`SEND_ERRORS`."""
        with self._app.producer_pool.acquire(block=True, timeout=_SOCKET_TIMEOUT_S) as producer:
            for chunk_id in chunk_ids:
                self._app.send_task(
                    CLASSIFY_CHUNKS,
                    kwargs=ChunkHint(chunk_id=chunk_id).model_dump(),
                    queue=BULK_QUEUE,
                    producer=producer,
                    retry=False,
                )

    def classify_text(self, request: TextRequest) -> None:
        """Send one interactive request. Raises one of :data:`SEND_ERRORS`."""
        self._app.send_task(CLASSIFY_TEXT, kwargs=request.model_dump(), queue=INTERACTIVE_QUEUE, retry=False)

    def finish_job(self, job_id: int) -> None:
        """Ask a worker to finish a job. Raises one of :data:`SEND_ERRORS`."""
        self._app.send_task(FINISH_JOB, kwargs={"job_id": job_id}, queue=BULK_QUEUE, retry=False)

    def close(self) -> None:
        """Close every pooled connection; the next send opens a new one."""
        self._app.close()
