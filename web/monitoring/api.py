"""Models, workers, the two probes, metrics, and the API's description."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from typing import Any

from flask import Response

from web.blueprints import SESSIONLESS, SIGNED_IN, api, probes
from web.http.json import json_response
from web.monitoring import schemas
from web.monitoring.health import health
from web.monitoring.metrics import service_state
from web.openapi import description
from web.openapi.documentation import Answer, documented
from web.services import services
from yeban.chunks.workers import live_workers
from yeban.telemetry.metrics import CONTENT_TYPE, exposition


@api.get("/models", policy=SIGNED_IN)
@documented(group="Service", summary="List models", answers={200: schemas.Models})
def list_models() -> Response:
    """List each model that live workers have loaded, with the number of workers by role."""
    default = services().settings.model
    loaded: list[dict[str, Any]] = []
    roles: list[Counter[str]] = []
    for worker in live_workers(services().database):
        for model in worker.models:
            if model not in loaded:
                loaded.append(model)
                roles.append(Counter())
            roles[loaded.index(model)][worker.role] += 1
    models = [
        schemas.Model.of({**model, "default": model["name"] == default, "workers": workers})
        for model, workers in zip(loaded, roles, strict=True)
    ]
    return json_response(schemas.Models(default=default, models=models))


@api.get("/workers", policy=SIGNED_IN)
@documented(group="Service", summary="List workers and their caches", answers={200: schemas.Workers})
def list_workers() -> Response:
    """List live workers, oldest first, with the counters of their caches."""
    workers = [schemas.Worker.of(worker) for worker in live_workers(services().database)]
    return json_response(schemas.Workers(workers=workers))


@probes.get("/healthz", policy=SESSIONLESS)
@documented(group="Service", summary="Check liveness", answers={200: schemas.Alive})
def alive() -> Response:
    """Answer as long as the process runs."""
    return json_response(schemas.Alive(status="ok"))


@probes.get("/readyz", policy=SESSIONLESS)
@documented(
    group="Service",
    summary="Check readiness",
    description="A dependency that does not answer within three seconds counts as missing.",
    answers={
        200: Answer(model=schemas.Readiness, description="Every dependency is available."),
        503: Answer(model=schemas.Readiness, description="A dependency is missing; see `checks`."),
    },
)
def ready() -> Response:
    """Check every dependency."""
    problems = health().readiness()
    is_ready = not any(problems.values())
    checks = {name: schemas.Check(ok=problem is None, detail=problem) for name, problem in problems.items()}
    return json_response(
        schemas.Readiness(status="ready" if is_ready else "not ready", checks=checks),
        HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE,
    )


@probes.get("/metrics", policy=SESSIONLESS)
@documented(
    group="Service",
    summary="Get metrics",
    answers={
        200: Answer(
            content_type="text/plain",
            description="Metrics in the text format of Prometheus.",
        )
    },
)
def show_metrics() -> Response:
    """Expose the metrics to Prometheus."""
    return Response(exposition(service_state()), content_type=CONTENT_TYPE)


@api.get("/openapi.json", policy=SIGNED_IN)
@documented(group="Service", summary="Get the OpenAPI document", answers={200: schemas.ApiDescription})
def describe_api() -> Response:
    """Describe the API as an OpenAPI 3.1 document."""
    return json_response(schemas.ApiDescription.model_validate(description()))
