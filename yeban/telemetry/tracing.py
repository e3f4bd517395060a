"""OpenTelemetry spans of web and workers.

Spans go to a collector if one is configured; otherwise they do nothing.

Attributes are ids, names of routes and counts, never a text; a failed span has the type of its exception, never its
message.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

from yeban import __version__
from yeban.errors import ConfigurationError, msg
from yeban.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

#: A span on its way to another process, in W3C Trace Context: ``{"traceparent": …}``.
Carrier = Mapping[str, str]

_PATH = "/v1/traces"
_EXPORT_TIMEOUT_S = 5
_EXPORTER = "opentelemetry.exporter.otlp.proto.http"  # depends on the SDK
_PROPAGATOR = TraceContextTextMapPropagator()


class _Process:
    """The tracer of this process; its spans do nothing until :func:`start`."""

    provider: TracerProvider | None = None
    tracer: trace.Tracer = trace.NoOpTracer()


def check(settings: Settings) -> None:
    """Raise :class:`~yeban.errors.ConfigurationError` if the exporter is configured but not installed."""
    if settings.otlp_endpoint is None:
        return
    with contextlib.suppress(ModuleNotFoundError):  # raised where a parent package is missing
        if find_spec(_EXPORTER) is not None:
            return
    raise ConfigurationError(
        msg("YEBAN_OTLP_ENDPOINT is set, but OpenTelemetry is not installed. Run: pip install 'yeban[tracing]'")
    )


def start(settings: Settings, service: str, instance: str) -> None:
    """Send spans if an endpoint is configured. Call it in each process: threads do not survive a fork.

    Raises as :func:`check` does.
    """
    check(settings)
    if settings.otlp_endpoint is None:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    url = settings.otlp_endpoint.rstrip("/")
    exporter = OTLPSpanExporter(url if url.endswith(_PATH) else url + _PATH, timeout=_EXPORT_TIMEOUT_S)
    resource = {"service.name": service, "service.version": __version__, "service.instance.id": instance}
    provider = TracerProvider(resource=Resource.create(resource), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _Process.provider, _Process.tracer = provider, provider.get_tracer("yeban", __version__)


def stop() -> None:
    """Send the remaining spans and stop tracing."""
    provider, _Process.provider, _Process.tracer = _Process.provider, None, trace.NoOpTracer()
    if provider is not None:
        provider.shutdown()


@contextlib.contextmanager
def span(
    name: str,
    attributes: Attributes = None,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: Carrier | None = None,
    links: Sequence[Carrier] = (),
) -> Iterator[Span]:
    """Open a span for the length of the block.

    Its parent is the current span, or ``parent`` from another process. ``links`` are spans that this one does a part of
    the work for. An exception that leaves the block marks it failed.
    """
    linked = [trace.get_current_span(_PROPAGATOR.extract(carrier)).get_span_context() for carrier in links]
    with _Process.tracer.start_as_current_span(
        name,
        context=None if parent is None else _PROPAGATOR.extract(parent),
        kind=kind,
        attributes=attributes,
        links=[Link(context) for context in linked if context.is_valid],
        record_exception=False,  # its message may hold a text
        set_status_on_exception=False,
    ) as started:
        try:
            yield started
        except Exception as error:
            fail(started, type(error).__name__)
            raise


def fail(failed: Span, error_type: str) -> None:
    """Mark a span as failed. ``error_type`` must not hold a text."""
    failed.set_status(StatusCode.ERROR, error_type)
    failed.set_attribute("error.type", error_type)


def carrier() -> dict[str, str]:
    """The current span for another process; empty where nothing is traced."""
    made: dict[str, str] = {}
    _PROPAGATOR.inject(made)
    return made
