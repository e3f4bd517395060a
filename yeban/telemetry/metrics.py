"""Prometheus metrics of all programs, and their exposition.

Labels take few values: names of states, codes, routes and models, never an id or anything a caller typed.

prometheus-client reads ``PROMETHEUS_MULTIPROC_DIR`` when a metric is declared. A program whose processes add up their
numbers must set it before importing this module, as ``web.__main__`` does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from yeban.database.tables.states import FINISHED, JobState
from yeban.errors import YebanError
from yeban.labels import Status

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_SHORT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LONG_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

disable_created_metrics()  # one more time series for each metric


@dataclass(frozen=True)
class Collected:
    """A metric whose values a collector finds during a scrape."""

    kind: type[CounterMetricFamily | GaugeMetricFamily]
    name: str
    help: str
    labels: tuple[str, ...] = ()

    def family(self, values: Iterable[tuple[Sequence[str], float]]) -> Metric:
        """The metric with a value for each tuple of label values."""
        family = self.kind(self.name, self.help, labels=self.labels)
        for labels, value in values:
            family.add_metric(labels, value)
        return family


def _from_zero(counter: Counter, values: Iterable[str]) -> Counter:
    """Expose a counter as 0 for these label values. Then rates start with the first event."""
    for value in values:
        counter.labels(value)
    return counter


# State of the whole service, found by the web in the database and in Redis.
UP = Collected(GaugeMetricFamily, "yeban_up", "1 if the part answered the last query.", ("part",))
QUEUE_MESSAGES = Collected(GaugeMetricFamily, "yeban_queue_messages", "Messages waiting in a queue.", ("queue",))
UNACKNOWLEDGED = Collected(
    GaugeMetricFamily, "yeban_unacknowledged_messages", "Messages delivered to workers and not acknowledged yet."
)
JOBS = Collected(GaugeMetricFamily, "yeban_jobs", "Unfinished jobs, by state.", ("state",))
CHUNKS = Collected(GaugeMetricFamily, "yeban_chunks", "Open chunks of unfinished jobs, by state.", ("state",))
WORKERS = Collected(GaugeMetricFamily, "yeban_workers", "Workers with a recent heartbeat, by role.", ("role",))
WEBHOOK_MESSAGES = Collected(
    GaugeMetricFamily,
    "yeban_webhook_messages",
    "Undelivered webhook messages: due now, or to be tried later.",
    ("state",),
)
DRAFTS = Collected(GaugeMetricFamily, "yeban_drafts", "Uploaded files that are not jobs yet.")
DRAFT_BYTES = Collected(GaugeMetricFamily, "yeban_draft_bytes", "Size of these files in the database.")

# A worker's caches and heartbeat, read from the objects that keep them.
CACHE_LOOKUPS = Collected(
    CounterMetricFamily,
    "yeban_cache_lookups_total",
    "Look-ups in one layer of one store, by result; a layer is asked only for what the nearer one lacks.",
    ("store", "layer", "result"),
)
CACHE_WRITES = Collected(CounterMetricFamily, "yeban_cache_writes_total", "Values written.", ("store", "layer"))
CACHE_EVICTIONS = Collected(
    CounterMetricFamily, "yeban_cache_evictions_total", "Values evicted to make room.", ("store", "layer")
)
CACHE_FAILURES = Collected(
    CounterMetricFamily, "yeban_cache_failures_total", "Calls that Redis did not answer.", ("store", "layer")
)
CACHE_ENTRIES = Collected(
    GaugeMetricFamily, "yeban_cache_entries", "Values stored, where the layer knows.", ("store", "layer")
)
HEARTBEAT_AGE = Collected(
    GaugeMetricFamily, "yeban_heartbeat_age_seconds", "Time since the worker's last complete heartbeat."
)

# Programs.
INFO = Collected(GaugeMetricFamily, "yeban_build_info", "1, with the program and its version.", ("program", "version"))
ERRORS = Counter(
    "yeban_errors_total",
    "Failures by code: error responses of the web, and scoring failures of workers.",
    ("program", "code"),
)

# Jobs.
JOBS_CREATED = Counter("yeban_jobs_created_total", "Jobs created.")
JOBS_ENDED = _from_zero(
    Counter("yeban_jobs_ended_total", "Jobs finished, by state; a job refined again counts again.", ("state",)),
    [state.value for state in JobState if state in FINISHED],
)
UPLOADED_BYTES = Counter("yeban_uploaded_bytes_total", "Bytes of the files of new jobs.")
UPLOADED_ROWS = Counter("yeban_uploaded_rows_total", "Rows of the files of new jobs.")
ROWS = _from_zero(
    Counter("yeban_rows_total", "Rows whose result was stored, by status.", ("status",)),
    [status.value for status in Status],
)
REFINEMENT_SECONDS = Histogram("yeban_refinement_seconds", "Duration of one refinement.", buckets=_LONG_S)
REFINEMENTS = _from_zero(
    Counter("yeban_refinements_total", "Refinements, by outcome.", ("outcome",)), ["done", "skipped", "failed"]
)

# Chunks and their messages.
CHUNKS_DONE = Counter("yeban_chunks_done_total", "Chunks whose results were stored.")
CHUNKS_RETRIED = Counter("yeban_chunks_retried_total", "Chunks queued again after their scoring failed.")
CHUNKS_BISECTED = Counter("yeban_chunks_bisected_total", "Chunks halved to find the row that breaks the engine.")
CHUNKS_LATE = Counter("yeban_chunks_late_total", "Chunks whose results were dropped because their lease was lost.")
ROWS_QUARANTINED = Counter("yeban_rows_quarantined_total", "Rows given up because they break the engine or its worker.")
LEASES_EXPIRED = Counter("yeban_leases_expired_total", "Leases that expired before their chunk was done.")
HINTS_SENT = Counter("yeban_hints_sent_total", "Hints put on the queue.")
HINTS_LOST = Counter("yeban_hints_lost_total", "Hints sent again because no worker acted on them.")

# Groups and the engine.
GROUP_MEMBERS = Histogram(
    "yeban_group_members",
    "Chunks (bulk) or texts (interactive) that a worker started together.",
    ("role",),
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
QUEUE_SECONDS = Histogram(
    "yeban_queue_seconds",
    "Wait for the engine: since a text was sent (interactive), or since a chunk was claimed (bulk).",
    ("role",),
    buckets=(*_SHORT_S, 30.0),
)
TOKENISE_SECONDS = Histogram(
    "yeban_tokenise_seconds", "Preparation of one engine call: tokens and cache look-ups.", ("model",), buckets=_SHORT_S
)
INFERENCE_SECONDS = Histogram(
    "yeban_inference_seconds", "Duration of one engine call.", ("model",), buckets=(*_SHORT_S, 30.0, 60.0, 120.0)
)
TEXTS = Counter("yeban_texts_total", "Texts scored, including those found in the cache.", ("model",))
TRUNCATED_TEXTS = Counter("yeban_truncated_texts_total", "Texts cut to the length that the model reads.", ("model",))
TOKENS = Counter("yeban_tokens_total", "Tokens that the engine read, without padding.", ("model",))
PADDED_TOKENS = Counter("yeban_padded_tokens_total", "Tokens that the engine read, with padding.", ("model",))
PADDING_RATIO = Histogram(
    "yeban_padding_ratio",
    "Tokens with padding over tokens without, of one engine call.",
    ("model",),
    buckets=(1.0, 1.02, 1.05, 1.1, 1.2, 1.3, 1.5, 2.0, 3.0, 5.0),
)
LATE_TEXTS = Counter("yeban_texts_late_total", "Single texts dropped because the web had stopped waiting.")

# Clean-up and webhooks.
REMOVED = _from_zero(
    Counter("yeban_removed_total", "Rows removed from the database: deleted or expired, by kind.", ("what",)),
    ["jobs", "embeddings", "drafts", "label_sets", "messages", "secrets", "sessions"],
)
WEBHOOK_TRIES = _from_zero(
    Counter("yeban_webhook_tries_total", "Attempts to deliver a webhook message, by outcome.", ("outcome",)),
    ["delivered", "failed", "given_up"],
)
WEBHOOK_SECONDS = Histogram(
    "yeban_webhook_seconds", "Duration of one attempt, from the DNS look-up to the response.", buckets=_SHORT_S
)

# The web.
SIGN_INS = _from_zero(
    Counter("yeban_sign_ins_total", "Password sign-ins, by outcome.", ("outcome",)), ["signed_in", "refused", "held_up"]
)
WRONG_TOKENS = Counter("yeban_wrong_tokens_total", "Requests with an invalid, expired or revoked token.")
HTTP_REQUESTS = Counter(
    "yeban_http_requests_total", "Requests, by route, method and status.", ("route", "method", "status")
)
HTTP_SECONDS = Histogram(
    "yeban_http_request_seconds",
    "Time from a request's arrival to the first byte of its response.",
    ("route", "method"),
    buckets=(*_SHORT_S, 30.0, 60.0),
)
IN_PROGRESS = Gauge(
    "yeban_in_progress",
    "Texts, uploads and downloads that the web is working on.",
    ("what",),
    multiprocess_mode="livesum",
)
ADMISSION_LIMIT = Gauge(
    "yeban_admission_limit",
    "Texts, uploads and downloads that the web admits at a time.",
    ("what",),
    multiprocess_mode="livesum",
)
WEB_PROCESSES = Gauge(
    "yeban_web_processes", "Processes of this web server; 0 in a worker.", multiprocess_mode="livesum"
)


def code_of(error: BaseException) -> str:
    """The ``code`` label of an error."""
    return error.code if isinstance(error, YebanError) else YebanError.code


def exposition(*collectors: Collector) -> bytes:
    """All metrics and the families of ``collectors`` in Prometheus' text format, UTF-8."""
    registry = CollectorRegistry(auto_describe=False)
    if folder := os.environ.get(FOLDER_VARIABLE):
        MultiProcessCollector(registry, folder)
        registry.register(_ProcessTotals(Path(folder)))
    else:
        registry.register(REGISTRY)
    for collector in collectors:
        registry.register(collector)
    return generate_latest(registry)


@dataclass(frozen=True)
class _ProcessTotals(Collector):
    """Memory, CPU and open files of the live processes, summed. Each has a file of gauges in the folder."""

    folder: Path

    def collect(self) -> Iterable[Metric]:
        totals: dict[str, Metric] = {}
        for path in self.folder.glob("gauge_livesum_*.db"):
            pid = path.stem.rpartition("_")[2]
            for family in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
                if family.name in {"process_max_fds", "process_start_time_seconds"}:
                    continue
                total = totals.setdefault(family.name, family)
                if total is not family:
                    sample = total.samples[0]
                    total.samples[0] = sample._replace(value=sample.value + family.samples[0].value)
        return totals.values()
