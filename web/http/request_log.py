"""Number, trace, log and count each request: its route and outcome, never its content."""

from __future__ import annotations

import logging
import re
import time
import uuid
from contextlib import AbstractContextManager
from http import HTTPStatus

from flask import Flask, Request, Response, g, request
from opentelemetry.trace import Span, SpanKind

from yeban.telemetry import logs, metrics, tracing

log = logging.getLogger("web.access")

_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PARENT = "traceparent"  # W3C Trace Context
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def install(app: Flask) -> None:
    """Number, trace, log and count every request of ``app``."""
    app.before_request(_begin_span)
    app.before_request(_begin)
    app.after_request(_describe_span)
    app.after_request(_end)
    app.teardown_request(_end_span)
    app.teardown_request(_forget)


def route_of(asked: Request) -> str:
    """The route, not the path: a path is whatever the caller typed."""
    return "none" if asked.url_rule is None else asked.url_rule.rule


def method_of(asked: Request) -> str:
    """The method, if it is one that there is: it is whatever the caller typed, too."""
    return asked.method if asked.method in _METHODS else "other"


def _begin() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _GIVEN_ID.fullmatch(given) else uuid.uuid4().hex
    g.started = time.perf_counter()
    logs.bind(request_id=g.request_id)


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    seconds = time.perf_counter() - g.started
    route, method = route_of(request), method_of(request)
    metrics.HTTP_REQUESTS.labels(route=route, method=method, status=str(response.status_code)).inc()
    metrics.HTTP_SECONDS.labels(route=route, method=method).observe(seconds)
    log.info(
        "request",
        extra={
            "method": method,
            "route": route,
            "status": response.status_code,
            "ms": round(seconds * 1000, 1),
        },
    )
    return response


def _forget(_error: BaseException | None) -> None:
    logs.bind()


def _begin_span() -> None:
    route, method = route_of(request), method_of(request)
    given = request.headers.get(_PARENT)
    context: AbstractContextManager[Span] = tracing.span(
        f"{method} {route}",
        {"http.route": route, "http.request.method": method},
        kind=SpanKind.SERVER,
        parent=None if given is None else {_PARENT: given},
    )
    g.span, g.span_context = context.__enter__(), context


def _describe_span(response: Response) -> Response:
    if (span := g.get("span")) is not None:
        span.set_attributes(
            {"http.response.status_code": response.status_code, "yeban.request.id": g.get("request_id", "")}
        )
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            tracing.fail(span, str(response.status_code))
    return response


def _end_span(_error: BaseException | None) -> None:
    if (context := g.pop("span_context", None)) is not None:
        context.__exit__(None, None, None)
