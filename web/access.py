"""Who asks: what every view needs to know before it shows or changes anything."""

from __future__ import annotations

from typing import cast

from flask import Flask, g

from yeban.settings import Settings
from yeban.viewer import OPEN, Viewer


def install(app: Flask, _settings: Settings) -> None:
    """Find out who asks before each request's view."""

    def identify() -> None:
        g.viewer = OPEN

    app.before_request(identify)


def viewer() -> Viewer:
    """Whoever asks; every query for what is stored is made on their behalf."""
    return cast("Viewer", g.viewer)
