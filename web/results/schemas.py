"""What is answered about a job's rows and their corrections."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal

from web.jobs.schemas import Job
from web.openapi.schema_base import AnswerBody


class Row(AnswerBody):
    """A row with what holds for it: a correction, else what refinement decided, else what it says by itself."""

    row: int
    """From 1."""
    file_row: int
    """The number that a spreadsheet shows."""
    text: str
    gold: str | None
    cells: list[str]
    """The row as it was read."""
    status: Literal["ok", "abstained", "error", "pending"]
    labels: list[str]
    """The assigned labels, best first."""
    score: float | None
    margin: float | None
    scores: list[float] | None
    """The row's own scores, in the order of the job's labels."""
    row_labels: list[str]
    """What the row says by itself."""
    row_score: float | None
    refined: bool
    predicted: list[str]
    """What would hold if nobody had corrected the row."""
    corrected: bool
    corrected_by: str | None
    """Who corrected it; empty where there are no accounts and no `author` was given."""
    corrected_at: datetime | None
    error: str | None
    """Why the row could not be scored."""

    example: ClassVar[Mapping[str, Any] | None] = {
        "row": 1,
        "file_row": 2,
        "text": "包裹三天没动了",
        "gold": "物流",
        "cells": ["1", "包裹三天没动了", "物流"],
        "status": "ok",
        "labels": ["物流"],
        "score": 0.94,
        "margin": 0.9,
        "scores": [0.3, 0.6, 0.1],
        "row_labels": ["退款"],
        "row_score": 0.6,
        "refined": True,
        "predicted": ["物流"],
        "corrected": False,
        "corrected_by": None,
        "corrected_at": None,
        "error": None,
    }


class RowPage(AnswerBody):
    """Rows in the order of the file."""

    rows: list[Row]
    next_cursor: str | None
    """The `cursor` of the next page; `null` on the last."""

    example: ClassVar[Mapping[str, Any] | None] = {"rows": [Row.example], "next_cursor": "cm93czox"}


class SuggestedRows(AnswerBody):
    """Rows that are worth a person's look, the most useful first."""

    rows: list[Row]

    example: ClassVar[Mapping[str, Any] | None] = {"rows": [Row.example]}


class Correction(AnswerBody):
    """The labels that a person gave a row."""

    row: int
    file_row: int
    text: str
    labels: list[str]
    """Empty where none of the job's labels fits."""
    author: str
    made_at: datetime

    example: ClassVar[Mapping[str, Any] | None] = {
        "row": 12,
        "file_row": 13,
        "text": "退款一直没到账",
        "labels": ["退款"],
        "author": "小王",
        "made_at": "2026-11-23T08:15:02+00:00",
    }


class CorrectionPage(AnswerBody):
    """Corrections in the order of the file."""

    corrections: list[Correction]
    next_cursor: str | None
    """The `cursor` of the next page; `null` on the last."""

    example: ClassVar[Mapping[str, Any] | None] = {"corrections": [Correction.example], "next_cursor": None}


class CorrectionsStored(AnswerBody):
    """What changed: rows whose correction is another than before."""

    stored: int
    removed: int
    job: Job
    """The job afterwards."""

    example: ClassVar[Mapping[str, Any] | None] = {"stored": 2, "removed": 1, "job": Job.example}
