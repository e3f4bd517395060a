"""JSON out: UTF-8 as it is, and never an invalid document."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from flask import Response

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str)


def dumps(value: Any) -> bytes:
    """``value`` as JSON; a lone surrogate, which UTF-8 cannot hold, becomes its ``\\uXXXX`` escape."""
    return _ENCODER.encode(value).encode("utf-8", "backslashreplace")


def json_response(value: Any, status: int = HTTPStatus.OK, headers: dict[str, str] | None = None) -> Response:
    """An answer for programs. It describes the present state, so nothing may keep it."""
    response = Response(dumps(value), status, headers, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
