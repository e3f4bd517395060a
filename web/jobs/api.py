"""Jobs: hand a file in, list, look, and stop or go on."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import Annotated

from flask import Response, request, url_for
from pydantic import Field, StringConstraints

from web.auth.authentication import viewer
from web.blueprints import SIGNED_IN, api, signed_in
from web.http import pagination
from web.http.json import json_response
from web.http.parsing import Fields, fields, query
from web.http.refusals import Refusal
from web.jobs import schemas
from web.jobs.actions import change
from web.jobs.submission import JobFields, expect_upload, source_of, submit
from web.label_sets.input import refuse_both
from web.openapi.documentation import Answer, Header, documented
from web.services import services
from yeban.database.tables.states import JobState
from yeban.errors import (
    Conflict,
    InvalidLabels,
    InvalidRequest,
    InvalidTable,
    InvalidTemplate,
    NotFound,
    Overloaded,
    UnknownColumn,
    UnknownModel,
    msg,
)
from yeban.jobs.retention import delete_job
from yeban.jobs.views import MAX_NAME_CHARS, get_job, list_jobs


class JobsQuery(Fields):
    """Which jobs to list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: str | None = None
    """The `next_cursor` of the page before."""
    state: JobState | None = None
    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_NAME_CHARS)] = ""
    """Only jobs that have this in the name of their file, in capitals or not; up to 200 characters."""


_LOCATION = Header(description="The job's path.", schema={"type": "string", "format": "uri-reference"})
_REPLAYED = Header(description="`true`: the job is that of an earlier request.", schema={"const": "true"})


@api.post("/jobs", policy=signed_in(limit="uploads"))
@documented(
    group="Jobs",
    summary="Hand a file in",
    description="Nothing is stored unless the whole file could be read. What could not be read is told with its `row`,"
    " as a spreadsheet numbers it. A row that merely has no text makes an error result, never a failed job.",
    form=JobFields,
    file="CSV, TSV, XLSX or JSONL, at most `YEBAN_MAX_UPLOAD_MB` MiB.",
    headers={
        "Idempotency-Key": Header(
            description="A request that is repeated with the same key returns the job that the first one made.",
            schema={"type": "string", "pattern": "^[!-~]{1,200}$"},
            example="tickets-2026-11-22",
        )
    },
    answers={
        200: Answer(
            model=schemas.Job,
            description="The job that an earlier request with this `Idempotency-Key` made.",
            headers={"Location": _LOCATION, "Idempotent-Replayed": _REPLAYED},
        ),
        201: Answer(model=schemas.Job, description="The job was made.", headers={"Location": _LOCATION}),
    },
    problems=(
        Conflict,
        InvalidLabels,
        InvalidTable,
        InvalidTemplate,
        NotFound,
        Overloaded,
        UnknownColumn,
        UnknownModel,
    ),
)
def create_job() -> Response:
    """Make a job of an uploaded table."""
    if request.mimetype != "multipart/form-data":
        raise Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, msg("Send the file as multipart/form-data, in the field “file”.")
        )
    with expect_upload(services()):
        values = fields(JobFields, request.form)
        refuse_both(values)
        if strange := [name for name in request.files if name != "file"]:
            raise InvalidRequest(
                msg("There is no file field %(name)s; send one file, in the field “file”.", name=repr(strange[0][:100]))
            )
        source = source_of(request.files.getlist("file"))
        created = submit(services(), source, values, request.headers.get("Idempotency-Key"))
    headers = {"Location": url_for("api.show_job", job_id=created.public_id)}
    if created.replayed:
        headers["Idempotent-Replayed"] = "true"
    return json_response(
        schemas.Job.of(get_job(services().database, created.public_id, viewer=viewer())),
        HTTPStatus.OK if created.replayed else HTTPStatus.CREATED,
        headers,
    )


@api.get("/jobs", policy=SIGNED_IN)
@documented(group="Jobs", summary="List jobs", query=JobsQuery, answers={200: schemas.JobPage})
def index_jobs() -> Response:
    """A page of jobs, newest first."""
    asked = query(JobsQuery)
    page = list_jobs(
        services().database,
        viewer=viewer(),
        states=[asked.state] if asked.state else [],
        name=asked.name,
        before=pagination.decode("jobs", asked.cursor),
        limit=asked.limit,
    )
    return json_response(
        schemas.JobPage(
            jobs=[schemas.Job.of(job) for job in page.jobs], next_cursor=pagination.encode("jobs", page.next_before)
        )
    )


@api.get("/jobs/<uuid:job_id>", policy=SIGNED_IN)
@documented(group="Jobs", summary="Look at a job", answers={200: schemas.Job})
def show_job(job_id: uuid.UUID) -> Response:
    """One job."""
    return json_response(schemas.Job.of(get_job(services().database, job_id, viewer=viewer())))


@api.post("/jobs/<uuid:job_id>/<any(cancel, pause, resume):action>", policy=SIGNED_IN)
@documented(
    group="Jobs",
    summary={"pause": "Pause a job", "resume": "Resume a job", "cancel": "Cancel a job"},
    description="Paused, no more rows are claimed for now; cancelled, none any more. Rows that are finished are kept,"
    " and what a worker is scoring just then still finishes. A cancelled, failed or expired job may be resumed, and"
    " then runs only the rows that are missing. Nothing changes when it is repeated.",
    answers={200: Answer(model=schemas.Job, description="The job afterwards.")},
    problems=(Conflict,),
)
def change_job(job_id: uuid.UUID, action: str) -> Response:
    """Stop a job, hold it, or take it up again."""
    change(services(), job_id, action)
    return json_response(schemas.Job.of(get_job(services().database, job_id, viewer=viewer())))


@api.delete("/jobs/<uuid:job_id>", policy=SIGNED_IN)
@documented(
    group="Jobs",
    summary="Delete an ended job",
    description="With its rows, results and corrections. A job that may still go on is to be cancelled first.",
    answers={204: Answer(description="It is gone.")},
    problems=(Conflict,),
)
def remove_job(job_id: uuid.UUID) -> Response:
    """Delete an ended job and all that it holds."""
    delete_job(services().database, job_id, viewer=viewer())
    return Response(status=HTTPStatus.NO_CONTENT)
