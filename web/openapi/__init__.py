"""OpenAPI 3.1 document of the API, generated from its routes and models."""

from __future__ import annotations

from typing import Any, cast

from flask import Flask, current_app

from web.openapi.document import build, with_limits
from web.services import services

_EXTENSION = "yeban.openapi"


def description() -> dict[str, Any]:
    """Return the document of the current app; built on first use."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    if _EXTENSION not in app.extensions:
        app.extensions[_EXTENSION] = with_limits(build(app), services().settings)
    return cast("dict[str, Any]", app.extensions[_EXTENSION])
