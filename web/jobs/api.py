"""Jobs: hand a file in, list, look, and stop or go on."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import Annotated

from flask import Response, request, url_for
from pydantic import StringConstraints

from web.auth.authentication import viewer
from web.blueprints import SIGNED_IN, api, signed_in
from web.http import pagination
from web.http.json import json_response
from web.http.pagination import PageQuery
from web.http.parsing import fields, query
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


class JobsQuery(PageQuery):
    """Filters of the list of jobs."""

    state: JobState | None = None
    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_NAME_CHARS)] = ""
    """Only jobs whose file name contains this, ignoring case; up to 200 characters."""


_LOCATION = Header(description="Path of the job.", schema={"type": "string", "format": "uri-reference"})
_REPLAYED = Header(description="`true`: an earlier request created the job.", schema={"const": "true"})


@api.post("/jobs", policy=signed_in(limit="uploads"))
@documented(
    group="Jobs",
    summary="Create a job",
    description="Either the whole file is stored or nothing. An error in the file has its `row`, numbered as in a"
    " spreadsheet. A row without text gets an error result; it does not fail the job.",
    form=JobFields,
    file="CSV, TSV, XLSX or JSONL, at most `YEBAN_MAX_UPLOAD_MB` MiB.",
    headers={
        "Idempotency-Key": Header(
            description="Makes repeating the request safe: the same key returns the job that the first one created.",
            schema={"type": "string", "pattern": "^[!-~]{1,200}$"},
            example="tickets-2026-11-22",
        )
    },
    answers={
        200: Answer(
            model=schemas.Job,
            description="The job that an earlier request with this `Idempotency-Key` created.",
            headers={"Location": _LOCATION, "Idempotent-Replayed": _REPLAYED},
        ),
        201: Answer(model=schemas.Job, description="The new job.", headers={"Location": _LOCATION}),
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
    """Create a job from an uploaded table."""
    if request.mimetype != "multipart/form-data":
        raise Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, msg("Send the file as multipart/form-data, in the field “file”.")
        )
    with expect_upload(services()):
        values = fields(JobFields, request.form)
        refuse_both(values)
        if strange := [name for name in request.files if name != "file"]:
            raise InvalidRequest(
                msg("Unknown file field %(name)s. Send one file, in the field “file”.", name=repr(strange[0][:100]))
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
    """List jobs, newest first."""
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
@documented(group="Jobs", summary="Get a job", answers={200: schemas.Job})
def show_job(job_id: uuid.UUID) -> Response:
    """Get one job."""
    return json_response(schemas.Job.of(get_job(services().database, job_id, viewer=viewer())))


@api.post("/jobs/<uuid:job_id>/<any(cancel, pause, resume):action>", policy=SIGNED_IN)
@documented(
    group="Jobs",
    summary={"pause": "Pause a job", "resume": "Resume a job", "cancel": "Cancel a job"},
    description="A paused or cancelled job claims no more rows. Finished rows are kept, and rows that a worker is"
    " scoring still finish. A paused, cancelled, failed or expired job can be resumed, and then scores only the missing"
    " rows. Repeating the request changes nothing.",
    answers={200: Answer(model=schemas.Job, description="The job after the change.")},
    problems=(Conflict,),
)
def change_job(job_id: uuid.UUID, action: str) -> Response:
    """Cancel, pause or resume a job."""
    change(services(), job_id, action)
    return json_response(schemas.Job.of(get_job(services().database, job_id, viewer=viewer())))


@api.delete("/jobs/<uuid:job_id>", policy=SIGNED_IN)
@documented(
    group="Jobs",
    summary="Delete a finished job",
    description="Deletes its rows, results and corrections too. Cancel an active job first.",
    answers={204: Answer(description="The job is deleted.")},
    problems=(Conflict,),
)
def remove_job(job_id: uuid.UUID) -> Response:
    """Delete a finished job with its rows and results."""
    delete_job(services().database, job_id, viewer=viewer())
    return Response(status=HTTPStatus.NO_CONTENT)
