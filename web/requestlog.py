"""A number for each request, and one log line: what was asked and how it went, never the content."""

from __future__ import annotations

import logging
import re
import time
import uuid

from flask import Flask, Response, g, request

log = logging.getLogger("web.access")

_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def install(app: Flask) -> None:
    """Number and log every request of ``app``."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _GIVEN_ID.fullmatch(given) else uuid.uuid4().hex
    g.started = time.perf_counter()


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    # The route, not the path: a path is whatever the caller typed.
    log.info(
        "request",
        extra={
            "method": request.method,
            "route": str(request.url_rule),
            "status": response.status_code,
            "ms": round((time.perf_counter() - g.started) * 1000, 1),
            "request_id": g.request_id,
        },
    )
    return response
