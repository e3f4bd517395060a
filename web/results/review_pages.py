"""``/jobs/<id>/review``: rows worth correcting, a few at a time."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Response, redirect, render_template, request, session, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from web.auth.authentication import viewer
from web.blueprints import SIGNED_IN, pages
from web.http import errors as problems
from web.http.errors import status_of
from web.i18n.messages import translated
from web.jobs.actions import refinable, refine_again
from web.services import services
from yeban.errors import Conflict, InvalidRequest, msg
from yeban.jobs.views import JobView, get_job
from yeban.results import corrections
from yeban.results.rows import TaggedRow

_TEMPLATE = "review.html"
_PAGE_ROWS = 10
_NEWEST_ROWS = 20
#: Keys of labels, in label set order: digits, then letters without another use on this page.
KEYS = "123456789abcdefghilmopqrtvwxyz"
# Labels shown for a row; the others are in its list.
_SHOWN_LABELS = 9
# A label may be named like these words, so the form identifies labels by number.
_SKIPPED, _NONE = "", "none"
_AUTHOR = "author"  # session key of the author, without accounts
_ONE = "one"  # a row that the page's script sends alone


@dataclass(frozen=True, kw_only=True)
class _Choice:
    """A label to choose, by number, with the row's score for it."""

    number: int
    key: str  # the same in every row; "" without a free key
    name: str
    score: float | None
    has: bool  # the row has this label now


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A row with its choices: visible ones, and all others."""

    row: TaggedRow
    shown: list[_Choice]
    others: list[_Choice]
    has: str  # numbers of its labels, or the code for none


@pages.get("/jobs/<uuid:job_id>/review", policy=SIGNED_IN)
def review(job_id: uuid.UUID) -> str:
    """Show the next rows; ``skip`` in the query counts undecided ones."""
    return render_template(_TEMPLATE, **_shown(_job(job_id), _skip()))


@pages.post("/jobs/<uuid:job_id>/review", policy=SIGNED_IN)
def correct(job_id: uuid.UUID) -> AnyResponse:
    """Store the decisions, then show the next rows or refine the job again."""
    job = _job(job_id)
    skip = _skip()
    try:
        shown = request.form.getlist("shown", type=int)
        decided = _decided(job, request.form, shown)
        if decided:
            corrections.correct(services().database, job_id, decided, author=_author(), viewer=viewer())
        if request.form.get("then") == "refine":
            refine_again(services(), job_id)
            return redirect(url_for("pages.show_job", job_id=job_id), 303)
    except (Conflict, InvalidRequest) as error:
        return _refused(job_id, error, skip)
    if request.form.get("then") == _ONE:
        return Response(status=HTTPStatus.NO_CONTENT)
    return redirect(url_for("pages.review", job_id=job_id, skip=skip + len(shown) - len(decided) or None), 303)


@pages.post("/jobs/<uuid:job_id>/review/undo", policy=SIGNED_IN)
def undo(job_id: uuid.UUID) -> AnyResponse:
    """Undo the corrections of some rows."""
    _job(job_id)
    try:
        taken_back = dict.fromkeys(request.form.getlist("row", type=int))
        corrections.correct(services().database, job_id, taken_back, viewer=viewer())
    except (Conflict, InvalidRequest) as error:
        return _refused(job_id, error, _skip())
    if request.form.get("then") == _ONE:
        return Response(status=HTTPStatus.NO_CONTENT)
    return redirect(url_for("pages.review", job_id=job_id, skip=_skip() or None), 303)


def _job(job_id: uuid.UUID) -> JobView:
    return get_job(services().database, job_id, viewer=viewer())


def _author() -> str:
    """Author of corrections: the account, or without accounts the name given, remembered for the session."""
    if viewer().name:
        return viewer().name
    given = request.form.get("author")
    if given is None:
        return str(session.get(_AUTHOR, ""))
    name = given.strip()
    if len(name) <= corrections.MAX_AUTHOR_CHARS:  # else it is rejected together with the corrections
        session[_AUTHOR] = name
    return name


def _decided(job: JobView, form: MultiDict[str, str], shown: list[int]) -> dict[int, list[str]]:
    """Labels chosen for each decided row."""
    names = job.label_set.names
    decided = {}
    for row_no in shown:
        chosen = [value for value in form.getlist(f"row-{row_no}") if value != _SKIPPED]
        others = [value for value in form.getlist(f"other-{row_no}") if value != _SKIPPED]
        # With exclusive labels, a choice in the list overrides the visible ones.
        chosen = [*chosen, *others] if job.label_set.multi_label else others or chosen
        if chosen == [_NONE]:
            decided[row_no] = list[str]()
        elif chosen:
            decided[row_no] = [_name(names, value, row_no) for value in chosen]
    return decided


def _name(names: Sequence[str], value: str, row_no: int) -> str:
    if value == _NONE:
        raise InvalidRequest(
            msg("Row %(row_no)s: choose labels or “none of these”, not both.", row_no=row_no), row=row_no
        )
    if not (value.isascii() and value.isdigit() and len(value) < 5 and int(value) < len(names)):
        raise InvalidRequest(msg("Row %(row_no)s: the job has no such label.", row_no=row_no), row=row_no)
    return names[int(value)]


def _skip() -> int:
    """Number of undecided suggestions in the query; invalid values count as 0."""
    return max(0, min(request.args.get("skip", 0, type=int), 1_000_000))


def _refused(job_id: uuid.UUID, error: Conflict | InvalidRequest, skip: int) -> Response:
    if request.form.get("then") == _ONE:
        problems.count(error.code)
        return Response(translated(error.message), status_of(type(error)), content_type="text/plain; charset=utf-8")
    return problems.page(_TEMPLATE, error, **_shown(_job(job_id), skip))


def _shown(job: JobView, skip: int) -> dict[str, Any]:
    database = services().database
    names = job.label_set.names
    many = len(names) > _SHOWN_LABELS
    return {
        "job": job,
        "label_keys": list(zip(KEYS, names, strict=False)),
        "label_names": names if many else [],
        "skip": skip,
        "refinable": refinable(job),
        "rows": [_with_choices(names, row) for row in corrections.suggested(database, job, _PAGE_ROWS, skip=skip)],
        "corrected_rows": corrections.newest(database, job, _NEWEST_ROWS) if job.corrections else [],
        "asks_name": not viewer().name,
        "author": session.get(_AUTHOR, ""),
        "max_author_chars": corrections.MAX_AUTHOR_CHARS,
        "no_label": _NONE,
        "skipped": _SKIPPED,
    }


def _with_choices(names: Sequence[str], row: TaggedRow) -> _Row:
    """Choices of a row: all labels in set order if few, else its likeliest; keys stay the same."""
    choices = [
        _Choice(
            number=number,
            key=KEYS[number : number + 1],
            name=name,
            score=row.scores[number] if row.scores else None,
            has=name in row.labels,
        )
        for number, name in enumerate(names)
    ]
    if len(choices) > _SHOWN_LABELS:
        # All labels of the row, even above the limit, so that it can be accepted unchanged.
        first = max(_SHOWN_LABELS, sum(choice.has for choice in choices))
        likeliest = sorted(choices, key=lambda choice: (not choice.has, -(choice.score or 0.0)))[:first]
    else:
        likeliest = choices
    shown = {choice.number for choice in likeliest}
    return _Row(
        row=row,
        shown=likeliest,
        others=[choice for choice in choices if choice.number not in shown],
        has=",".join(str(choice.number) for choice in choices if choice.has) or _NONE,
    )
