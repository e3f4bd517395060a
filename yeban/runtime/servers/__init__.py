"""Starts and stops the bundled PostgreSQL and Valkey where no URL is configured."""

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
    """Where the servers answer: a SQLAlchemy URL (psycopg 3) and a redis-py URL."""

    database_url: str
    redis_url: str


@contextlib.contextmanager
def open_servers(settings: Settings) -> Iterator[Endpoints]:
    """Yield the configured URLs; a server without one is started here, kept running, and stopped on exit.

    The servers end with this process however it ends, and no committed data is lost. The URLs stay valid
    through a restart of a server that died.

    Raises :class:`~yeban.errors.ConfigurationError` where a bundled server is needed and not installed, where another
    process owns the data directory, or where that cannot be used; :class:`~yeban.errors.ServiceUnavailable`, quoting
    the server's log, where one does not start.
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
    """Where another live process of this data directory runs the servers that ``settings`` has no URL for.

    None where there is no such process, it has not finished starting, or it lacks a server that is needed.
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
    """As :func:`running_endpoints`, for programs that cannot go on without.

    Raises :class:`~yeban.errors.ConfigurationError` that says what to do.
    """
    endpoints = running_endpoints(settings)
    if endpoints is None:
        raise ConfigurationError(
            msg(
                "There is no database or no Redis: set YEBAN_DATABASE_URL and YEBAN_REDIS_URL, or start "
                "everything with `yeban up`."
            )
        )
    return endpoints
