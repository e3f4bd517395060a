"""Corrections of rows, suggested rows, and refining a job again."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, ClassVar

from flask import Response
from pydantic import Field

from web.auth.authentication import author, viewer
from web.blueprints import SIGNED_IN, api
from web.http import pagination
from web.http.json import json_response
from web.http.pagination import RowsQuery
from web.http.parsing import Fields, JsonBody, documented_limit, json_body, query
from web.jobs.actions import refine_again
from web.jobs.schemas import Job
from web.openapi.documentation import Answer, documented
from web.results import schemas
from web.services import services
from yeban.errors import Conflict, InvalidRequest, msg
from yeban.jobs.views import get_job
from yeban.results import corrections
from yeban.results.corrections import MAX_AUTHOR_CHARS, MAX_CORRECTIONS


class SuggestionsQuery(Fields):
    """Page of the suggested rows."""

    limit: Annotated[int, Field(ge=1, le=50)] = 10
    skip: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Number of rows to skip."""


class CorrectionItem(JsonBody):
    """Labels of one row."""

    row: int = Field(**documented_limit(minimum=1))
    """The `row` of the results."""
    labels: list[str] | None
    """One label, or any number with `multi_label`; empty if none fits, `null` to remove a correction."""


class CorrectionsBody(JsonBody):
    """Corrections and their author."""

    corrections: list[CorrectionItem] = Field(**documented_limit(minItems=1, maxItems=MAX_CORRECTIONS))
    """1 to 1,000, one per row."""
    author: str = Field("", **documented_limit(maxLength=MAX_AUTHOR_CHARS))
    """At most 200 characters."""

    example: ClassVar[Mapping[str, Any]] = {
        "corrections": [{"row": 1, "labels": ["退款"]}, {"row": 2, "labels": []}, {"row": 3, "labels": None}],
        "author": "小王",
    }


@api.get("/jobs/<uuid:job_id>/corrections", policy=SIGNED_IN)
@documented(
    group="Corrections",
    summary="List corrections",
    query=RowsQuery,
    answers={200: schemas.CorrectionPage},
)
def list_corrections(job_id: uuid.UUID) -> Response:
    """List corrections in the order of the file."""
    asked = query(RowsQuery)
    after = pagination.decode("corrections", asked.cursor) or 0
    database = services().database
    found = corrections.list_corrections(
        database, get_job(database, job_id, viewer=viewer()), after=after, limit=asked.limit + 1
    )
    shown, following = pagination.split("corrections", found, asked.limit, lambda correction: correction.row_no)
    return json_response(
        schemas.CorrectionPage(
            corrections=[schemas.Correction.of(correction) for correction in shown], next_cursor=following
        )
    )


@api.put("/jobs/<uuid:job_id>/corrections", policy=SIGNED_IN)
@documented(
    group="Corrections",
    summary="Correct rows",
    description="Stores all corrections or none. Repeating the request changes nothing. A row without a result is a"
    " conflict. A failed row can be corrected too, and then no longer counts as an error.",
    body=CorrectionsBody,
    answers={200: schemas.CorrectionsStored},
    problems=(Conflict,),
)
def correct(job_id: uuid.UUID) -> Response:
    """Store and remove corrections, all or none."""
    body = json_body(CorrectionsBody)
    wanted = {item.row: item.labels for item in body.corrections}
    if len(wanted) < len(body.corrections):
        given = [item.row for item in body.corrections]
        doubled = next(row for row in given if given.count(row) > 1)
        raise InvalidRequest(
            msg("Row %(doubled)s appears twice. Give each row once.", doubled=doubled), field="corrections", row=doubled
        )
    database = services().database
    changed = corrections.correct(database, job_id, wanted, author=author(body.author), viewer=viewer())
    job = Job.of(get_job(database, job_id, viewer=viewer()))
    return json_response(schemas.CorrectionsStored(stored=changed.stored, removed=changed.removed, job=job))


@api.get("/jobs/<uuid:job_id>/suggestions", policy=SIGNED_IN)
@documented(
    group="Corrections",
    summary="List rows worth correcting",
    description="Rows that the refinement is unsure about and that resemble many others; without refinement, those with"
    " the smallest margin among the first 20,000. Corrected rows are left out.",
    query=SuggestionsQuery,
    answers={200: schemas.SuggestedRows},
)
def list_suggestions(job_id: uuid.UUID) -> Response:
    """List rows worth correcting, the most useful first."""
    asked = query(SuggestionsQuery)
    database = services().database
    found = corrections.suggested(database, get_job(database, job_id, viewer=viewer()), asked.limit, skip=asked.skip)
    return json_response(schemas.SuggestedRows(rows=[schemas.Row.of(row) for row in found]))


@api.post("/jobs/<uuid:job_id>/refine", policy=SIGNED_IN)
@documented(
    group="Corrections",
    summary="Refine a job again",
    description="Learns from the corrections. It scores no row again, so it takes seconds. Repeating the request"
    " meanwhile changes nothing.",
    answers={
        202: Answer(
            model=Job, description="The job, `finishing` until the refinement is done; its results stay readable."
        )
    },
    problems=(Conflict,),
)
def refine_job(job_id: uuid.UUID) -> Response:
    """Refine a completed job again with its corrections."""
    refine_again(services(), job_id)
    return json_response(Job.of(get_job(services().database, job_id, viewer=viewer())), HTTPStatus.ACCEPTED)
