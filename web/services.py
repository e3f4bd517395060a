"""Connections of a web process, made once with the app and shared by its threads."""

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
#: Seconds past the deadline after which a blocked read fails.
_REDIS_SLACK_S = 2
#: Connections to the database that stay open; under load there may be twice as many. A request holds one during a
#: query only. An upload holds one throughout, so uploads have a limit of their own.
_DATABASE_CONNECTIONS = 10
#: Share of the threads that may wait for workers; the others serve fast requests.
_WAITING_SHARE = 0.75
#: Texts that are always admitted: one in the engine, one behind it.
_LEAST_TEXTS = 2


@dataclass(frozen=True, kw_only=True)
class Services:
    """The settings, a pool of connections to each server, and how many texts, uploads and downloads are in progress."""

    settings: Settings
    database: Database
    redis: redis.Redis
    sender: TaskSender
    texts: Admission
    uploads: Admission
    downloads: Admission

    def send_hints(self) -> None:
        """Queue the next chunks. If that fails, a worker's sweep queues them later."""
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
    """Create the pools, without connecting yet. Raises :class:`~yeban.errors.ConfigurationError` for a bad URL."""
    client = make_redis(
        redis_url,
        # One connection per request thread, and a spare one.
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
        downloads=Admission(msg("downloads"), most=max(1, settings.web_threads // 2)),
    )


def install(extensions: dict[str, object], services: Services) -> None:
    """Store the services of an app for :func:`services`."""
    extensions[_EXTENSION] = services


def services() -> Services:
    """Return the services of the current app."""
    return cast("Services", current_app.extensions[_EXTENSION])
