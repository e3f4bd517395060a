"""The Celery apps of worker processes and their configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from celery import Celery
from kombu.entity import Queue

from worker import broker
from worker.tasks.grouping import Grouper, GroupPolicy, register
from yeban.messaging.queues import (
    BULK_QUEUE,
    CLASSIFY_CHUNKS,
    CLASSIFY_TEXT,
    FINISH_JOB,
    INTERACTIVE_QUEUE,
    ChunkHint,
    TextRequest,
    make_celery,
)
from yeban.settings import Settings

_SLOTS = 2
#: Prefetched groups: the running ones and a full one behind them.
_GROUPS_PREFETCHED = 3


def _worker_app(name: str, settings: Settings, redis_url: str, *, queue: str, group_size: int, threads: int) -> Celery:
    app = make_celery(name, settings, redis_url)
    broker.install(app)
    # Celery multiplies by the number of threads. Rounded up, so that a full group is always prefetched.
    multiplier = -(-group_size * _GROUPS_PREFETCHED // threads)
    app.conf.update(
        task_queues=[Queue(queue)],
        task_acks_late=True,
        worker_pool="threads",
        worker_concurrency=threads,
        worker_prefetch_multiplier=multiplier,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
    )
    return app


def bulk_app(
    settings: Settings,
    redis_url: str,
    *,
    classify: Callable[[Sequence[ChunkHint]], None],
    finish_job: Callable[[int], Any],
) -> Celery:
    """The app of the bulk role: groups of chunks, and finishing jobs."""
    # One thread more than slots, so that finishing a job neither waits for a slot nor takes one.
    app = _worker_app(
        "yeban-bulk", settings, redis_url, queue=BULK_QUEUE, group_size=settings.group_chunks, threads=_SLOTS + 1
    )
    policy = GroupPolicy(size=settings.group_chunks, wait_s=settings.group_wait_ms / 1000, slots=_SLOTS)
    register(app, CLASSIFY_CHUNKS, Grouper(ChunkHint, policy, classify))

    def finish(job_id: int) -> None:
        finish_job(job_id)

    # Acknowledged early: on a lost connection Celery cancels unacknowledged tasks, which the threads pool cannot do,
    # and the worker would exit. The sweep finishes a job whose message is lost.
    app.task(finish, name=FINISH_JOB, ignore_result=True, acks_late=False)
    return app


def interactive_app(settings: Settings, redis_url: str, *, classify: Callable[[Sequence[TextRequest]], None]) -> Celery:
    """The app of the interactive role: small groups of single texts."""
    size = settings.interactive_group_texts
    app = _worker_app(
        "yeban-interactive", settings, redis_url, queue=INTERACTIVE_QUEUE, group_size=size, threads=_SLOTS
    )
    policy = GroupPolicy(size=size, wait_s=settings.interactive_wait_ms / 1000, slots=_SLOTS)
    register(app, CLASSIFY_TEXT, Grouper(TextRequest, policy, classify))
    return app
