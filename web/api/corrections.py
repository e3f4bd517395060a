"""Corrections of a job's rows, the rows worth correcting, and refining the job once more with what was learnt."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated

from flask import Response
from pydantic import Field

from web import cursors
from web.access import author, viewer
from web.answers import json_response
from web.api.blueprint import api
from web.edge import Fields, JsonBody, json_body, query
from web.jobactions import refine_again
from web.jobview import correction_json, job_json, row_json
from web.services import services
from yeban.errors import InvalidRequest
from yeban.jobs import corrections
from yeban.jobs.views import get_job


class CorrectionsQuery(Fields):
    """Which corrections to list."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: str | None = None


class SuggestionsQuery(Fields):
    """How many rows to suggest, and how many of the first to pass over."""

    limit: Annotated[int, Field(ge=1, le=50)] = 10
    skip: Annotated[int, Field(ge=0, le=1_000_000)] = 0


class CorrectionItem(JsonBody):
    """One row's labels: none of them where none fits, ``None`` to take a correction back."""

    row: int
    labels: list[str] | None


class CorrectionsBody(JsonBody):
    """Corrections, each of another row, and who made them."""

    corrections: list[CorrectionItem]
    author: str = ""


@api.get("/jobs/<uuid:job_id>/corrections")
def list_corrections(job_id: uuid.UUID) -> Response:
    """A page of corrections, in the order of the file."""
    asked = query(CorrectionsQuery)
    after = cursors.decode("corrections", asked.cursor) or 0
    database = services().database
    found = corrections.list_corrections(
        database, get_job(database, job_id, viewer=viewer()), after=after, limit=asked.limit + 1
    )
    more = len(found) > asked.limit
    found = found[: asked.limit]
    return json_response(
        {
            "corrections": [correction_json(correction) for correction in found],
            "next_cursor": cursors.encode("corrections", found[-1].row_no) if more else None,
        }
    )


@api.put("/jobs/<uuid:job_id>/corrections")
def correct(job_id: uuid.UUID) -> Response:
    """Store corrections and take others back; all of them, or none."""
    body = json_body(CorrectionsBody)
    wanted = {item.row: item.labels for item in body.corrections}
    if len(wanted) < len(body.corrections):
        rows = [item.row for item in body.corrections]
        doubled = next(row for row in rows if rows.count(row) > 1)
        raise InvalidRequest(f"Row {doubled} is given twice; give it once.", field="corrections", row=doubled)
    database = services().database
    changed = corrections.correct(database, job_id, wanted, author=author(body.author), viewer=viewer())
    return json_response({**asdict(changed), "job": job_json(get_job(database, job_id, viewer=viewer()))})


@api.get("/jobs/<uuid:job_id>/suggestions")
def list_suggestions(job_id: uuid.UUID) -> Response:
    """Rows that are worth correcting, the most useful first."""
    asked = query(SuggestionsQuery)
    database = services().database
    rows = corrections.suggested(database, get_job(database, job_id, viewer=viewer()), asked.limit, skip=asked.skip)
    return json_response({"rows": [row_json(row) for row in rows]})


@api.post("/jobs/<uuid:job_id>/refine")
def refine_job(job_id: uuid.UUID) -> Response:
    """Let a completed job be refined once more, with what was corrected meanwhile."""
    refine_again(services(), job_id)
    return json_response(job_json(get_job(services().database, job_id, viewer=viewer())), HTTPStatus.ACCEPTED)
