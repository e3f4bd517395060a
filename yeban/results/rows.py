"""Results of a job, by page or as a whole file, while the job runs and afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, exists, select

from yeban.database.engine import Database
from yeban.database.tables import Correction, Result
from yeban.database.tables.states import constant
from yeban.errors import Message, NotFound, msg, stored_message
from yeban.jobs.views import JobView
from yeban.labels import LABEL_JOINER, LabelSet, Status
from yeban.results import queries

_PAGE_ROWS = 2_000
_LAST_ROW = 2**31 - 1


@dataclass(frozen=True, slots=True)
class TaggedRow:
    """A row of a job with its result; ``status`` is :data:`PENDING` before the row is scored.

    ``status``, ``labels``, ``score`` and ``margin`` are effective: those of a person's correction, which has no score,
    else those of the refinement, else those of the row. ``row_labels``, ``row_score`` and ``scores`` are those of the
    row in any case. ``predicted`` are the effective labels without the correction.
    """

    row_no: int
    file_row: int
    text: str
    gold: str | None
    cells: tuple[str, ...]
    status: str
    labels: tuple[str, ...]  # assigned labels, best first; empty unless status is ok
    score: float | None
    margin: float | None
    scores: tuple[float, ...] | None
    row_labels: tuple[str, ...]
    row_score: float | None
    refined: bool
    predicted: tuple[str, ...]
    corrected: bool
    corrected_by: str | None  # "" where no author was given; None unless corrected
    corrected_at: datetime | None
    error: Message | None


def page(
    database: Database, job: JobView, *, after: int = 0, limit: int = 100, status: str | None = None
) -> list[TaggedRow]:
    """Read up to ``limit`` rows numbered over ``after``, in order, optionally of one status only."""
    label_set = job.label_set
    # Rows are numbered without gaps. With an upper bound, every plan reads no more than the page.
    last = min(after + limit, _LAST_ROW) if status is None else _LAST_ROW
    values = {"job": job.internal_id, "after": min(after, _LAST_ROW), "last": last, "limit": limit}
    with database.begin() as connection:
        found = connection.execute(queries.PAGES[status], values).all()
    return [_tagged(label_set, row) for row in found]


def rows(database: Database, job: JobView, row_nos: Sequence[int]) -> list[TaggedRow]:
    """Read the rows with these numbers, in the given order."""
    if not row_nos:
        return []
    label_set = job.label_set
    with database.begin() as connection:
        found = connection.execute(queries.TAGGED_ROWS, {"job": job.internal_id, "row_nos": list(row_nos)}).all()
    tagged = {row.row_no: _tagged(label_set, row) for row in found}
    return [tagged[row_no] for row_no in row_nos if row_no in tagged]


def is_corrected() -> ColumnElement[bool]:
    """Condition that the row of a result was corrected."""
    return exists().where(Correction.job_id == Result.job_id, Correction.row_no == Result.row_no)


def first_errors(database: Database, job: JobView, limit: int) -> list[TaggedRow]:
    """Read the first rows that could not be scored and were not corrected, by an index."""
    with database.begin() as connection:
        row_nos = connection.scalars(
            select(Result.row_no)
            .where(Result.job_id == job.internal_id, Result.status == constant(Status.ERROR), ~is_corrected())
            .order_by(Result.row_no)
            .limit(limit)
        ).all()
    return rows(database, job, row_nos)


def stream(database: Database, job: JobView, *, status: str | None = None) -> Iterator[TaggedRow]:
    """Yield every row in order, read page by page, so that no transaction stays open while a client reads.

    Raises :class:`~yeban.errors.NotFound` if the job is removed meanwhile, so that a part never passes for the whole.
    """
    after = 0
    while batch := page(database, job, after=after, limit=_PAGE_ROWS, status=status):
        yield from batch
        after = batch[-1].row_no
        if len(batch) < _PAGE_ROWS:
            break
    if status is None and after < job.progress.rows:
        raise NotFound(
            msg("The job %(job)s was deleted while its results were being read.", job=job.id), job_id=str(job.id)
        )


def export_columns(job: JobView) -> list[str]:
    """Columns of the tagged file: the original ones, then the tags.

    A refined job has the row labels beside the effective labels, a corrected job the predictions and the corrections.
    """
    columns = [*job.columns, "yeban_label", "yeban_score", "yeban_margin", "yeban_status"]
    if job.refine:
        columns += ["yeban_row_label", "yeban_row_score"]
    if job.corrections:
        columns += ["yeban_predicted", "yeban_corrected", "yeban_corrected_by", "yeban_corrected_at"]
    return columns


def export_rows(database: Database, job: JobView) -> Iterator[list[str | float | None]]:
    """Yield the rows of the tagged file, in the order of :func:`export_columns`.

    A row with more cells than the header has the rest of them behind the tags.
    """
    width = len(job.columns)
    for row in stream(database, job):
        cells: list[str | float | None] = [*row.cells[:width], *([""] * (width - len(row.cells)))]
        tags = [LABEL_JOINER.join(row.labels), _rounded(row.score), _rounded(row.margin), row.status]
        if job.refine:
            tags += [LABEL_JOINER.join(row.row_labels), _rounded(row.row_score)]
        if job.corrections:
            made_at = "" if row.corrected_at is None else row.corrected_at.isoformat(timespec="seconds")
            tags += [LABEL_JOINER.join(row.predicted), "yes" if row.corrected else "", row.corrected_by or "", made_at]
        yield [*cells, *tags, *row.cells[width:]]


ERROR_COLUMNS = ("file_row", "reason", "text")


def error_rows(database: Database, job: JobView, write: Callable[[Message], str]) -> Iterator[list[str | float | None]]:
    """Yield the rows that could not be scored, in the order of :data:`ERROR_COLUMNS`.

    ``write`` gives a reason in the language of the file; ``str`` is English.
    """
    for row in stream(database, job, status=Status.ERROR):
        yield [row.file_row, None if row.error is None else write(row.error), row.text]


def _tagged(label_set: LabelSet, row: Any) -> TaggedRow:
    own = _assigned(label_set, row.scores) if row.row_status == Status.OK else ()
    predicted, score, margin = own, row.row_score, row.row_margin
    if row.refined_label is not None:
        predicted = (label_set.names[row.refined_label],) if row.refined_status == Status.OK else ()
        score, margin = row.refined_score, row.refined_margin
    labels = predicted
    if row.corrected is not None:
        labels = tuple(label_set.names[index] for index in row.corrected)
        score = margin = None
    return TaggedRow(
        row_no=row.row_no,
        file_row=row.file_row,
        text=row.text,
        gold=row.gold,
        cells=tuple(row.cells),
        status=row.status,
        labels=labels,
        score=score,
        margin=margin,
        scores=None if row.scores is None else tuple(row.scores),
        row_labels=own,
        row_score=row.row_score,
        refined=row.refined_label is not None,
        predicted=predicted,
        corrected=row.corrected is not None,
        corrected_by=row.corrected_by,
        corrected_at=row.corrected_at,
        error=stored_message(row.error),
    )


def _assigned(label_set: LabelSet, scores: Sequence[float]) -> tuple[str, ...]:
    """Labels assigned by a row's scores, best first."""
    assigned = sorted(label_set.decide(scores).assigned, key=lambda index: (-scores[index], index))
    return tuple(label_set.names[index] for index in assigned)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
