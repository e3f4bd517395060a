"""Whether this service can do its work: each part that it needs, asked now, and given up after a few seconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

from flask import current_app
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from web.monitoring.deadline import Bounded
from web.services import Services
from yeban.chunks.workers import live_workers
from yeban.errors import ConfigurationError, ServiceUnavailable
from yeban.messaging.queues import redis_problem
from yeban.messaging.tls import tls_failure
from yeban.runtime.programs import ROLES

_EXTENSION = "yeban.health"
#: Seconds after which a server that says nothing counts as away; a supervisor's own limit is often five.
TIMEOUT_S = 3.0


class Health:
    """The parts of one app."""

    def __init__(self, services: Services) -> None:
        self._services = services
        checks: dict[str, Callable[[], str | None]] = {
            "database": self._database,
            "migrations": self._migrations,
            **{f"worker.{role}": partial(self._worker, role) for role in ROLES},
        }
        self._of_database = tuple(checks)
        self._in_database = Bounded(
            "The database", lambda: {name: _problem(check) for name, check in checks.items()}, timeout_s=TIMEOUT_S
        )
        self._in_redis = Bounded("Redis", lambda: {"redis": _problem(self._redis)}, timeout_s=TIMEOUT_S)

    def readiness(self) -> dict[str, str | None]:
        """Problem of each dependency by its name; ``None`` for those that work."""
        questions = ((self._of_database, self._in_database.start()), (("redis",), self._in_redis.start()))
        problems: dict[str, str | None] = {}
        for names, answer in questions:
            try:
                problems |= answer()
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
    """Put the health of an app where :func:`health` finds it."""
    extensions[_EXTENSION] = Health(services)


def health() -> Health:
    """The health of the app that handles the present request."""
    return cast("Health", current_app.extensions[_EXTENSION])


def _problem(check: Callable[[], str | None]) -> str | None:
    try:
        return check()
    except (ConfigurationError, ServiceUnavailable) as error:
        return error.detail
    except SQLAlchemyError:
        return "The database refused the question; its schema may be missing."
