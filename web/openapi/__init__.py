"""The API's description of itself (OpenAPI 3.1), made from its routes and models."""

from __future__ import annotations

from typing import Any, cast

from flask import Flask, current_app

from web.openapi.document import build
from web.openapi.limits import with_limits
from web.services import services

_EXTENSION = "yeban.openapi"


def description() -> dict[str, Any]:
    """The document of the app that handles the present request; made once, when it is first asked for."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    if _EXTENSION not in app.extensions:
        app.extensions[_EXTENSION] = with_limits(build(app), services().settings)
    return cast("dict[str, Any]", app.extensions[_EXTENSION])
