"""Saved label sets and their versions."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, ClassVar

from flask import Response, request, url_for
from pydantic import BaseModel, Field

from web.auth.authentication import viewer
from web.blueprints import SIGNED_IN, api
from web.http import pagination
from web.http.json import json_response
from web.http.pagination import PageQuery
from web.http.parsing import SET_BYTES, documented_limit, json_body, query
from web.label_sets import schemas
from web.label_sets.input import LabelSetBody
from web.openapi.documentation import Answer, Header, documented
from web.services import services
from yeban import label_sets
from yeban.errors import Conflict, InvalidLabels, InvalidTemplate
from yeban.label_sets import MAX_NAME_CHARS


class _Name(BaseModel):
    """Base that puts ``name`` before the labels."""

    name: Any


class NewSetBody(LabelSetBody, _Name):
    """A label set to save."""

    name: str = Field(**documented_limit(minLength=1, maxLength=MAX_NAME_CHARS))
    """Unique among the label sets of its owner."""

    example: ClassVar[Mapping[str, Any]] = {
        "name": "售后",
        "labels": [{"name": "物流", "description": "包裹、快递的去向", "examples": ["快递到哪了"]}, "退款"],
        "template": "这是关于{}的工单",
        "threshold": 0.4,
    }


class SetBody(LabelSetBody):
    """New content of a label set."""

    version: Annotated[int, Field(ge=1)]
    """The version that the change is based on."""
    name: str | None = Field(None, **documented_limit(minLength=1, maxLength=MAX_NAME_CHARS))
    """Keeps the present name if left out."""

    example: ClassVar[Mapping[str, Any]] = {"version": 1, "labels": ["物流", "退款", "发票"]}


_LOCATION = Header(description="Path of the label set.", schema={"type": "string", "format": "uri-reference"})


@api.get("/label-sets", policy=SIGNED_IN)
@documented(group="Label sets", summary="List label sets", query=PageQuery, answers={200: schemas.LabelSetPage})
def index_label_sets() -> Response:
    """List label sets, newest first."""
    asked = query(PageQuery)
    page = label_sets.list_sets(
        services().database,
        viewer=viewer(),
        before=pagination.decode("label sets", asked.cursor),
        limit=asked.limit,
    )
    return json_response(
        schemas.LabelSetPage(
            label_sets=[schemas.ListedLabelSet.of(found) for found in page.sets],
            next_cursor=pagination.encode("label sets", page.next_before),
        )
    )


@api.post("/label-sets", policy=SIGNED_IN)
@documented(
    group="Label sets",
    summary="Save a label set",
    description="Names, descriptions and examples together have at most 300,000 characters. Line breaks in them become"
    " spaces.",
    body=NewSetBody,
    answers={
        201: Answer(model=schemas.SavedLabelSet, description="The new label set.", headers={"Location": _LOCATION})
    },
    problems=(Conflict, InvalidLabels, InvalidTemplate),
)
def create_label_set() -> Response:
    """Save a label set."""
    request.max_content_length = SET_BYTES
    body = json_body(NewSetBody)
    saved = label_sets.create(services().database, body.name, body.with_labels(body.labels), viewer=viewer())
    location = {"Location": url_for("api.show_label_set", label_set_id=saved.id)}
    return json_response(schemas.SavedLabelSet.of(saved), HTTPStatus.CREATED, location)


@api.get("/label-sets/<uuid:label_set_id>", policy=SIGNED_IN)
@documented(group="Label sets", summary="Get a label set", answers={200: schemas.SavedLabelSet})
def show_label_set(label_set_id: uuid.UUID) -> Response:
    """Get a label set at its newest version."""
    return json_response(
        schemas.SavedLabelSet.of(label_sets.get_set(services().database, label_set_id, viewer=viewer()))
    )


@api.put("/label-sets/<uuid:label_set_id>", policy=SIGNED_IN)
@documented(
    group="Label sets",
    summary="Change a label set",
    description="Adds a version, unless the content equals the newest one. If another version was saved since"
    " `version`, the answer is a conflict that names the newest `version`, and nothing changes.",
    body=SetBody,
    answers={200: Answer(model=schemas.SavedLabelSet, description="The label set after the change.")},
    problems=(Conflict, InvalidLabels, InvalidTemplate),
)
def save_label_set(label_set_id: uuid.UUID) -> Response:
    """Add a version to a label set."""
    request.max_content_length = SET_BYTES
    body = json_body(SetBody)
    saved = label_sets.save(
        services().database,
        label_set_id,
        body.with_labels(body.labels),
        base=body.version,
        name=body.name,
        viewer=viewer(),
    )
    return json_response(schemas.SavedLabelSet.of(saved))


@api.delete("/label-sets/<uuid:label_set_id>", policy=SIGNED_IN)
@documented(
    group="Label sets",
    summary="Delete a label set",
    description="Jobs keep the labels they were created with.",
    answers={204: Answer(description="The label set is deleted and its name is free.")},
)
def delete_label_set(label_set_id: uuid.UUID) -> Response:
    """Delete a label set with its versions."""
    label_sets.delete(services().database, label_set_id, viewer=viewer())
    return Response(status=HTTPStatus.NO_CONTENT)


@api.get("/label-sets/<uuid:label_set_id>/versions", policy=SIGNED_IN)
@documented(
    group="Label sets",
    summary="List the versions of a label set",
    query=PageQuery,
    answers={200: schemas.LabelSetVersionPage},
)
def list_label_set_versions(label_set_id: uuid.UUID) -> Response:
    """List the versions of a label set, newest first."""
    asked = query(PageQuery)
    found = label_sets.list_versions(
        services().database,
        label_set_id,
        viewer=viewer(),
        before=pagination.decode("versions", asked.cursor),
        limit=asked.limit + 1,
    )
    shown, following = pagination.split("versions", found, asked.limit, lambda past: past.version)
    return json_response(
        schemas.LabelSetVersionPage(
            versions=[schemas.LabelSetVersion.of(past) for past in shown], next_cursor=following
        )
    )


@api.get("/label-sets/<uuid:label_set_id>/versions/<int:version>", policy=SIGNED_IN)
@documented(group="Label sets", summary="Get a version of a label set", answers={200: schemas.SavedLabelSet})
def show_label_set_version(label_set_id: uuid.UUID, version: int) -> Response:
    """Get a label set at one version."""
    return json_response(
        schemas.SavedLabelSet.of(
            label_sets.get_set(services().database, label_set_id, version=version, viewer=viewer())
        )
    )
