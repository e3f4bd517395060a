"""``/jobs``: all jobs, and the page of one."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from web import cursors, problems
from web.access import viewer
from web.jobactions import change
from web.jobview import actions, percent, refinable, refinement_json
from web.pages.blueprint import pages
from web.services import services
from yeban.errors import Conflict
from yeban.jobs import results
from yeban.jobs.states import ENDED, JobState
from yeban.jobs.views import JobView, get_job, list_jobs
from yeban.labels import Status

_PAGE_JOBS = 25
_SAMPLE_ROWS = 8
_ERROR_ROWS = 20
_CHANGED_ROWS = 8
# Nothing on these pages changes until a person does something.
_STILL = ENDED | {JobState.PAUSED}


@pages.get("/jobs")
def index_jobs() -> str:
    """All jobs, newest first."""
    page = list_jobs(
        services().database,
        viewer=viewer(),
        before=cursors.decode("jobs", request.args.get("cursor") or None),
        limit=_PAGE_JOBS,
    )
    older = None if page.next_before is None else cursors.encode("jobs", page.next_before)
    return render_template("jobs.html", jobs=page.jobs, percent_done=percent, older=older)


@pages.get("/jobs/<uuid:job_id>")
def show_job(job_id: uuid.UUID) -> str:
    """One job."""
    return render_template("job.html", **_shown(get_job(services().database, job_id, viewer=viewer())))


@pages.get("/jobs/<uuid:job_id>/live")
def show_job_live(job_id: uuid.UUID) -> Response:
    """The part of a job's page that changes, for its script; ``X-Job-Still`` says that it no longer will."""
    job = get_job(services().database, job_id, viewer=viewer())
    response = make_response(render_template("job_live.html", **_shown(job)))
    response.headers["Cache-Control"] = "no-store"
    if job.state in _STILL:
        response.headers["X-Job-Still"] = "true"
    return response


@pages.post("/jobs/<uuid:job_id>/<any(cancel, pause, resume):action>")
def change_job(job_id: uuid.UUID, action: str) -> AnyResponse:
    """Do it and go back to the job's page, or say there why it cannot be done."""
    try:
        change(services(), job_id, action)
    except Conflict as error:
        return problems.page("job.html", error, **_shown(get_job(services().database, job_id, viewer=viewer())))
    return redirect(url_for("pages.show_job", job_id=job_id), 303)


def _shown(job: JobView) -> dict[str, Any]:
    database = services().database
    still = job.state in _STILL
    # Looking for errors may read every row, which is too much for a page that asks again and again.
    errors = job.progress.errors and still
    counts = (job.summary or {}).get("labels", {})
    return {
        "job": job,
        "still": still,
        "percent_done": percent(job),
        "actions": actions(job),
        "refinable": refinable(job),
        "label_counts": sorted(counts.items(), key=lambda item: -item[1]),
        "evaluation": (job.summary or {}).get("evaluation"),
        "refinement": refinement_json(job),
        "changed_rows": _changed(job),
        "rows": results.page(database, job, limit=_SAMPLE_ROWS) if job.progress.done else [],
        "error_rows": results.page(database, job, limit=_ERROR_ROWS, status=Status.ERROR) if errors else [],
    }


def _changed(job: JobView) -> list[results.TaggedRow]:
    """The surest of the rows whose label the whole file changed."""
    changed = (job.refinement or {}).get("examples", [])[:_CHANGED_ROWS]
    return results.rows(services().database, job, changed) if changed else []
