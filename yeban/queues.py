"""What crosses Redis: queue and task names, payloads, and the client that enqueues by name.

A bulk message is only a hint (“look at this chunk”); losing or doubling one harms nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from celery import Celery
from kombu.exceptions import OperationalError as BrokerError
from pydantic import BaseModel, ConfigDict
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

from yeban.errors import ConfigurationError
from yeban.settings import Settings

BULK_QUEUE = "yeban.bulk"
INTERACTIVE_QUEUE = "yeban.interactive"

CLASSIFY_CHUNKS = "yeban.classify_chunks"
CLASSIFY_TEXT = "yeban.classify_text"
FINISH_JOB = "yeban.finish_job"

#: What a broken or absent broker can raise at a sender.
SEND_ERRORS: tuple[type[Exception], ...] = (BrokerError, RedisError, OSError)

_SOCKET_TIMEOUT_S = 5
# A group may take longer: its messages are then delivered again, and found to be claimed or done.
_VISIBILITY_TIMEOUT_S = 600


class ChunkHint(BaseModel):
    """Payload of :data:`CLASSIFY_CHUNKS`: one chunk worth looking at."""

    model_config = ConfigDict(frozen=True)

    chunk_id: int


class TextRequest(BaseModel):
    """Payload of :data:`CLASSIFY_TEXT`: one text to score now."""

    model_config = ConfigDict(frozen=True)

    text: str
    label_set: dict[str, Any]  # LabelSet.to_json()
    model: str
    reply_to: str  # Redis list the answer is pushed to
    sent_at: float  # Unix seconds
    deadline: float  # Unix seconds; a later answer has no reader


class TextReply(BaseModel):
    """What a worker pushes to ``reply_to``: scores in label order, or an error."""

    model_config = ConfigDict(frozen=True)

    scores: list[float] = []
    model: str = ""
    fingerprint: str = ""
    precision: str = ""
    session: str = ""
    queue_ms: float = 0.0
    inference_ms: float = 0.0
    truncated: bool = False
    cached: bool = False  # nothing had to be computed
    cache_lookups: int = 0  # in what the model keeps: texts, or pairs of text and label
    cache_hits: int = 0
    error_code: str | None = None
    error_detail: str | None = None


def broker_url(redis_url: str) -> str:
    """The URL kombu wants for a redis-py URL (Unix sockets are spelled differently there)."""
    if not redis_url.startswith("unix://"):
        return redis_url
    parts = urlsplit(redis_url)
    query = parse_qs(parts.query)
    database = query.get("db", ["0"])[0]
    credentials = f"{parts.netloc}@" if parts.netloc and not parts.netloc.endswith("@") else parts.netloc
    return f"redis+socket://{credentials}{parts.path}?virtual_host={database}"


def make_redis(
    redis_url: str,
    *,
    timeout_s: float = _SOCKET_TIMEOUT_S,
    connect_timeout_s: float = _SOCKET_TIMEOUT_S,
    max_connections: int | None = None,
) -> Redis:
    """A pooled redis-py client that gives up after ``timeout_s`` instead of hanging. Values stay bytes.

    Raises :class:`~yeban.errors.ConfigurationError` for a URL that is none; connects on first use.

    A command whose connection is lost is sent once more at once, since the pool may hold one that the server closed
    long ago; redis-py's own default would go on for seconds.
    """
    # A Unix socket has no keepalive, and redis-py refuses to be asked for one.
    keepalive = {} if redis_url.startswith("unix://") else {"socket_keepalive": True}
    try:
        return Redis.from_url(
            redis_url,
            max_connections=max_connections,
            socket_connect_timeout=min(connect_timeout_s, timeout_s),
            socket_timeout=timeout_s,
            health_check_interval=15,
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
            **keepalive,
        )
    except ValueError as error:
        raise ConfigurationError("YEBAN_REDIS_URL is not a Redis URL (redis://, rediss:// or unix://).") from error


def make_celery(name: str, settings: Settings, redis_url: str) -> Celery:
    """A Celery app with everything that senders and workers must agree on."""
    app = Celery(name, broker=broker_url(redis_url), set_as_current=False)
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
    """Enqueues tasks by name; imports no worker code. Safe to share between threads."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    @classmethod
    def connect(cls, name: str, settings: Settings, redis_url: str) -> TaskSender:
        """A sender with a Celery app of its own; connects on first use."""
        return cls(make_celery(name, settings, redis_url))

    def hint_chunks(self, chunk_ids: Sequence[int]) -> None:
        """Send one hint a chunk over a single connection. Raises one of :data:`SEND_ERRORS`."""
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
        """Ask for a job's summary to be made. Raises one of :data:`SEND_ERRORS`."""
        self._app.send_task(FINISH_JOB, kwargs={"job_id": job_id}, queue=BULK_QUEUE, retry=False)

    def close(self) -> None:
        """Close every pooled connection; the next send opens a new one."""
        self._app.close()
