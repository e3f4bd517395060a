"""Removal of deleted and expired data, run by workers."""

from __future__ import annotations

import logging
from collections.abc import Callable

from yeban import drafts, label_sets
from yeban.accounts import people
from yeban.database.engine import Database
from yeban.errors import ServiceUnavailable
from yeban.jobs import retention
from yeban.settings import Settings
from yeban.telemetry import metrics
from yeban.webhooks import deliveries, endpoints

log = logging.getLogger(__name__)

Wanted = Callable[[], bool]


def tidy(database: Database, settings: Settings, *, wanted: Wanted) -> None:
    """Remove deleted and expired data until ``wanted()`` is false. Safe in any number of processes.

    A kind that fails does not stop the others. Raises :class:`~yeban.errors.ServiceUnavailable` if the database is
    away.
    """
    steps: dict[str, Callable[[], int]] = {
        "jobs": lambda: _remove_jobs(database, settings, wanted),
        "embeddings": lambda: _remove_embeddings(database, settings, wanted),
        "drafts": lambda: drafts.delete_old_drafts(database, wanted=wanted),
        "label_sets": lambda: label_sets.remove_deleted(database),
        "messages": lambda: deliveries.forget_old(database),
        "secrets": lambda: endpoints.forget_former_secrets(database),
        "sessions": lambda: people.forget_ended_sessions(database),
    }
    for what, remove in steps.items():
        if not wanted():
            return
        try:
            metrics.REMOVED.labels(what=what).inc(remove())
        except ServiceUnavailable:
            raise
        except Exception:
            log.exception("removal failed", extra={"what": what})


def _remove_jobs(database: Database, settings: Settings, wanted: Wanted) -> int:
    if settings.retention_days is not None:
        retention.delete_old_jobs(database, settings.retention_days)
    return retention.purge(database, wanted=wanted)


def _remove_embeddings(database: Database, settings: Settings, wanted: Wanted) -> int:
    if settings.embedding_days is None:
        return 0
    return retention.forget_embeddings(database, settings.embedding_days, wanted=wanted)
