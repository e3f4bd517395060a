"""Whether this service can do its work: each part that it needs, asked now."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from web.services import Services
from yeban.errors import ConfigurationError, ServiceUnavailable
from yeban.jobs.workers import live_workers
from yeban.programs import ROLES
from yeban.queues import redis_problem
from yeban.tls import tls_failure


def readiness(services: Services) -> dict[str, dict[str, Any]]:
    """Each part by name: ``{"ok": …}``, and why not where it is not."""
    checks: dict[str, Callable[[], str | None]] = {
        "database": partial(_database, services),
        "migrations": partial(_migrations, services),
        "redis": partial(_redis, services),
        **{f"worker.{role}": partial(_worker, services, role) for role in ROLES},
    }
    parts = {}
    for name, check in checks.items():
        try:
            problem = check()
        except (ConfigurationError, ServiceUnavailable) as error:
            problem = error.detail
        except SQLAlchemyError:
            problem = "The database refused the question; its schema may be missing."
        parts[name] = {"ok": problem is None} | ({} if problem is None else {"detail": problem})
    return parts


def _database(services: Services) -> None:
    services.database.ping()


def _migrations(services: Services) -> None:
    services.database.check_schema()


def _redis(services: Services) -> str | None:
    try:
        services.redis.ping()
    except (RedisError, OSError) as error:
        return "Redis did not answer." if tls_failure(error) is None else redis_problem(error)
    return None


def _worker(services: Services, role: str) -> str | None:
    if any(worker.role == role for worker in live_workers(services.database)):
        return None
    return f"No {role} worker is alive."
