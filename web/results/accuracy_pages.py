"""``/jobs/<id>/accuracy``: agreement with the gold column, and the rows behind each cell."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from flask import render_template, request, url_for

from web.auth.authentication import viewer
from web.blueprints import SIGNED_IN, pages
from web.http import pagination
from web.jobs import charts
from web.results import accuracy
from web.services import services
from yeban.errors import Conflict, InvalidRequest, msg
from yeban.jobs.reports import Evaluation
from yeban.jobs.views import JobView, get_job
from yeban.results.confusion import confused

#: Most labels with a full confusion matrix; above, the largest confusions are listed.
_MATRIX_LABELS = 15
_LISTED = 30
_PAGE_ROWS = 25
_HEATS = 5  # steps of a cell's colour


@pages.get("/jobs/<uuid:job_id>/accuracy", policy=SIGNED_IN)
def show_accuracy(job_id: uuid.UUID) -> str:
    """Show figures, confusions and thresholds, or the reason for their absence."""
    job = get_job(services().database, job_id, viewer=viewer())
    try:
        evaluation = accuracy.evaluation_of(job)
    except Conflict:
        return render_template("accuracy.html", job=job, evaluation=None)
    return render_template("accuracy.html", job=job, evaluation=evaluation, **_shown(job, evaluation))


@pages.get("/jobs/<uuid:job_id>/accuracy/rows", policy=SIGNED_IN)
def show_confused(job_id: uuid.UUID) -> str:
    """Show the rows of one cell; labels are given by number. Raises ``InvalidRequest`` for an unknown number."""
    job = get_job(services().database, job_id, viewer=viewer())
    if job.gold_index is None:
        return render_template("accuracy.html", job=job, evaluation=None)
    gold = _number("gold", accuracy.OTHER)
    predicted = _number("predicted", accuracy.NONE)
    after = pagination.decode("confused", request.args.get("cursor") or None) or 0
    found = confused(services().database, job, gold=gold, predicted=predicted, after=after, limit=_PAGE_ROWS)
    more = None
    if cursor := pagination.encode("confused", found.next_after):
        more = url_for(
            "pages.show_confused",
            job_id=job_id,
            gold=request.args["gold"],
            predicted=request.args["predicted"],
            cursor=cursor,
        )
    names = job.label_set.names
    return render_template(
        "accuracy_rows.html",
        job=job,
        gold=None if gold is None else names[gold],
        predicted=None if predicted is None else names[predicted],
        rows=found.rows,
        looked_to=found.next_after,
        full=len(found.rows) == _PAGE_ROWS,
        more=more,
    )


def _number(field: str, absent: str) -> int | None:
    """Read a label's number from the query; ``None`` for the code of other values."""
    value = request.args.get(field, "")
    if value == absent:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 5):
        raise InvalidRequest(
            msg(
                "In the URL, %(field)s must be the number of a label (from 0) or “%(absent)s”. Open a cell "
                "of the matrix.",
                field=field,
                absent=absent,
            ),
            field=field,
        )
    return int(value)


def _shown(job: JobView, evaluation: Evaluation) -> dict[str, Any]:
    names = job.label_set.names
    confusions = accuracy.confusions_of(evaluation)
    suggestion = accuracy.suggested(evaluation)
    curve = evaluation.curve or ()
    return {
        "names": names,
        "labels": sorted(accuracy.figures_of(job, evaluation), key=lambda item: -item[1].support),
        "confusions": confusions,
        "mistakes": [] if confusions is None else confusions.mistakes()[:_LISTED],
        "matrix": None if confusions is None or len(names) > _MATRIX_LABELS else _matrix(names, confusions),
        "charts": charts,
        "chart": charts.lines(curve, suggestion.threshold if suggestion else None) if len(curve) > 1 else None,
        "steps": accuracy.steps(curve),
        "suggestion": suggestion,
        "wanted": accuracy.SUGGESTED_FOR,
        "link": lambda cell: _link(job, cell),
    }


def _matrix(names: Sequence[str], confusions: accuracy.Confusions) -> dict[str, Any]:
    """Matrix of gold by predicted label; each cell has a shade and a link to its rows."""
    at = confusions.at()
    golds: list[int | None] = [*range(len(names)), *([None] if any(gold is None for gold, _ in at) else [])]
    predicted: list[int | None] = [*range(len(names)), *([None] if any(label is None for _, label in at) else [])]
    rows = []
    for gold in golds:
        cells = [at.get((gold, label)) for label in predicted]
        rows.append(
            (
                gold,
                [
                    (
                        cell,
                        cell and min(int(cell.share * _HEATS) + 1, _HEATS),
                        cell and cell.gold is not None and cell.gold == cell.predicted,
                    )
                    for cell in cells
                ],
            )
        )
    return {"predicted": predicted, "rows": rows}


def _link(job: JobView, cell: accuracy.Cell) -> str:
    return url_for(
        "pages.show_confused",
        job_id=job.id,
        gold=accuracy.OTHER if cell.gold is None else cell.gold,
        predicted=accuracy.NONE if cell.predicted is None else cell.predicted,
    )
