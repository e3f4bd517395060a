"""What a web process is connected to; made once with the app and shared by its threads."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import cast

import redis
from flask import current_app

from web.server.admission import Admission
from yeban.chunks import hints
from yeban.database.engine import Database
from yeban.errors import ServiceUnavailable, msg
from yeban.messaging.queues import TaskSender, make_redis
from yeban.settings import Settings

log = logging.getLogger(__name__)

_EXTENSION = "yeban"
_REDIS_CONNECT_TIMEOUT_S = 2
#: How far past the deadline a blocked read may last before the connection is given up.
_REDIS_SLACK_S = 2
#: Most connections of a process to the database that stay open, and as many again under load. A request holds one only
#: while it asks; an upload, which holds one throughout, is admitted for itself.
_DATABASE_CONNECTIONS = 10
#: Of the threads, those that may wait for workers; the others serve whatever is not that slow.
_WAITING_SHARE = 0.75
#: Texts in progress that are always allowed: one in the engine, one behind it.
_LEAST_TEXTS = 2


@dataclass(frozen=True, kw_only=True)
class Services:
    """The settings, a pool of connections to each server, and how many texts and uploads are in progress."""

    settings: Settings
    database: Database
    redis: redis.Redis
    sender: TaskSender
    texts: Admission
    uploads: Admission

    def send_hints(self) -> None:
        """Queue the next chunks. Where that fails, the sweep of a worker does it, and their jobs start later."""
        try:
            hints.top_up(self.database, self.sender)
        except ServiceUnavailable as error:
            log.warning("no hints sent; a worker's sweep will send them", extra={"error": error.detail})

    def close(self) -> None:
        """Close every connection."""
        self.database.close()
        self.redis.close()
        self.sender.close()


def open_services(settings: Settings, database_url: str, redis_url: str) -> Services:
    """Make the pools; nothing is connected yet. Raises :class:`~yeban.errors.ConfigurationError` for a bad URL."""
    client = make_redis(
        redis_url,
        # One connection a request thread, and one to spare.
        max_connections=settings.web_threads + 1,
        connect_timeout_s=_REDIS_CONNECT_TIMEOUT_S,
        timeout_s=settings.interactive_deadline_ms / 1000 + _REDIS_SLACK_S,
    )
    return Services(
        settings=settings,
        database=Database(database_url, pool_size=_DATABASE_CONNECTIONS),
        redis=client,
        sender=TaskSender.connect("yeban-web", settings, redis_url),
        texts=Admission(
            msg("texts"),
            most=max(_LEAST_TEXTS, int(_WAITING_SHARE * settings.web_threads)),
            least=_LEAST_TEXTS,
            target_s=settings.interactive_target_ms / 1000,
        ),
        uploads=Admission(msg("uploads"), most=min(settings.upload_limit, max(1, settings.web_threads // 4))),
    )


def install(extensions: dict[str, object], services: Services) -> None:
    """Put the services where :func:`services` finds them."""
    extensions[_EXTENSION] = services


def services() -> Services:
    """The services of the app that handles the present request."""
    return cast("Services", current_app.extensions[_EXTENSION])
