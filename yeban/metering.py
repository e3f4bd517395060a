"""How metrics are counted and shown; which there are stands in :mod:`yeban.telemetry.metrics`.

Nothing of prometheus-client is imported before the first observation, so that commands start fast, and so that a
server of several processes can say first where these put their numbers together.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

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
