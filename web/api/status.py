"""What is here and whether it works: models, and the two probes."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response

from web.answers import json_response
from web.api.blueprint import api, probes
from web.health import readiness
from web.models import describe
from web.services import services
from yeban.jobs.workers import live_workers


@api.get("/models")
def list_models() -> Response:
    """Models as live workers have loaded them."""
    default = services().settings.model
    return json_response({"default": default, "models": describe(live_workers(services().database), default)})


@probes.get("/healthz")
def alive() -> Response:
    """This process answers."""
    return json_response({"status": "ok"})


@probes.get("/readyz")
def ready() -> Response:
    """Everything a request needs is there."""
    parts = readiness(services())
    fine = all(part["ok"] for part in parts.values())
    return json_response(
        {"status": "ready" if fine else "not ready", "checks": parts},
        HTTPStatus.OK if fine else HTTPStatus.SERVICE_UNAVAILABLE,
    )
