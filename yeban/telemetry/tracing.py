"""Traces: spans of what web and workers do, sent to an OpenTelemetry collector where one is configured.

Where none is, nothing of OpenTelemetry is imported, and a span costs a function call. Attributes are ids, names of
routes and counts, never a text; of an exception, its type.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Literal

from yeban import __version__
from yeban.errors import ConfigurationError
from yeban.settings import Settings

Value = str | int | float | bool | Sequence[str] | Sequence[int]
#: What carries a span to another process, as W3C Trace Context spells it: ``{"traceparent": …}``.
Carrier = Mapping[str, str]

_PATH = "/v1/traces"
_EXPORT_TIMEOUT_S = 5
_PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


class Span:
    """A span that goes nowhere; the form of all others."""

    def put(self, attributes: Mapping[str, Value]) -> None:
        """Add attributes."""

    def fail(self, kind: str) -> None:
        """Mark what the span stands for as failed, by a word without any text."""


_NOWHERE = Span()


class _Real(Span):
    def __init__(self, span: Any) -> None:
        self._span = span

    def put(self, attributes: Mapping[str, Value]) -> None:
        self._span.set_attributes(attributes)

    def fail(self, kind: str) -> None:
        from opentelemetry.trace import StatusCode  # noqa: PLC0415 - only where traces are wanted

        self._span.set_status(StatusCode.ERROR, kind)
        self._span.set_attribute("error.type", kind)


class _Tracing:
    """One process's way to the collector."""

    def __init__(self, endpoint: str, service: str, instance: str) -> None:
        from opentelemetry import trace  # noqa: PLC0415 - only where traces are wanted
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        resource = {"service.name": service, "service.version": __version__, "service.instance.id": instance}
        url = endpoint.rstrip("/")
        exporter = OTLPSpanExporter(url if url.endswith(_PATH) else url + _PATH, timeout=_EXPORT_TIMEOUT_S)
        self._provider = TracerProvider(resource=Resource.create(resource), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("yeban", __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._trace = trace

    @contextlib.contextmanager
    def span(
        self, name: str, kind: str, attributes: Mapping[str, Value], parent: Carrier | None, links: Sequence[Carrier]
    ) -> Iterator[Span]:
        contexts = [self._trace.get_current_span(self._propagator.extract(carrier)) for carrier in links]
        with self._tracer.start_as_current_span(
            name,
            context=None if parent is None else self._propagator.extract(parent),
            kind=self._trace.SpanKind[kind.upper()],
            attributes=attributes,
            links=[self._trace.Link(context) for span in contexts if (context := span.get_span_context()).is_valid],
            record_exception=False,  # its message may hold a text
            set_status_on_exception=False,
        ) as started:
            real = _Real(started)
            try:
                yield real
            except Exception as error:
                real.fail(type(error).__name__)
                raise

    def carrier(self) -> dict[str, str]:
        made: dict[str, str] = {}
        self._propagator.inject(made)
        return made

    def close(self) -> None:
        self._provider.shutdown()


class _Process:
    """What this process traces with, if it does."""

    tracing: _Tracing | None = None


def check(settings: Settings) -> None:
    """Raise :class:`~yeban.errors.ConfigurationError` where traces are wanted and the packages for them are missing."""
    if settings.otlp_endpoint is None:
        return
    try:
        missing = [name for name in _PACKAGES if find_spec(name) is None]
    except ModuleNotFoundError:
        missing = list(_PACKAGES)
    if missing:
        raise ConfigurationError(
            "YEBAN_OTLP_ENDPOINT is set and OpenTelemetry is not installed here: pip install 'yeban[tracing]'."
        )


def start(settings: Settings, service: str, instance: str) -> None:
    """Trace from now on, if the settings say where to; in each process by itself, since threads do not survive a fork.

    Raises as :func:`check` does.
    """
    check(settings)
    if settings.otlp_endpoint is not None:
        _Process.tracing = _Tracing(settings.otlp_endpoint, service, instance)


def stop() -> None:
    """Send what is not sent yet, and trace no more."""
    tracing, _Process.tracing = _Process.tracing, None
    if tracing is not None:
        tracing.close()


def span(
    name: str,
    attributes: Mapping[str, Value] | None = None,
    *,
    kind: Literal["internal", "server", "producer", "consumer"] = "internal",
    parent: Carrier | None = None,
    links: Sequence[Carrier] = (),
) -> contextlib.AbstractContextManager[Span]:
    """A span for the length of the block, below the one around it or below ``parent``, which comes from elsewhere.

    ``links`` are spans of which this one does a part of the work. An exception that leaves the block marks it failed.
    """
    tracing = _Process.tracing
    if tracing is None:
        return contextlib.nullcontext(_NOWHERE)
    return tracing.span(name, kind, attributes or {}, parent, links)


def carrier() -> dict[str, str]:
    """What takes the present span to another process; empty where nothing is traced."""
    tracing = _Process.tracing
    return {} if tracing is None else tracing.carrier()
