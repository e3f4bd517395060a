"""One span a request, below the caller's own where it sends one (W3C Trace Context)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from http import HTTPStatus

from flask import Flask, Response, g, request

from web.http.request_log import method_of, route_of
from yeban.telemetry import tracing

_PARENT = "traceparent"


def install(app: Flask) -> None:
    """Trace every request of ``app``."""
    app.before_request(_begin)
    app.after_request(_describe)
    app.teardown_request(_end)


def _begin() -> None:
    route, method = route_of(request), method_of(request)
    given = request.headers.get(_PARENT)
    context: AbstractContextManager[tracing.Span] = tracing.span(
        f"{method} {route}",
        {"http.route": route, "http.request.method": method},
        kind="server",
        parent=None if given is None else {_PARENT: given},
    )
    g.span, g.span_context = context.__enter__(), context


def _describe(response: Response) -> Response:
    if (span := g.get("span")) is not None:
        span.put({"http.response.status_code": response.status_code, "yeban.request.id": g.get("request_id", "")})
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            span.fail(str(response.status_code))
    return response


def _end(_error: BaseException | None) -> None:
    if (context := g.pop("span_context", None)) is not None:
        context.__exit__(None, None, None)
