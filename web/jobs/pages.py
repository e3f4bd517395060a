"""``/jobs``: the list of jobs, and the page of a job."""

from __future__ import annotations

import json
import uuid
from typing import Any

from flask import Response, flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from web.auth.authentication import viewer
from web.blueprints import SIGNED_IN, pages
from web.http import errors as problems
from web.http import pagination
from web.jobs import charts, state_labels
from web.jobs.actions import actions, change, refinable
from web.jobs.schemas import refinement_of
from web.services import services
from yeban.database.tables.states import FINISHED
from yeban.errors import Conflict
from yeban.jobs.reports import RefinementOmitted, RefinementReport
from yeban.jobs.retention import delete_job
from yeban.jobs.views import MAX_NAME_CHARS, JobView, get_job, list_jobs
from yeban.results import corrections, rows
from yeban.results.distribution import distribution

_PAGE_JOBS = 25
_UNSURE_ROWS = 5
_ERROR_ROWS = 20
_CHANGED_ROWS = 8
_SHOWN_LABELS = 100
_FEW_LABELS = 20
# Limit of a label set that the page offers to save, since it is sent with the page.
_MAX_SET_CHARS = 50_000
# Progress steps that screen readers announce, and those at which partial results are redrawn.
_SAID_PERCENT = 25
_DRAWN_PERCENT = 5


@pages.get("/jobs", policy=SIGNED_IN)
def index_jobs() -> str:
    """List jobs, newest first, filtered by state or file name."""
    state = request.args.get("state") or state_labels.ALL
    name = request.args.get("name", "").strip()[:MAX_NAME_CHARS]
    page = list_jobs(
        services().database,
        viewer=viewer(),
        states=state_labels.states_of(state),
        name=name,
        before=pagination.decode("jobs", request.args.get("cursor") or None),
        limit=_PAGE_JOBS,
    )
    asked: dict[str, Any] = {"state": None if state == state_labels.ALL else state, "name": name or None}
    older = pagination.encode("jobs", page.next_before)
    return render_template(
        "jobs.html",
        jobs=page.jobs,
        older=older and url_for("pages.index_jobs", cursor=older, **asked),
        newest=url_for("pages.index_jobs", **asked) if request.args.get("cursor") else None,
        choices=state_labels.choices(),
        state=state,
        name=name,
        with_owner=any(job.owner for job in page.jobs),
    )


@pages.get("/jobs/<uuid:job_id>", policy=SIGNED_IN)
def show_job(job_id: uuid.UUID) -> str:
    """One job."""
    return render_template("job.html", **_shown(_job(job_id)))


@pages.get("/jobs/<uuid:job_id>/live", policy=SIGNED_IN)
def show_job_live(job_id: uuid.UUID) -> Response:
    """Progress of a job for its page's script; ``X-Job-Still`` marks a finished job."""
    job = _job(job_id)
    return _part("job_live.html", job, _progress(job))


@pages.get("/jobs/<uuid:job_id>/findings", policy=SIGNED_IN)
def show_job_findings(job_id: uuid.UUID) -> Response:
    """Partial results for the page's script, which asks at every twentieth of the way."""
    job = _job(job_id)
    return _part("job_findings.html", job, _findings(job))


@pages.post("/jobs/<uuid:job_id>/<any(cancel, pause, resume):action>", policy=SIGNED_IN)
def change_job(job_id: uuid.UUID, action: str) -> AnyResponse:
    """Run the action and redirect to the job's page, with an error if it is not possible."""
    try:
        change(services(), job_id, action)
    except Conflict as error:
        return problems.page("job.html", error, **_shown(_job(job_id)))
    return redirect(url_for("pages.show_job", job_id=job_id), 303)


@pages.post("/jobs/<uuid:job_id>/delete", policy=SIGNED_IN)
def remove_job(job_id: uuid.UUID) -> AnyResponse:
    """Delete a finished job with its data, and redirect to the list."""
    job = _job(job_id)
    try:
        delete_job(services().database, job_id, viewer=viewer())
    except Conflict as error:
        return problems.page("job.html", error, **_shown(_job(job_id)))
    flash(_("The job “%(name)s” has been deleted.", name=job.source.name))
    return redirect(url_for("pages.index_jobs"), 303)


def _job(job_id: uuid.UUID) -> JobView:
    return get_job(services().database, job_id, viewer=viewer())


def _part(template: str, job: JobView, values: dict[str, Any]) -> Response:
    response = make_response(render_template(template, **values))
    response.headers["Cache-Control"] = "no-store"
    # Distinguishes answers of this page from others, such as a proxy's.
    response.headers["X-Job-State"] = job.state.value
    if job.state in FINISHED:
        response.headers["X-Job-Still"] = "true"
    return response


def _shown(job: JobView) -> dict[str, Any]:
    return _progress(job) | _findings(job)


def _progress(job: JobView) -> dict[str, Any]:
    """Values that the page polls; none of them reads rows or results."""
    done = job.progress.percent
    return {
        "job": job,
        "still": job.state in FINISHED,
        "percent_done": done,
        "left": _about(job.progress.eta_s),
        "timeline": state_labels.timeline(job),
        "actions": actions(job),
        "deletable": job.state in FINISHED,
        "evaluation": job.summary and job.summary.evaluation,
        "said": _(
            "%(state)s: %(percent)d%% of the rows are done",
            state=state_labels.state_name(job.state),
            percent=done // _SAID_PERCENT * _SAID_PERCENT,
        ),
        "drawn": f"{job.state.value} {done // _DRAWN_PERCENT:.0f}",
    }


def _findings(job: JobView) -> dict[str, Any]:
    """Values of the results; while the job runs, of its first rows only."""
    database = services().database
    found = distribution(database, job)
    counts = sorted(found.labels.items(), key=lambda item: -item[1]) if found.rows else []
    # An unused label is worth a line in a short set; in a long set, most may be unused.
    shown = counts if len(counts) <= _FEW_LABELS else [item for item in counts if item[1]] or counts[:1]
    return {
        "job": job,
        "still": job.state in FINISHED,
        "found": found,
        "label_counts": shown[:_SHOWN_LABELS],
        "labels_left_out": max(len(shown) - _SHOWN_LABELS, 0),
        "labels_without_rows": len(counts) - len(shown),
        "scores": charts.histogram(found.scores) if any(found.scores) else None,
        "charts": charts,
        "refinable": refinable(job),
        "evaluation": job.summary and job.summary.evaluation,
        "set_file": _set_file(job) if job.state in FINISHED else None,
        "refinement": refinement_of(job),
        "refusal": job.refinement.reason if isinstance(job.refinement, RefinementOmitted) else None,
        "changed_rows": _changed(job),
        "unsure_rows": corrections.suggested(database, job, _UNSURE_ROWS) if job.progress.done else [],
        "error_rows": rows.first_errors(database, job, _ERROR_ROWS) if job.progress.errors else [],
    }


def _changed(job: JobView) -> list[rows.TaggedRow]:
    """The most confident rows with a refined label that differs from the row label."""
    report = job.refinement
    changed = report.examples[:_CHANGED_ROWS] if isinstance(report, RefinementReport) else ()
    return rows.rows(services().database, job, changed)


def _set_file(job: JobView) -> str | None:
    """Export the job's labels as a label set file."""
    written = json.dumps({"name": "", **job.label_set.to_json()}, ensure_ascii=False)
    return written if len(written) <= _MAX_SET_CHARS else None


def _about(seconds: float | None) -> float | None:
    """Round a duration to its precision, so that the display stays steady."""
    if seconds is None:
        return None
    step = next(step for limit, step in ((60, 10), (600, 30), (3600, 60), (float("inf"), 600)) if seconds <= limit)
    return max(round(seconds / step), 1) * step
