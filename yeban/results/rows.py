"""Reading results: pages for programs, and the whole file with its tags, while a job runs and after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from yeban.database.engine import Database
from yeban.errors import NotFound, msg
from yeban.jobs.views import JobView
from yeban.labels import LABEL_JOINER, LabelSet, Status
from yeban.results import effective

#: ``yeban_status`` of a row that has no result yet.
PENDING = "pending"

_PAGE_ROWS = 2_000
_LAST_ROW = 2**31 - 1


@dataclass(frozen=True, slots=True)
class TaggedRow:
    """One row of a job with what became of it; ``status`` is :data:`PENDING` before it is scored.

    ``status``, ``labels``, ``score`` and ``margin`` are what finally holds: a person's correction, which has no score,
    else the refined decision, else the row's own, which ``row_labels``, ``row_score`` and ``scores`` keep.
    ``predicted`` are the labels that would hold without the correction.
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
    corrected_by: str | None  # "" where nobody said who; None unless corrected
    corrected_at: datetime | None
    error: str | None


# Filtered by what PostgreSQL can look up: results there are by their status (errors by an index of their own),
# pending rows by having none.
_CONDITIONS = {
    None: "true",
    PENDING: "result.row_no IS NULL",
    Status.OK: f"{effective.STATUS} = 'ok'",
    Status.ABSTAINED: f"{effective.STATUS} = 'abstained'",
    # As the index has it; a correction mends it.
    Status.ERROR: "result.status = 'error' AND correction.row_no IS NULL",
}
_COLUMNS = f"""
    SELECT "row".row_no, file_row, "row".text, gold, cells, coalesce({effective.STATUS}, '{PENDING}') AS status,
        result.status AS row_status, result.score AS row_score, result.margin AS row_margin, scores, error,
        refined.status AS refined_status, refined.label AS refined_label, refined.score AS refined_score,
        refined.margin AS refined_margin,
        correction.labels AS corrected, correction.author AS corrected_by, correction.made_at AS corrected_at
"""
_JOINED = f"""
    {_COLUMNS}
    FROM "row" LEFT JOIN result ON result.job_id = "row".job_id AND result.row_no = "row".row_no
        AND result.job_id = :job AND result.row_no > :after AND result.row_no <= :last {effective.LOOKUPS}
    WHERE "row".job_id = :job AND "row".row_no > :after AND "row".row_no <= :last
"""
_SELECT = {
    status: text(f'{_JOINED} AND {condition} ORDER BY "row".row_no LIMIT :limit')
    for status, condition in _CONDITIONS.items()
}
# Each looked up by key: they may stand anywhere in a long file.
_SELECT_SOME = text(
    f"""
    {_COLUMNS}
    FROM unnest(CAST(:row_nos AS int[])) AS wanted (row_no)
    CROSS JOIN LATERAL (SELECT * FROM "row" WHERE job_id = :job AND row_no = wanted.row_no LIMIT 1) AS "row"
    LEFT JOIN LATERAL (SELECT * FROM result WHERE job_id = :job AND row_no = wanted.row_no LIMIT 1) AS result ON true
    {effective.LOOKUPS}
    """  # noqa: S608  # made of the constants in final
)
_FIRST_ERRORS = text(
    """
    SELECT row_no FROM result WHERE job_id = :job AND status = 'error'
        AND NOT EXISTS (SELECT FROM correction WHERE job_id = :job AND correction.row_no = result.row_no)
    ORDER BY row_no LIMIT :limit
    """
)


def page(
    database: Database, job: JobView, *, after: int = 0, limit: int = 100, status: str | None = None
) -> list[TaggedRow]:
    """Up to ``limit`` rows with a row number over ``after``, in order, optionally only of one status."""
    label_set = LabelSet.from_json(job.label_set)
    # Rows are numbered without gaps. Said to PostgreSQL, no plan that it may choose reads more than the page.
    last = min(after + limit, _LAST_ROW) if status is None else _LAST_ROW
    values = {"job": job.internal_id, "after": min(after, _LAST_ROW), "last": last, "limit": limit}
    with database.begin() as connection:
        found = connection.execute(_SELECT[status], values).all()
    return [_tagged(label_set, row) for row in found]


def rows(database: Database, job: JobView, row_nos: Sequence[int]) -> list[TaggedRow]:
    """The rows with these numbers, in their order."""
    if not row_nos:
        return []
    label_set = LabelSet.from_json(job.label_set)
    with database.begin() as connection:
        found = connection.execute(_SELECT_SOME, {"job": job.internal_id, "row_nos": list(row_nos)}).all()
    tagged = {row.row_no: _tagged(label_set, row) for row in found}
    return [tagged[row_no] for row_no in row_nos if row_no in tagged]


def first_errors(database: Database, job: JobView, limit: int) -> list[TaggedRow]:
    """The first rows that could not be scored and were not corrected; found by an index, without reading the others."""
    with database.begin() as connection:
        row_nos = connection.scalars(_FIRST_ERRORS, {"job": job.internal_id, "limit": limit}).all()
    return rows(database, job, row_nos)


def stream(database: Database, job: JobView, *, status: str | None = None) -> Iterator[TaggedRow]:
    """Every row in order, read page by page, so that no transaction stays open while a client reads.

    Raises :class:`~yeban.errors.NotFound` if the job is removed meanwhile, so that half of it never passes for all.
    """
    after = 0
    while batch := page(database, job, after=after, limit=_PAGE_ROWS, status=status):
        yield from batch
        after = batch[-1].row_no
        if len(batch) < _PAGE_ROWS:
            break
    if status is None and after < job.progress.rows:
        raise NotFound(msg("The job %(job)s was deleted while it was read.", job=job.id), job_id=str(job.id))


def export_columns(job: JobView) -> list[str]:
    """The columns of the tagged file: the original ones, then the tags.

    Where the whole file may have changed a row's label, its own stands beside it; so do people's corrections.
    """
    columns = [*job.columns, "yeban_label", "yeban_score", "yeban_margin", "yeban_status"]
    if job.refine:
        columns += ["yeban_row_label", "yeban_row_score"]
    if job.corrections:
        columns += ["yeban_predicted", "yeban_corrected", "yeban_corrected_by", "yeban_corrected_at"]
    return columns


def export_rows(database: Database, job: JobView) -> Iterator[list[str | float | None]]:
    """The rows of the tagged file, in the order of :func:`export_columns`.

    A row with more cells than the header keeps them, behind the tags.
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


def error_rows(database: Database, job: JobView) -> Iterator[list[str | float | None]]:
    """Rows that could not be scored, in the order of :data:`ERROR_COLUMNS`; row numbers as the file shows them."""
    for row in stream(database, job, status=Status.ERROR):
        yield [row.file_row, row.error, row.text]


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
        error=row.error,
    )


def _assigned(label_set: LabelSet, scores: Sequence[float]) -> tuple[str, ...]:
    """The labels that a row's own scores assign, best first."""
    assigned = sorted(label_set.decide(scores).assigned, key=lambda index: (-scores[index], index))
    return tuple(label_set.names[index] for index in assigned)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
