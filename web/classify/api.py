"""``POST /classify``: one text, answered now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from flask import Response
from pydantic import Field

from web.blueprints import api, signed_in
from web.classify import schemas, service
from web.http.json import json_response
from web.http.parsing import JsonBody, json_body, told
from web.label_sets.input import LabelSetField, LabelsField, find_saved, label_set, reference, refuse_both
from web.openapi.documented import documented
from web.services import services
from yeban.errors import (
    EngineFailed,
    EngineUnavailable,
    InvalidLabels,
    InvalidRequest,
    InvalidTemplate,
    ModelUnusable,
    NoAnswer,
    NotFound,
    Overloaded,
    UnknownModel,
    msg,
)
from yeban.labels import DEFAULT_TEMPLATE, MAX_TEMPLATE_CHARS, LabelSet


class ClassifyBody(JsonBody):
    """What to tag, and with what."""

    text: str = Field(**told(minLength=1))
    """At most `YEBAN_MAX_TEXT_CHARS` characters, not blank."""
    labels: LabelsField | None = None
    """Names or objects, 1,000 at most, of `YEBAN_INTERACTIVE_LABEL_CHARS` characters together; or one string, split at
    `,` and `，`."""
    label_set: LabelSetField | None = None
    """In place of `labels`, `template`, `multi_label` and `threshold`: a saved label set, as its id, as
    `<id>@<version>`, or as an object."""
    template: str = Field(DEFAULT_TEMPLATE, **told(minLength=2, maxLength=MAX_TEMPLATE_CHARS))
    """The hypothesis; `{}` is where the label goes."""
    multi_label: bool = False
    """Whether several labels, or none, may apply."""
    threshold: float | None = Field(None, **told(minimum=0, maximum=1))
    """Probability from which a label is assigned, 0 to 1. Without one it is 0, and 0.5 with `multi_label`."""
    model: str | None = None
    """A name that `GET /api/v1/models` has; the default model otherwise."""

    example: ClassVar[Mapping[str, Any]] = {"text": "包裹三天没动了", "labels": ["物流", "退款", "发票"]}


@api.post("/classify", policy=signed_in(limit="texts"))
@documented(
    group="Texts",
    summary="Tag one text now",
    body=ClassifyBody,
    answers={200: schemas.Classification},
    problems=(
        EngineFailed,
        EngineUnavailable,
        InvalidLabels,
        InvalidTemplate,
        ModelUnusable,
        NoAnswer,
        NotFound,
        Overloaded,
        UnknownModel,
    ),
)
def classify_text() -> Response:
    """Tag one text."""
    body = json_body(ClassifyBody)
    found = service.classify(services(), body.text, _label_set(body), body.model)
    return json_response(schemas.Classification.of(found))


def _label_set(body: ClassifyBody) -> LabelSet:
    refuse_both(body)
    if body.label_set is not None:
        return find_saved(reference(body.label_set)).content.label_set
    if body.labels is None:
        raise InvalidRequest(msg("Give labels, or the label_set that has them."), field="labels")
    return label_set(body.labels, template=body.template, multi_label=body.multi_label, threshold=body.threshold)
