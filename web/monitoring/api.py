"""What is here and whether it works: models, workers, the two probes, and the metrics."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response

from web.blueprints import SESSIONLESS, SIGNED_IN, api, probes
from web.http.json import json_response
from web.monitoring import schemas
from web.monitoring.health import health
from web.monitoring.metrics import service_state
from web.monitoring.served_models import describe
from web.monitoring.workers_json import describe as describe_worker
from web.openapi.documented import Answer, documented
from web.services import services
from yeban.chunks.workers import live_workers
from yeban.telemetry.metrics import CONTENT_TYPE, exposition


@api.get("/models", policy=SIGNED_IN)
@documented(group="Service", summary="Models that workers serve", answers={200: schemas.Models})
def list_models() -> Response:
    """Models as live workers have loaded them."""
    default = services().settings.model
    return json_response({"default": default, "models": describe(live_workers(services().database), default)})


@api.get("/workers", policy=SIGNED_IN)
@documented(group="Service", summary="Live workers and their caches", answers={200: schemas.Workers})
def list_workers() -> Response:
    """Live workers, the longest-lived first, and how their caches do."""
    return json_response({"workers": [describe_worker(worker) for worker in live_workers(services().database)]})


@probes.get("/healthz", policy=SESSIONLESS)
@documented(group="Service", summary="Whether this process answers", answers={200: schemas.Alive}, secured=False)
def alive() -> Response:
    """This process answers."""
    return json_response({"status": "ok"})


@probes.get("/readyz", policy=SESSIONLESS)
@documented(
    group="Service",
    summary="Whether everything is there",
    description="A server that does not answer within three seconds counts as missing.",
    answers={
        200: Answer(model=schemas.Readiness, description="Everything that a request needs is there."),
        503: Answer(model=schemas.Readiness, description="Something is missing; `checks` says what."),
    },
    secured=False,
)
def ready() -> Response:
    """Everything a request needs is there."""
    parts = health().readiness()
    fine = all(part["ok"] for part in parts.values())
    return json_response(
        {"status": "ready" if fine else "not ready", "checks": parts},
        HTTPStatus.OK if fine else HTTPStatus.SERVICE_UNAVAILABLE,
    )


@probes.get("/metrics", policy=SESSIONLESS)
@documented(
    group="Service",
    summary="Counts for Prometheus",
    answers={200: Answer(content_type="text/plain", description="In Prometheus' text format, whatever is missing.")},
    secured=False,
)
def show_metrics() -> Response:
    """What Prometheus asks for."""
    return Response(exposition(service_state()), content_type=CONTENT_TYPE)
