"""What a web process is connected to; made once with the app and shared by its threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import redis
from flask import current_app
from redis.backoff import NoBackoff
from redis.retry import Retry

from yeban.db import Database
from yeban.errors import ConfigurationError
from yeban.queues import TaskSender, make_celery
from yeban.settings import Settings

_EXTENSION = "yeban"
_REDIS_CONNECT_TIMEOUT_S = 2
#: How far past the deadline a blocked read may last before the connection is given up.
_REDIS_SLACK_S = 2


@dataclass(frozen=True, kw_only=True)
class Services:
    """The settings, and a pool of connections to each server."""

    settings: Settings
    database: Database
    redis: redis.Redis
    sender: TaskSender

    def close(self) -> None:
        """Close every connection."""
        self.database.close()
        self.redis.close()
        self.sender.close()


def open_services(settings: Settings, database_url: str, redis_url: str) -> Services:
    """Make the pools; nothing is connected yet. Raises :class:`~yeban.errors.ConfigurationError` for a bad URL."""
    try:
        client = redis.Redis.from_url(
            redis_url,
            # One connection a request thread, and one to spare.
            max_connections=settings.web_threads + 1,
            socket_connect_timeout=_REDIS_CONNECT_TIMEOUT_S,
            socket_timeout=settings.interactive_deadline_ms / 1000 + _REDIS_SLACK_S,
            # A pooled connection may have been closed by the server: try a new one once, and at once.
            retry=Retry(NoBackoff(), 1),
        )
    except ValueError as error:
        raise ConfigurationError("YEBAN_REDIS_URL is not a Redis URL (redis://host:port/0 or unix://path).") from error
    return Services(
        settings=settings,
        database=Database(database_url, pool_size=settings.web_threads),
        redis=client,
        sender=TaskSender(make_celery("yeban.web", settings, redis_url)),
    )


def install(extensions: dict[str, object], services: Services) -> None:
    """Put the services where :func:`services` finds them."""
    extensions[_EXTENSION] = services


def services() -> Services:
    """The services of the app that handles the present request."""
    return cast("Services", current_app.extensions[_EXTENSION])
