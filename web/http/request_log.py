"""Number, trace, log and count each request: its route and status, never its content."""

from __future__ import annotations

import logging
import re
import time
import uuid
from http import HTTPStatus

from flask import Flask, Response, g, request
from opentelemetry.trace import SpanKind

from yeban.telemetry import logs, metrics, tracing

log = logging.getLogger("web.access")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PARENT = "traceparent"  # W3C Trace Context
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def install(app: Flask) -> None:
    """Number, trace, log and count every request of ``app``."""
    app.before_request(_begin)
    app.after_request(_finish)
    app.teardown_request(_clean_up)


def _route() -> str:
    """Return the route. A path may hold anything that the caller typed."""
    return "none" if request.url_rule is None else request.url_rule.rule


def _method() -> str:
    """Return a known method or "other". The caller may send any word."""
    return request.method if request.method in _METHODS else "other"


def _begin() -> None:
    route, method = _route(), _method()
    parent = request.headers.get(_PARENT)
    g.span_context = tracing.span(
        f"{method} {route}",
        {"http.route": route, "http.request.method": method},
        kind=SpanKind.SERVER,
        parent=None if parent is None else {_PARENT: parent},
    )
    g.span = g.span_context.__enter__()
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    g.started = time.perf_counter()
    logs.bind(request_id=g.request_id)


def _finish(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    seconds = time.perf_counter() - g.started
    route, method, status = _route(), _method(), response.status_code
    metrics.HTTP_REQUESTS.labels(route=route, method=method, status=str(status)).inc()
    metrics.HTTP_SECONDS.labels(route=route, method=method).observe(seconds)
    log.info("request", extra={"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 1)})
    g.span.set_attributes({"http.response.status_code": status, "yeban.request.id": g.request_id})
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        tracing.fail(g.span, str(status))
    return response


def _clean_up(_error: BaseException | None) -> None:
    logs.bind()
    if (context := g.pop("span_context", None)) is not None:
        context.__exit__(None, None, None)
