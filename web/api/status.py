"""What is here and whether it works: models, workers, the two probes, and the metrics."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response

from web.answers import json_response
from web.api.blueprint import api, probes
from web.health import health
from web.models import describe
from web.observed import service_state
from web.services import services
from web.workers import describe as describe_worker
from yeban.jobs.workers import live_workers
from yeban.metering import CONTENT_TYPE, exposition


@api.get("/models")
def list_models() -> Response:
    """Models as live workers have loaded them."""
    default = services().settings.model
    return json_response({"default": default, "models": describe(live_workers(services().database), default)})


@api.get("/workers")
def list_workers() -> Response:
    """Live workers, the longest-lived first, and how their caches do."""
    return json_response({"workers": [describe_worker(worker) for worker in live_workers(services().database)]})


@probes.get("/healthz")
def alive() -> Response:
    """This process answers."""
    return json_response({"status": "ok"})


@probes.get("/readyz")
def ready() -> Response:
    """Everything a request needs is there."""
    parts = health().readiness()
    fine = all(part["ok"] for part in parts.values())
    return json_response(
        {"status": "ready" if fine else "not ready", "checks": parts},
        HTTPStatus.OK if fine else HTTPStatus.SERVICE_UNAVAILABLE,
    )


@probes.get("/metrics")
def show_metrics() -> Response:
    """What Prometheus asks for."""
    return Response(exposition(service_state()), content_type=CONTENT_TYPE)
