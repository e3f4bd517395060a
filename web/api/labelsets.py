"""Saved label sets: list, make, look up with their versions, add a version, delete."""

from __future__ import annotations

import uuid
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from flask import Response, request, url_for
from pydantic import Field

from web import cursors
from web.access import viewer
from web.answers import json_response
from web.api.blueprint import api
from web.edge import Fields, JsonBody, json_body, query
from web.labelset import SET_BYTES, LabelsField, label_set
from web.services import services
from yeban import labelsets
from yeban.labels import DEFAULT_TEMPLATE, LabelSet
from yeban.labelsets import SavedSet


class SetsQuery(Fields):
    """Which sets, or versions of one, to list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: str | None = None


class NewSetBody(JsonBody):
    """A set to be saved."""

    name: str
    labels: LabelsField
    template: str = DEFAULT_TEMPLATE
    multi_label: bool = False
    threshold: float | None = None


class SetBody(JsonBody):
    """What a set is to say from now on, and the ``version`` that it was made from."""

    version: Annotated[int, Field(ge=1)]
    labels: LabelsField
    name: str | None = None
    template: str = DEFAULT_TEMPLATE
    multi_label: bool = False
    threshold: float | None = None


@api.get("/label-sets")
def index_label_sets() -> Response:
    """A page of sets, newest first."""
    asked = query(SetsQuery)
    page = labelsets.list_sets(
        services().database,
        viewer=viewer(),
        before=cursors.decode("label sets", asked.cursor),
        limit=asked.limit,
    )
    return json_response(
        {
            "label_sets": [
                {
                    "id": str(found.id),
                    "name": found.name,
                    "owner": found.owner,
                    "version": found.newest,
                    "labels": found.labels,
                    "created_at": _iso(found.created_at),
                    "made_at": _iso(found.made_at),
                    "author": found.author,
                }
                for found in page.sets
            ],
            "next_cursor": None if page.next_before is None else cursors.encode("label sets", page.next_before),
        }
    )


@api.post("/label-sets")
def create_label_set() -> Response:
    """Save a set."""
    request.max_content_length = SET_BYTES
    body = json_body(NewSetBody)
    saved = labelsets.create(services().database, body.name, _content(body), viewer=viewer())
    location = {"Location": url_for("api.show_label_set", label_set_id=saved.id)}
    return json_response(_json(saved), HTTPStatus.CREATED, location)


@api.get("/label-sets/<uuid:label_set_id>")
def show_label_set(label_set_id: uuid.UUID) -> Response:
    """One set as of its newest version."""
    return json_response(_json(labelsets.get_set(services().database, label_set_id, viewer=viewer())))


@api.put("/label-sets/<uuid:label_set_id>")
def save_label_set(label_set_id: uuid.UUID) -> Response:
    """Add a version."""
    request.max_content_length = SET_BYTES
    body = json_body(SetBody)
    saved = labelsets.save(
        services().database, label_set_id, _content(body), base=body.version, name=body.name, viewer=viewer()
    )
    return json_response(_json(saved))


@api.delete("/label-sets/<uuid:label_set_id>")
def delete_label_set(label_set_id: uuid.UUID) -> Response:
    """Delete a set with its versions."""
    labelsets.delete(services().database, label_set_id, viewer=viewer())
    return Response(status=HTTPStatus.NO_CONTENT)


@api.get("/label-sets/<uuid:label_set_id>/versions")
def list_label_set_versions(label_set_id: uuid.UUID) -> Response:
    """A page of a set's versions, the newest first."""
    asked = query(SetsQuery)
    found = labelsets.list_versions(
        services().database,
        label_set_id,
        viewer=viewer(),
        before=cursors.decode("versions", asked.cursor),
        limit=asked.limit + 1,
    )
    more = len(found) > asked.limit
    found = found[: asked.limit]
    return json_response(
        {
            "versions": [
                {"version": past.version, "labels": past.labels, "author": past.author, "made_at": _iso(past.made_at)}
                for past in found
            ],
            "next_cursor": cursors.encode("versions", found[-1].version) if more else None,
        }
    )


@api.get("/label-sets/<uuid:label_set_id>/versions/<int:version>")
def show_label_set_version(label_set_id: uuid.UUID, version: int) -> Response:
    """One set as of one version."""
    return json_response(_json(labelsets.get_set(services().database, label_set_id, version=version, viewer=viewer())))


def _content(body: NewSetBody | SetBody) -> LabelSet:
    return label_set(body.labels, template=body.template, multi_label=body.multi_label, threshold=body.threshold)


def _json(saved: SavedSet) -> dict[str, Any]:
    content = saved.content
    return {
        "id": str(saved.id),
        "name": saved.name,
        "owner": saved.owner,
        "version": content.version,
        "newest": saved.newest,
        **content.label_set.to_json(),
        "author": content.author,
        "made_at": _iso(content.made_at),
        "created_at": _iso(saved.created_at),
        "links": {
            "self": url_for("api.show_label_set", label_set_id=saved.id),
            "versions": url_for("api.list_label_set_versions", label_set_id=saved.id),
            "version": url_for("api.show_label_set_version", label_set_id=saved.id, version=content.version),
        },
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat()
