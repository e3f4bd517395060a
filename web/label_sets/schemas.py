"""What is answered about saved label sets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from web.openapi.schema_base import AnswerBody

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
    """A saved label set as of one of its versions."""

    id: UUID
    name: str
    owner: str
    """The account that made it; empty where there are none."""
    version: int
    """The version that is shown."""
    newest: int
    """The number of the last version."""
    labels: list[JobLabel]
    template: str
    multi_label: bool
    threshold: float | None
    author: str
    """The account that made this version."""
    made_at: datetime
    """When this version was made."""
    created_at: datetime
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


class ListedLabelSet(AnswerBody):
    """A label set as lists have it."""

    id: UUID
    name: str
    owner: str
    version: int
    """The number of the last version."""
    labels: int
    """How many labels it has."""
    created_at: datetime
    made_at: datetime
    """When the last version was made."""
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
    """A version as a history has it."""

    version: int
    labels: int
    """How many labels it has."""
    author: str
    made_at: datetime


class LabelSetVersionPage(AnswerBody):
    """Versions of a label set, newest first."""

    versions: list[LabelSetVersion]
    next_cursor: str | None
    """The `cursor` of the next page; `null` on the last."""

    example: ClassVar[Mapping[str, Any] | None] = {
        "versions": [{"version": 1, "labels": 2, "author": "", "made_at": _MOMENT}],
        "next_cursor": None,
    }
