"""Answers about saved label sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self
from uuid import UUID

from flask import url_for
from pydantic import Field

from web.http.json import AnswerBody, Moment
from yeban.label_sets import SavedSet

_ID = "4a0e3f62-0c1d-4b7a-9e55-6f1c2d3b4a59"
_PATH = f"/api/v1/label-sets/{_ID}"
_MOMENT = "2026-11-26T08:15:02+00:00"


class JobLabel(AnswerBody):
    """One of a job's labels."""

    name: str
    description: str
    examples: list[str]


class LabelSetLinks(AnswerBody):
    """Paths."""

    self: str
    versions: str
    version: str


class SavedLabelSet(AnswerBody):
    """A saved label set at one of its versions."""

    id: UUID
    name: str
    owner: str
    """The account that created it; empty where there are no accounts."""
    version: int
    """The version shown."""
    newest: int
    """The number of the newest version."""
    labels: list[JobLabel]
    template: str
    multi_label: bool
    threshold: float | None
    author: str
    """The account that created this version."""
    made_at: Moment
    """When this version was created."""
    created_at: Moment
    links: LabelSetLinks

    example: ClassVar[Mapping[str, Any] | None] = {
        "id": _ID,
        "name": "售后",
        "owner": "",
        "version": 1,
        "newest": 1,
        "labels": [
            {"name": "物流", "description": "包裹、快递的去向", "examples": ["快递到哪了"]},
            {"name": "退款", "description": "", "examples": []},
        ],
        "template": "这是关于{}的工单",
        "multi_label": False,
        "threshold": 0.4,
        "author": "",
        "made_at": _MOMENT,
        "created_at": _MOMENT,
        "links": {"self": _PATH, "versions": f"{_PATH}/versions", "version": f"{_PATH}/versions/1"},
    }

    @classmethod
    def of(cls, view: SavedSet) -> Self:
        content = view.content
        return cls(
            id=view.id,
            name=view.name,
            owner=view.owner,
            version=content.version,
            newest=view.newest,
            labels=[JobLabel.of(label) for label in content.label_set.labels],
            template=content.label_set.template,
            multi_label=content.label_set.multi_label,
            threshold=content.label_set.threshold,
            author=content.author,
            made_at=content.made_at,
            created_at=view.created_at,
            links=LabelSetLinks(
                self=url_for("api.show_label_set", label_set_id=view.id),
                versions=url_for("api.list_label_set_versions", label_set_id=view.id),
                version=url_for("api.show_label_set_version", label_set_id=view.id, version=content.version),
            ),
        )


class ListedLabelSet(AnswerBody):
    """A label set in a list."""

    id: UUID
    name: str
    owner: str
    version: int = Field(validation_alias="newest")
    """The number of the newest version."""
    labels: int
    """Number of labels."""
    created_at: Moment
    made_at: Moment
    """When the newest version was created."""
    author: str


class LabelSetPage(AnswerBody):
    """Label sets, newest first."""

    label_sets: list[ListedLabelSet]
    next_cursor: str | None
    """The `cursor` of the next page; `null` on the last."""

    example: ClassVar[Mapping[str, Any] | None] = {
        "label_sets": [
            {
                "id": _ID,
                "name": "售后",
                "owner": "",
                "version": 1,
                "labels": 2,
                "created_at": _MOMENT,
                "made_at": _MOMENT,
                "author": "",
            }
        ],
        "next_cursor": None,
    }


class LabelSetVersion(AnswerBody):
    """A version in a history."""

    version: int
    labels: int
    """Number of labels."""
    author: str
    made_at: Moment


class LabelSetVersionPage(AnswerBody):
    """Versions of a label set, newest first."""

    versions: list[LabelSetVersion]
    next_cursor: str | None
    """The `cursor` of the next page; `null` on the last."""

    example: ClassVar[Mapping[str, Any] | None] = {
        "versions": [{"version": 1, "labels": 2, "author": "", "made_at": _MOMENT}],
        "next_cursor": None,
    }
