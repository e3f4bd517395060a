"""Lifecycle of a worker process: load, serve, renew leases, stop."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from celery import signals
from redis import Redis

from worker.app import bulk_app, interactive_app
from worker.cache import LayeredStore, MemoryStore, RedisStore
from worker.engine import Stores, open_classifier
from worker.engine.classifier import Classifier
from worker.heartbeat import LOOP_STALLED_S, Heartbeat
from worker.monitoring import WorkerServer, WorkerState, stores_by_name
from worker.process_limits import MemoryLimit, give_way
from worker.tasks.classify_chunks import ChunkRunner
from worker.tasks.classify_text import TextRunner
from worker.tasks.finish_job import JobFinisher
from worker.tasks.in_flight import InFlight
from worker.tasks.models import Models
from yeban.chunks import leases, workers
from yeban.chunks.sweep import finish_scored_jobs, sweep
from yeban.database.engine import Database
from yeban.errors import ServiceUnavailable
from yeban.maintenance.cleanup import tidy
from yeban.messaging.queues import TaskSender, check_tls, make_redis
from yeban.runtime.programs import BULK_ROLE, EXIT_RECYCLED, EXIT_STUCK, Role
from yeban.runtime.servers import Endpoints
from yeban.settings import Settings
from yeban.telemetry import tracing
from yeban.webhooks.announcements import announce
from yeban.webhooks.notifier import Notifier

log = logging.getLogger(__name__)

_DATABASE_CONNECTIONS = 6
_DATABASE_RETRY_S = 1.0  # between two attempts to reach the database at start
_ABANDON_AT = 0.8  # of the drain; then running engine calls are interrupted between two blocks
_LAST_WORDS_S = 5.0  # for webhook deliveries in progress when the process stops
_PAIR_SHARE = 0.75  # of the caches' memory in Redis; the rest is for label embeddings
_TIDYING_S = 60.0  # between two clean-ups of the database
_MISSED_HEARTBEATS = 3  # in a row, after which a worker counts as unhealthy
_LEASE_RENEWALS = 3  # for each lease duration, so that one failed renewal does no harm


class WorkerProcess:
    """One worker process and its resources."""

    def __init__(
        self,
        role: Role,
        settings: Settings,
        endpoints: Endpoints,
        *,
        open_model: Callable[[str], Classifier] | None = None,
    ) -> None:
        """``open_model`` replaces loading a classifier by its name."""
        self._role: Role = role
        self._settings = settings
        self._id = uuid.uuid4()
        self._database = Database(endpoints.database_url, pool_size=_DATABASE_CONNECTIONS)
        self._redis: Redis = make_redis(endpoints.redis_url)
        self._stores = _open_stores(settings, endpoints.redis_url)
        self._heartbeat = Heartbeat(role, settings.heartbeat_file)
        self._in_flight = InFlight()
        self._models = Models(open_model or self._open)
        self._stop = threading.Event()
        self._memory = MemoryLimit(settings.max_rss_mb, partial(self._exit, EXIT_RECYCLED))
        self._exit_status: int | None = None
        if role == BULK_ROLE:
            runner = ChunkRunner(
                database=self._database,
                sender=(sender := TaskSender.connect("yeban-worker", settings, endpoints.redis_url)),
                models=self._models,
                in_flight=self._in_flight,
                worker_id=self._id,
                lease_s=settings.lease_s,
                on_broken_engine=self._on_broken_engine,
            )
            self._sender = sender
            self._notifier = Notifier(self._database, private=settings.webhook_private_addresses)
            self._finish_job = JobFinisher(database=self._database, models=self._models)
            self._app = bulk_app(settings, endpoints.redis_url, classify=runner, finish_job=self._finish_job)
        else:
            texts = TextRunner(redis=self._redis, models=self._models, in_flight=self._in_flight)
            self._app = interactive_app(settings, endpoints.redis_url, classify=texts)
        self._heartbeat.watch(self._app)

    def run(self) -> int:
        """Serve until stopped; returns the exit status."""
        self._heartbeat.prepare()
        self._start_telemetry()
        self._await_schema()
        check_tls(self._redis)
        if self._role == BULK_ROLE:
            give_way(self._settings.bulk_nice)  # before the engine starts threads; the other role answers people
        self._models.get(self._settings.model).classifier.warm_up()
        self._memory.check_start()
        threads = [self._every("keeper", self._keep_interval_s(), self._keep)]
        threads.append(self._every("watchdog", 1.0, self._watch))
        if self._role == BULK_ROLE:
            threads.append(self._every("sweeper", self._settings.sweep_interval_s, self._sweep))
            threads.append(self._every("finisher", self._settings.sweep_interval_s, self._finish_jobs))
            threads.append(self._every("notifier", self._settings.sweep_interval_s, self._notify))
            threads.append(self._every("tidier", _TIDYING_S, self._tidy))
        # A receiver of this signal keeps Celery from configuring logging.
        signals.setup_logging.connect(_keep_logging, weak=False)
        signals.worker_shutting_down.connect(self._on_shutting_down, weak=False)
        celery_worker = self._app.Worker(
            hostname=f"{self._role}-{self._id.hex[:8]}@{socket.gethostname()}",
            loglevel=self._settings.log_level,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            quiet=True,
        )
        try:
            celery_worker.start()
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(timeout=5)
            if self._role == BULK_ROLE:
                self._notifier.stop(_LAST_WORDS_S)
            self._leave()
        return int(celery_worker.exitcode or 0) if self._exit_status is None else self._exit_status

    def _open(self, name: str) -> Classifier:
        settings = self._settings
        return open_classifier(
            name,
            precision=settings.precision,
            device=settings.device,
            session=settings.session,
            threads=settings.engine_threads,
            model_dir=settings.model_dir,
            stores=self._stores,
        )

    def _await_schema(self) -> None:
        """Wait for the database, which may be restarting, and check its schema."""
        while True:
            try:
                return self._database.check_schema()
            except ServiceUnavailable as error:
                if error.context.get("lasting"):
                    raise
                log.warning("waiting for the database: %s", error.detail)
                self._stop.wait(_DATABASE_RETRY_S)

    def _keep_interval_s(self) -> float:
        return min(self._settings.heartbeat_s, self._settings.lease_s / _LEASE_RENEWALS)

    def _keep(self) -> None:
        leases.renew(self._database, self._in_flight.tokens(), lease_s=self._settings.lease_s)
        workers.beat(
            self._database,
            workers.WorkerInfo(
                id=self._id,
                role=self._role,
                host=socket.gethostname(),
                pid=os.getpid(),
                models=self._models.describe(),
                window=2 * self._settings.group_chunks if self._role == BULK_ROLE else 0,
                cache=_counters(self._stores),
            ),
        )
        self._heartbeat.beat()

    def _start_telemetry(self) -> None:
        """Start tracing and the monitoring server, where configured."""
        settings = self._settings
        tracing.start(settings, f"yeban-worker-{self._role}", str(self._id))
        if settings.metrics_port is not None:
            state = WorkerState(
                role=self._role,
                stores=self._stores,
                heartbeat=self._heartbeat,
                max_age_s=_MISSED_HEARTBEATS * self._keep_interval_s() + LOOP_STALLED_S,
            )
            WorkerServer(settings.metrics_host, settings.metrics_port, state).start()

    def _sweep(self) -> None:
        sweep(self._database, self._sender, hint_ttl_s=self._settings.hint_ttl_s)

    def _finish_jobs(self) -> None:
        finish_scored_jobs(self._database, self._finish_job)

    def _notify(self) -> None:
        announce(self._database)
        self._notifier.turn()

    def _tidy(self) -> None:
        tidy(self._database, self._settings, wanted=self._wanted)

    def _wanted(self) -> bool:
        return not self._stop.is_set()

    def _watch(self) -> None:
        idle_s = self._in_flight.longest_idle_s()
        if idle_s > self._settings.group_deadline_s:
            # A thread stuck in native code cannot be stopped. Its leases expire, and other workers take the chunks.
            log.critical("group stuck, exiting", extra={"idle_s": round(idle_s)})
            os._exit(EXIT_STUCK)
        self._memory.check()

    def _every(self, name: str, interval_s: float, action: Callable[[], None]) -> threading.Thread:
        def loop() -> None:
            while True:
                try:
                    action()
                except ServiceUnavailable as error:
                    log.warning("%s: %s", name, error.detail)
                except Exception:
                    log.exception("%s failed, continuing", name)
                if self._stop.wait(interval_s):
                    return

        thread = threading.Thread(target=loop, name=name, daemon=True)
        thread.start()
        return thread

    def _on_shutting_down(self, **_: Any) -> None:
        """Drain: release chunks that have not started, and let running engine calls finish within a limit."""
        drain_s = self._settings.drain_s

        def give_up() -> None:
            log.critical("drain took too long, exiting", extra={"drain_s": drain_s})
            os._exit(EXIT_STUCK)

        self._in_flight.stop()
        for delay_s, action in ((_ABANDON_AT * drain_s, self._in_flight.abandon), (drain_s, give_up)):
            timer = threading.Timer(delay_s, action)
            timer.daemon = True
            timer.start()

    def _on_broken_engine(self, reason: str) -> None:
        log.critical("engine broken, stopping", extra={"reason": reason})
        self._exit(EXIT_STUCK)

    def _exit(self, status: int) -> None:
        """Drain and exit with ``status``, as after SIGTERM."""
        self._exit_status = status
        os.kill(os.getpid(), signal.SIGTERM)

    def _leave(self) -> None:
        try:
            workers.leave(self._database, self._id)
        except ServiceUnavailable as error:
            log.warning("worker not signed off: %s", error.detail)
        self._database.close()
        self._redis.close()
        self._heartbeat.stop()
        tracing.stop()


def _open_stores(settings: Settings, redis_url: str) -> Stores:
    def shared(name: str, share: float) -> RedisStore:
        max_bytes = int(share * settings.cache_redis_mb * 2**20)
        return RedisStore.from_url(redis_url, name, ttl_s=settings.cache_ttl_s, max_bytes=max_bytes)

    return Stores(
        labels=LayeredStore(MemoryStore(settings.cache_label_entries), shared("labels", 1 - _PAIR_SHARE)),
        texts=MemoryStore(settings.cache_text_entries),
        pairs=LayeredStore(MemoryStore(settings.cache_pair_entries), shared("pairs", _PAIR_SHARE)),
    )


def _counters(stores: Stores) -> dict[str, Any]:
    """Counters of each layer of each store, for heartbeats."""
    return {
        name: {layer: counters.to_json() for layer, counters in layers.items()}
        for name, layers in stores_by_name(stores).items()
    }


def _keep_logging(**_: Any) -> None:
    """See :func:`yeban.telemetry.logs.configure_logging`."""
