"""Answers about the rows of a job and their corrections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from web.http.json import AnswerBody, English, Moment
from web.jobs.schemas import Job


class Row(AnswerBody):
    """A row with its effective labels: the correction, else the refined label, else the row label."""

    row: int = Field(validation_alias="row_no")
    """From 1."""
    file_row: int
    """The row number in a spreadsheet."""
    text: str
    gold: str | None
    cells: list[str]
    """The original cells."""
    status: Literal["ok", "abstained", "error", "pending"]
    labels: list[str]
    """The assigned labels, best first."""
    score: float | None
    margin: float | None
    scores: list[float] | None
    """Row scores, in the order of the job's labels."""
    row_labels: list[str]
    """The row label, before refinement and correction."""
    row_score: float | None
    refined: bool
    predicted: list[str]
    """The labels without the correction."""
    corrected: bool
    corrected_by: str | None
    """Author of the correction; empty without accounts and without an `author`."""
    corrected_at: Moment | None
    error: English | None
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
    """The `cursor` of the next page; `null` on the last page."""

    example: ClassVar[Mapping[str, Any] | None] = {"rows": [Row.example], "next_cursor": "cm93czox"}


class SuggestedRows(AnswerBody):
    """Rows worth correcting, the most useful first."""

    rows: list[Row]

    example: ClassVar[Mapping[str, Any] | None] = {"rows": [Row.example]}


class Correction(AnswerBody):
    """Labels that a person gave a row."""

    row: int = Field(validation_alias="row_no")
    file_row: int
    text: str
    labels: list[str]
    """Empty if none of the job's labels fits."""
    author: str
    made_at: Moment

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
    """The `cursor` of the next page; `null` on the last page."""

    example: ClassVar[Mapping[str, Any] | None] = {"corrections": [Correction.example], "next_cursor": None}


class CorrectionsStored(AnswerBody):
    """Number of rows whose correction changed."""

    stored: int
    removed: int
    job: Job
    """The job after the change."""

    example: ClassVar[Mapping[str, Any] | None] = {"stored": 2, "removed": 1, "job": Job.example}
