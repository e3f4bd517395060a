"""The API's description of itself (OpenAPI 3.1), made from its routes and models."""

from __future__ import annotations

import re
from typing import Any, cast

from flask import Flask, current_app

from web.openapi.document import build
from web.services import services
from yeban.settings import Settings

_EXTENSION = "yeban.openapi"


def description() -> dict[str, Any]:
    """The document of the app that handles the present request; made once, when it is first asked for."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    if _EXTENSION not in app.extensions:
        app.extensions[_EXTENSION] = with_limits(build(app), services().settings)
    return cast("dict[str, Any]", app.extensions[_EXTENSION])


_SETTING = re.compile(r"`YEBAN_([A-Z_]+)`")


def with_limits(told: Any, settings: Settings) -> Any:
    """The document, or a part of it, with each named setting's value before its name in every description."""

    def value_of(found: re.Match[str]) -> str:
        value = getattr(settings, found[1].lower(), None)
        return f"{value:,} ({found[0]})" if isinstance(value, int) else found[0]

    if isinstance(told, list):
        return [with_limits(part, settings) for part in told]
    if not isinstance(told, dict):
        return told
    return {
        key: _SETTING.sub(value_of, part)
        if key == "description" and isinstance(part, str)
        else with_limits(part, settings)
        for key, part in told.items()
    }
