"""Spans with and without a collector."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry.trace import SpanKind

from tests.fixtures.collector import run_collector
from yeban.errors import ConfigurationError
from yeban.settings import Settings
from yeban.telemetry import tracing

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def collector(monkeypatch):
    monkeypatch.setattr(tracing, "_EXPORT_TIMEOUT_S", 60)  # a span not sent by then would be missed
    with run_collector() as collector:
        tracing.start(Settings(otlp_endpoint=collector.url), "tests", "1")
        yield collector
        tracing.stop()


def test_without_a_collector_a_span_does_nothing_and_the_sdk_is_not_imported():
    program = (
        "import sys\n"
        "from yeban.telemetry import tracing\n"
        "from yeban.settings import load_settings\n"
        "tracing.start(load_settings(), 'x', 'y')\n"
        "with tracing.span('x', {'a': 1}, links=[tracing.carrier()]) as span:\n"
        "    span.set_attributes({'b': 2}); tracing.fail(span, 'x')\n"
        "    assert not span.is_recording() and tracing.carrier() == {}\n"
        "tracing.stop()\n"
        "sys.exit(any(name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter')) for name in sys.modules))\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=ROOT).returncode == 0


def test_an_exception_passes_through_where_nothing_is_traced():
    with pytest.raises(KeyError), tracing.span("x"):
        raise KeyError


@pytest.mark.parametrize("absent", ["nothing of it", "only the exporter"])
def test_without_the_packages_it_is_said_how_to_get_them(monkeypatch, absent):
    def find(name):
        if absent == "nothing of it":
            raise ModuleNotFoundError(name)

    monkeypatch.setattr(tracing, "find_spec", find)
    tracing.check(Settings())
    with pytest.raises(ConfigurationError, match=r"yeban\[tracing\]"):
        tracing.start(Settings(otlp_endpoint="http://127.0.0.1:1"), "x", "y")


def test_spans_arrive_with_their_place_and_their_attributes(collector):
    with tracing.span("outer", {"yeban.job.id": 3}, kind=SpanKind.SERVER), tracing.span("inner") as inner:
        inner.set_attributes({"yeban.chunk.ids": [7, 8]})
    tracing.stop()
    (outer,), (inside,) = collector.named("outer"), collector.named("inner")
    assert (outer.service, outer.parent_id, outer.attributes) == ("tests", b"", {"yeban.job.id": 3})
    assert (inside.parent_id, inside.trace_id) == (outer.span_id, outer.trace_id)
    assert inside.attributes == {"yeban.chunk.ids": [7, 8]}


def test_a_span_goes_on_below_one_from_elsewhere_or_links_to_it(collector):
    with tracing.span("asks"):
        carried = tracing.carrier()
    with tracing.span("goes on", parent=carried):
        pass
    with tracing.span("works for it", links=[carried, {}, {"traceparent": "nonsense"}]):
        pass
    tracing.stop()
    (asks,), (goes_on,), (works,) = map(collector.named, ("asks", "goes on", "works for it"))
    assert (goes_on.parent_id, goes_on.trace_id) == (asks.span_id, asks.trace_id)
    assert works.links == {asks.span_id}
    assert works.trace_id != asks.trace_id


def test_of_what_failed_the_type_is_told_and_not_the_message(collector):
    with pytest.raises(RuntimeError), tracing.span("fails"):
        raise RuntimeError("我的包裹丢了")
    tracing.stop()
    (fails,) = collector.named("fails")
    assert (fails.failed, fails.attributes, fails.events) == ("RuntimeError", {"error.type": "RuntimeError"}, 0)
    assert not [body for body in collector.raw if "我的包裹丢了".encode() in body]
