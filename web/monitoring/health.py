"""Health of the service: each dependency is checked on request, within a few seconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

from flask import current_app
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from web.monitoring.deadline import TimedCall
from web.services import Services
from yeban.chunks.workers import live_workers
from yeban.errors import ConfigurationError, ServiceUnavailable
from yeban.messaging.queues import redis_problem
from yeban.messaging.tls import tls_failure
from yeban.runtime.programs import ROLES

_EXTENSION = "yeban.health"
#: Seconds to wait for a server. Supervisors often wait for five.
TIMEOUT_S = 3.0


class Health:
    """Dependencies of one app."""

    def __init__(self, services: Services) -> None:
        self._services = services
        checks: dict[str, Callable[[], str | None]] = {
            "database": self._database,
            "migrations": self._migrations,
            **{f"worker.{role}": partial(self._worker, role) for role in ROLES},
        }
        self._database_checks = tuple(checks)
        self._check_database = TimedCall(
            "The database", lambda: {name: _problem(check) for name, check in checks.items()}, timeout_s=TIMEOUT_S
        )
        self._check_redis = TimedCall("Redis", lambda: {"redis": _problem(self._redis)}, timeout_s=TIMEOUT_S)

    def readiness(self) -> dict[str, str | None]:
        """Return the problem of each dependency by its name; ``None`` if it works."""
        calls = ((self._database_checks, self._check_database.start()), (("redis",), self._check_redis.start()))
        problems: dict[str, str | None] = {}
        for names, wait in calls:
            try:
                problems |= wait()
            except ServiceUnavailable as error:
                problems |= dict.fromkeys(names, error.detail)
        return problems

    def _database(self) -> None:
        self._services.database.ping()

    def _migrations(self) -> None:
        self._services.database.check_schema()

    def _worker(self, role: str) -> str | None:
        if any(worker.role == role for worker in live_workers(self._services.database)):
            return None
        return f"No {role} worker is alive."

    def _redis(self) -> str | None:
        try:
            self._services.redis.ping()
        except (RedisError, OSError) as error:
            return "Redis did not answer." if tls_failure(error) is None else str(redis_problem(error))
        return None


def install(extensions: dict[str, object], services: Services) -> None:
    """Store the health of an app for :func:`health`."""
    extensions[_EXTENSION] = Health(services)


def health() -> Health:
    """Return the health of the current app."""
    return cast("Health", current_app.extensions[_EXTENSION])


def _problem(check: Callable[[], str | None]) -> str | None:
    try:
        return check()
    except (ConfigurationError, ServiceUnavailable) as error:
        return error.detail
    except SQLAlchemyError:
        return "The database rejected the query; its schema may be missing."
