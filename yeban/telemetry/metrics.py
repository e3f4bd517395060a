"""Every metric there is, with its labels and what it means.

Labels take few values: names of states, codes, routes and models, never a job's number or anything a caller typed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from yeban.database.tables.states import ENDED, JobState
from yeban.errors import YebanError
from yeban.labels import Status

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # where prometheus-client looks


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric. ``known`` has label values that are shown as zero before they occur, so that rates begin there.

    A ``collected`` one is not counted by us: a collector finds its value when it is asked for.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    known: tuple[tuple[str, ...], ...] = ()
    collected: bool = False

    def add(self, amount: float = 1, **labels: str) -> None:
        """Count ``amount`` more of a counter."""
        self._of(labels).inc(amount)

    def observe(self, value: float, **labels: str) -> None:
        """Enter a value into a histogram."""
        self._of(labels).observe(value)

    def put(self, value: float, **labels: str) -> None:
        """Set a gauge."""
        self._of(labels).set(value)

    def family(self, values: Iterable[tuple[Sequence[str], float]]) -> Any:
        """What a collector yields: the metric with a value for each tuple of label values."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415 - see above

        kind = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        made = kind(self.name, self.help, labels=self.labels)
        for labels, value in values:
            made.add_metric(labels, value)
        return made

    def _of(self, labels: dict[str, str]) -> Any:
        # prometheus-client takes several times as long to find the child for some labels.
        key = (self.name, *labels.items())
        child = _state.children.get(key)
        if child is None:
            made = (_state.made or _make())[self.name]
            child = _state.children[key] = made.labels(**labels) if labels else made
        return child


@dataclass
class _State:
    made: dict[str, Any] | None = None
    children: dict[Any, Any] = field(default_factory=dict)
    registry: Any = None
    folder: Path | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


_state = _State()


def share(folder: Path) -> None:
    """Put the numbers of this process and of those it forks together in ``folder``; to be called before the first.

    Raises ``RuntimeError`` if something was counted already.
    """
    with _state.lock:
        if _state.made is not None:
            raise RuntimeError("metrics were counted before their folder was known")
        _state.folder = folder


def forget_process(pid: int) -> None:
    """Take away what only a living process has to show; what it counted stays."""
    if _state.folder is not None:
        from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - see above

        mark_process_dead(pid, str(_state.folder))


def exposition(*collectors: Any) -> bytes:
    """Everything in Prometheus' text format, with what ``collectors`` find now."""
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415 - see above
    from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415 - see above

    _ = _state.made or _make()
    registry = CollectorRegistry(auto_describe=False)
    if _state.folder is None:
        registry.register(_state.registry)
    else:
        MultiProcessCollector(registry, str(_state.folder))
        registry.register(_Processes(_state.folder))
    for collector in collectors:
        registry.register(collector)
    return generate_latest(registry)


def _make() -> dict[str, Any]:
    """Make every metric that is counted, once a process."""
    with _state.lock:
        if _state.made is not None:
            return _state.made
        from prometheus_client import (  # noqa: PLC0415 - see above
            CollectorRegistry,
            GCCollector,
            PlatformCollector,
            ProcessCollector,
            disable_created_metrics,
            values,
        )

        if _state.folder is None:
            values.ValueClass = values.MutexValue  # whatever folder somebody else's variable names
        else:
            os.environ[_FOLDER_VARIABLE] = str(_state.folder)
            values.ValueClass = values.MultiProcessValue()
        disable_created_metrics()  # a time series more for each one, which nobody reads
        registry = CollectorRegistry(auto_describe=False)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        from yeban.telemetry.metrics import TABLE  # noqa: PLC0415 - it stands on this module

        made = {name: _made(metric, registry) for name, metric in TABLE.items() if not metric.collected}
        _state.registry, _state.made = registry, made
        return made


def _made(metric: Metric, registry: CollectorRegistry) -> Any:
    from prometheus_client import Counter, Gauge, Histogram  # noqa: PLC0415 - see above

    given = (metric.name, metric.help, metric.labels)
    made: Counter | Gauge | Histogram
    if metric.kind == "histogram":
        made = Histogram(*given, buckets=metric.buckets, registry=registry)
    elif metric.kind == "gauge":
        made = Gauge(*given, multiprocess_mode="livesum", registry=registry)
    else:
        made = Counter(*given, registry=registry)
    for values in metric.known:
        made.labels(*values)
    return made


@dataclass(frozen=True)
class _Processes:
    """What the processes that share a folder take together; each that lives has a file of gauges there."""

    folder: Path

    def collect(self) -> Iterable[Any]:
        from prometheus_client import ProcessCollector  # noqa: PLC0415 - see above

        sums: dict[str, Any] = {}
        for path in self.folder.glob("gauge_livesum_*.db"):
            pid = path.stem.rpartition("_")[2]
            for family in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
                if family.name in {"process_max_fds", "process_start_time_seconds"}:
                    continue
                first = sums.setdefault(family.name, family)
                if first is not family:
                    sample = first.samples[0]
                    first.samples[0] = sample._replace(value=sample.value + family.samples[0].value)
        return sums.values()


_MOMENTS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SPANS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

TABLE: dict[str, Metric] = {}


def _counter(
    name: str, help_text: str, *labels: str, known: Iterable[tuple[str, ...]] = (), collected: bool = False
) -> Metric:
    return _enter(
        Metric(name=name, kind="counter", help=help_text, labels=labels, known=tuple(known), collected=collected)
    )


def _histogram(name: str, help_text: str, *labels: str, buckets: Sequence[float]) -> Metric:
    return _enter(Metric(name=name, kind="histogram", help=help_text, labels=labels, buckets=tuple(buckets)))


def _gauge(name: str, help_text: str, *labels: str, collected: bool = True) -> Metric:
    return _enter(Metric(name=name, kind="gauge", help=help_text, labels=labels, collected=collected))


def _enter(metric: Metric) -> Metric:
    TABLE[metric.name] = metric
    return metric


# What the web finds in the database and in Redis when it is asked.
UP = _gauge("yeban_up", "1 if the part answered when it was last asked.", "part")
QUEUE_MESSAGES = _gauge("yeban_queue_messages", "Messages that wait in a queue.", "queue")
UNACKNOWLEDGED = _gauge("yeban_unacknowledged_messages", "Messages that workers have and did not acknowledge yet.")
JOBS = _gauge("yeban_jobs", "Jobs that have not ended, by state.", "state")
CHUNKS = _gauge("yeban_chunks", "Chunks that are not done, of jobs that have not ended, by state.", "state")
WORKERS = _gauge("yeban_workers", "Workers whose heartbeat is recent, by role.", "role")

# Jobs.
JOBS_CREATED = _counter("yeban_jobs_created_total", "Jobs that were stored.")
JOBS_ENDED = _counter(
    "yeban_jobs_ended_total",
    "Jobs that came to an end, by state; a job refined again counts again.",
    "state",
    known=[(state.value,) for state in JobState if state in ENDED],
)
UPLOADED_BYTES = _counter("yeban_uploaded_bytes_total", "Bytes of the files that jobs were made of.")
UPLOADED_ROWS = _counter("yeban_uploaded_rows_total", "Rows of the files that jobs were made of.")
ROWS = _counter(
    "yeban_rows_total",
    "Rows whose result was stored, by status.",
    "status",
    known=[(status.value,) for status in Status],
)
REFINEMENT_SECONDS = _histogram(
    "yeban_refinement_seconds", "Learning from a whole file and deciding its rows anew.", buckets=_SPANS_S
)
REFINEMENTS = _counter(
    "yeban_refinements_total", "Refinements, by outcome.", "outcome", known=[("done",), ("skipped",), ("failed",)]
)

# Chunks and their messages.
CHUNKS_DONE = _counter("yeban_chunks_done_total", "Chunks whose results were stored.")
CHUNKS_RETRIED = _counter("yeban_chunks_retried_total", "Chunks queued again after their scoring failed.")
CHUNKS_BISECTED = _counter("yeban_chunks_bisected_total", "Chunks halved to find the row that breaks the engine.")
CHUNKS_LATE = _counter(
    "yeban_chunks_late_total", "Chunks whose results came after their lease was lost, and were dropped."
)
ROWS_QUARANTINED = _counter(
    "yeban_rows_quarantined_total", "Rows given up because they break the engine or its worker."
)
LEASES_EXPIRED = _counter("yeban_leases_expired_total", "Leases that ran out before their chunk was done.")
HINTS_SENT = _counter("yeban_hints_sent_total", "Hints put on the queue.")
HINTS_LOST = _counter("yeban_hints_lost_total", "Hints that nobody acted on in time, to be sent again.")

# Groups and the engine.
GROUP_MEMBERS = _histogram(
    "yeban_group_members",
    "Chunks (bulk) or texts (interactive) that a worker began together.",
    "role",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
QUEUE_SECONDS = _histogram(
    "yeban_queue_seconds",
    "Waiting for the engine: a text from being sent (interactive), a chunk from being claimed (bulk).",
    "role",
    buckets=(*_MOMENTS_S, 30.0),
)
TOKENISE_SECONDS = _histogram(
    "yeban_tokenise_seconds",
    "Preparing an engine call: tokens, and what the cache knows.",
    "model",
    buckets=_MOMENTS_S,
)
INFERENCE_SECONDS = _histogram(
    "yeban_inference_seconds", "One engine call.", "model", buckets=(*_MOMENTS_S, 30.0, 60.0, 120.0)
)
TEXTS = _counter("yeban_texts_total", "Texts scored, those that the cache knew among them.", "model")
TRUNCATED_TEXTS = _counter(
    "yeban_truncated_texts_total", "Texts of which only the beginning fitted the model.", "model"
)
TOKENS = _counter("yeban_tokens_total", "Tokens that the engine read, without padding.", "model")
PADDED_TOKENS = _counter("yeban_padded_tokens_total", "Tokens that the engine read, with padding.", "model")
PADDING_RATIO = _histogram(
    "yeban_padding_ratio",
    "Tokens with padding over tokens without, of one engine call.",
    "model",
    buckets=(1.0, 1.02, 1.05, 1.1, 1.2, 1.3, 1.5, 2.0, 3.0, 5.0),
)
LATE_TEXTS = _counter("yeban_texts_late_total", "Single texts dropped because their reader had stopped waiting.")

REMOVED = _counter(
    "yeban_removed_total",
    "What was removed from the database: what somebody had deleted, and what had had its time.",
    "what",
    known=[("jobs",), ("embeddings",), ("drafts",), ("label_sets",), ("messages",), ("secrets",), ("sessions",)],
)

# A worker's caches and its heartbeat.
CACHE_LOOKUPS = _counter(
    "yeban_cache_lookups_total",
    "Look-ups in one layer of one store, by result; a layer is asked only for what the nearer one lacks.",
    "store",
    "layer",
    "result",
    collected=True,
)
CACHE_WRITES = _counter("yeban_cache_writes_total", "Values written.", "store", "layer", collected=True)
CACHE_EVICTIONS = _counter(
    "yeban_cache_evictions_total", "Values forgotten for want of room.", "store", "layer", collected=True
)
CACHE_FAILURES = _counter(
    "yeban_cache_failures_total", "Calls that Redis did not answer.", "store", "layer", collected=True
)
CACHE_ENTRIES = _gauge("yeban_cache_entries", "Values kept, where that is known.", "store", "layer")
HEARTBEAT_AGE = _gauge("yeban_heartbeat_age_seconds", "Since a worker's last complete heartbeat.")

# Webhooks and drafts.
WEBHOOK_MESSAGES = _gauge(
    "yeban_webhook_messages", "Messages to webhooks that did not arrive yet: due now, or to be tried later.", "state"
)
WEBHOOK_TRIES = _counter(
    "yeban_webhook_tries_total",
    "Tries to tell a webhook of a job's end, by outcome.",
    "outcome",
    known=[("delivered",), ("failed",), ("given_up",)],
)
WEBHOOK_SECONDS = _histogram(
    "yeban_webhook_seconds", "One try, from looking its host up to the answer.", buckets=_MOMENTS_S
)

DRAFTS = _gauge("yeban_drafts", "Uploaded files that wait for a person to make a job of them.")
DRAFT_BYTES = _gauge("yeban_draft_bytes", "What these files take in the database.")

# Signing in.
SIGN_INS = _counter(
    "yeban_sign_ins_total",
    "Attempts to sign in with a password, by outcome.",
    "outcome",
    known=[("signed_in",), ("refused",), ("held_up",)],
)
WRONG_TOKENS = _counter("yeban_wrong_tokens_total", "Requests with a token that is none, or is no longer valid.")

# The web.
HTTP_REQUESTS = _counter(
    "yeban_http_requests_total", "Requests, by route, method and status.", "route", "method", "status"
)
HTTP_SECONDS = _histogram(
    "yeban_http_request_seconds",
    "From a request's arrival to its answer's first byte.",
    "route",
    "method",
    buckets=(*_MOMENTS_S, 30.0, 60.0),
)
IN_PROGRESS = _gauge(
    "yeban_in_progress", "Texts and uploads that the web has admitted and not answered yet.", "what", collected=False
)
ADMISSION_LIMIT = _gauge(
    "yeban_admission_limit", "Texts and uploads that the web admits at a time at present.", "what", collected=False
)
WEB_PROCESSES = _gauge("yeban_web_processes", "Processes of this web server; 0 in a worker.", collected=False)

# Everywhere.
ERRORS = _counter(
    "yeban_errors_total",
    "Failures by code: answers of the web that are errors, and what a worker could not score.",
    "program",
    "code",
)
INFO = _gauge("yeban_build_info", "1, with what runs here.", "program", "version")


def code_of(error: BaseException) -> str:
    """The label under which an error is counted."""
    return error.code if isinstance(error, YebanError) else YebanError.code
