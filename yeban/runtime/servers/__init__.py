"""Bundled PostgreSQL and Valkey, for settings without a URL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from yeban.errors import ConfigurationError, msg
from yeban.runtime.servers import ownership, places, software
from yeban.runtime.servers.postgres import Postgres
from yeban.runtime.servers.valkey import Valkey
from yeban.runtime.supervisor import Supervisor
from yeban.settings import Settings

__all__ = ["Endpoints", "find_endpoints", "open_servers", "running_endpoints"]


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """URLs of the servers: a SQLAlchemy URL (psycopg 3) and a redis-py URL."""

    database_url: str
    redis_url: str


@contextlib.contextmanager
def open_servers(settings: Settings) -> Iterator[Endpoints]:
    """Yield the configured URLs. A server without one is started, supervised, and stopped on exit.

    The servers never outlive this process, and no committed data is lost. The URLs stay valid when a server restarts.

    Raises :class:`~yeban.errors.ConfigurationError` if a bundled server is not installed, another process owns the data
    directory, or it cannot be used; :class:`~yeban.errors.ServiceUnavailable`, quoting the log, if a server does not
    start.
    """
    if settings.database_url and settings.redis_url:
        yield Endpoints(database_url=settings.database_url, redis_url=settings.redis_url)
        return
    postgres_software = None if settings.database_url else software.find_postgres()
    valkey_software = None if settings.redis_url else software.find_valkey()
    with ownership.own(settings.data_dir) as owned:
        where = places.make(settings.data_dir)
        valkey = Valkey(where, software.within_reach(valkey_software, where)) if valkey_software else None
        postgres = Postgres(where, software.within_reach(postgres_software, where)) if postgres_software else None
        supervisor = Supervisor([server for server in (valkey, postgres) if server])
        started = ownership.Started(
            database_url=postgres.url if postgres else None, redis_url=valkey.url if valkey else None
        )
        try:
            supervisor.start()
            owned.publish(started)
            yield Endpoints(
                database_url=settings.database_url or str(started.database_url),
                redis_url=settings.redis_url or str(started.redis_url),
            )
        finally:
            owned.retract()
            supervisor.stop()
            where.tidy()


def running_endpoints(settings: Settings) -> Endpoints | None:
    """The configured URLs, completed by those of the live process that runs servers on this data directory.

    None if a URL is missing: there is no such process, it is still starting, or it does not run that server.
    """
    started = None
    if not (settings.database_url and settings.redis_url):
        started = ownership.published(settings.data_dir)
    database_url = settings.database_url or (started and started.database_url)
    redis_url = settings.redis_url or (started and started.redis_url)
    if not (database_url and redis_url):
        return None
    return Endpoints(database_url=database_url, redis_url=redis_url)


def find_endpoints(settings: Settings) -> Endpoints:
    """As :func:`running_endpoints`, but raises :class:`~yeban.errors.ConfigurationError` for a missing URL."""
    endpoints = running_endpoints(settings)
    if endpoints is None:
        raise ConfigurationError(
            msg(
                "No database or no Redis is configured. Set YEBAN_DATABASE_URL and YEBAN_REDIS_URL, or start "
                "everything with `yeban up`."
            )
        )
    return endpoints
