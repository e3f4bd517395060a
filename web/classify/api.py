"""``POST /classify``: tag a single text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from flask import Response
from pydantic import BaseModel, Field

from web.blueprints import api, signed_in
from web.classify import schemas, service
from web.http.json import json_response
from web.http.parsing import JsonBody, documented_limit, json_body
from web.label_sets.input import (
    Labels,
    LabelSetField,
    LabelSetOptions,
    LabelsField,
    find_saved,
    reference,
    refuse_both,
)
from web.openapi.documentation import documented
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
from yeban.labels import LabelSet


class _Text(BaseModel):
    """Base that puts ``text`` before the labels."""

    text: Any


class ClassifyBody(LabelSetOptions, Labels, _Text, JsonBody):
    """A text to tag, and the labels to choose from."""

    text: str = Field(**documented_limit(minLength=1))
    """At most `YEBAN_MAX_TEXT_CHARS` characters, not blank."""
    labels: LabelsField | None = None
    """Names or objects, 1,000 at most, of `YEBAN_INTERACTIVE_LABEL_CHARS` characters together; or one string, split at
    `,` and `，`."""
    label_set: LabelSetField | None = None
    """A saved label set, as its id, as `<id>@<version>`, or as an object; instead of `labels`, `template`,
    `multi_label` and `threshold`."""
    model: str | None = None
    """A model that `GET /api/v1/models` lists; the default model if left out."""

    example: ClassVar[Mapping[str, Any]] = {"text": "包裹三天没动了", "labels": ["物流", "退款", "发票"]}


@api.post("/classify", policy=signed_in(limit="texts"))
@documented(
    group="Texts",
    summary="Tag a text",
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
        raise InvalidRequest(msg("Give either labels or a label_set."), field="labels")
    return body.with_labels(body.labels)
