"""``POST /classify``: one text, answered now."""

from __future__ import annotations

from typing import Any

from flask import Response

from web import interactive
from web.answers import json_response
from web.api.blueprint import api
from web.edge import JsonBody, json_body
from web.interactive import Classification
from web.labelset import LabelSetField, LabelsField, find_saved, label_set, reference, refuse_both
from web.services import services
from yeban.errors import InvalidRequest
from yeban.labels import DEFAULT_TEMPLATE, LabelSet


class ClassifyBody(JsonBody):
    """What to tag, and with what."""

    text: str
    labels: LabelsField | None = None
    label_set: LabelSetField | None = None
    template: str = DEFAULT_TEMPLATE
    multi_label: bool = False
    threshold: float | None = None
    model: str | None = None


@api.post("/classify")
def classify_text() -> Response:
    """Tag one text."""
    body = json_body(ClassifyBody)
    return json_response(_json(interactive.classify(services(), body.text, _label_set(body), body.model)))


def _label_set(body: ClassifyBody) -> LabelSet:
    refuse_both(body)
    if body.label_set is not None:
        return find_saved(reference(body.label_set)).content.label_set
    if body.labels is None:
        raise InvalidRequest("Give labels, or the label_set that has them.", field="labels")
    return label_set(body.labels, template=body.template, multi_label=body.multi_label, threshold=body.threshold)


def _json(found: Classification) -> dict[str, Any]:
    names, reply, decision = found.label_set.names, found.reply, found.decision
    assigned = found.assigned
    return {
        "label": assigned[0] if assigned else None,
        "labels": [names[index] for index in found.order],
        "scores": [reply.scores[index] for index in found.order],
        "status": decision.status.value,
        "margin": decision.margin,
        "assigned": list(assigned),
        "model": {
            "name": reply.model,
            "fingerprint": reply.fingerprint,
            "precision": reply.precision,
            "session": reply.session,
        },
        "timing": {
            "queue_ms": round(reply.queue_ms, 3),
            "inference_ms": round(reply.inference_ms, 3),
            "total_ms": round(found.total_ms, 3),
        },
        "truncated": reply.truncated,
        "cached": reply.cached,
        "cache": {"lookups": reply.cache_lookups, "hits": reply.cache_hits},
    }
