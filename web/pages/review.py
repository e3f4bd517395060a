"""``/jobs/<id>/review``: the rows worth correcting, a few at a time, each with the choice of its label."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response, redirect, render_template, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from web import problems
from web.access import author, viewer
from web.jobactions import refine_again
from web.jobview import refinable
from web.pages.blueprint import pages
from web.services import services
from yeban.errors import Conflict, InvalidRequest
from yeban.jobs import corrections
from yeban.jobs.views import JobView, get_job

_TEMPLATE = "review.html"
_PAGE_ROWS = 10
# A label's own name might be such a word, so the form has labels by number.
_SKIPPED, _NONE = "", "none"


@pages.get("/jobs/<uuid:job_id>/review")
def review(job_id: uuid.UUID) -> str:
    """The next rows; ``skip`` in the query counts those that were left undecided before."""
    return render_template(_TEMPLATE, **_shown(get_job(services().database, job_id, viewer=viewer()), _skip()))


@pages.post("/jobs/<uuid:job_id>/review")
def correct(job_id: uuid.UUID) -> AnyResponse:
    """Store what was decided, then show the next rows or have the job refined again."""
    database = services().database
    job = get_job(database, job_id, viewer=viewer())
    skip = _skip()
    try:
        shown = request.form.getlist("shown", type=int)
        decided = _decided(job, request.form, shown)
        if decided:
            corrections.correct(database, job_id, decided, author=author(""), viewer=viewer())
        if request.form.get("then") == "refine":
            refine_again(services(), job_id)
            return redirect(url_for("pages.show_job", job_id=job_id), 303)
    except (Conflict, InvalidRequest) as error:
        return _refused(job_id, error, skip)
    return redirect(url_for("pages.review", job_id=job_id, skip=skip + len(shown) - len(decided) or None), 303)


def _decided(job: JobView, form: MultiDict[str, str], shown: list[int]) -> dict[int, list[str]]:
    """The labels chosen for each row that was not left undecided."""
    names = [label["name"] for label in job.label_set["labels"]]
    decided = {}
    for row_no in shown:
        chosen = [value for value in form.getlist(f"row-{row_no}") if value != _SKIPPED]
        if chosen == [_NONE]:
            decided[row_no] = list[str]()
        elif chosen:
            decided[row_no] = [_name(names, value, row_no) for value in chosen]
    return decided


def _name(names: list[str], value: str, row_no: int) -> str:
    if value == _NONE:
        raise InvalidRequest(f"Row {row_no}: choose labels, or none of these, but not both.", row=row_no)
    if not (value.isascii() and value.isdigit() and len(value) < 5 and int(value) < len(names)):
        raise InvalidRequest(f"Row {row_no}: that is no label of this job.", row=row_no)
    return names[int(value)]


def _skip() -> int:
    """How many suggestions were left undecided; nonsense in the address counts as none."""
    return max(0, min(request.args.get("skip", 0, type=int), 1_000_000))


def _refused(job_id: uuid.UUID, error: Conflict | InvalidRequest, skip: int) -> Response:
    return problems.page(_TEMPLATE, error, **_shown(get_job(services().database, job_id, viewer=viewer()), skip))


def _shown(job: JobView, skip: int) -> dict[str, Any]:
    names = [label["name"] for label in job.label_set["labels"]]
    numbers = {name: number for number, name in enumerate(names)}
    rows = corrections.suggested(services().database, job, _PAGE_ROWS, skip=skip)
    return {
        "job": job,
        "skip": skip,
        "refinable": refinable(job),
        # Each with its choices, what it has now first.
        "rows": [(row, [*((numbers[name], name) for name in row.labels), *_others(names, row.labels)]) for row in rows],
        "no_label": _NONE,
        "skipped": _SKIPPED,
    }


def _others(names: list[str], present: tuple[str, ...]) -> list[tuple[int, str]]:
    return [(number, name) for number, name in enumerate(names) if name not in present]
