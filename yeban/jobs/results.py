"""Reading results: pages for programs, and the whole file with its tags, while a job runs and after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from yeban.db import Database
from yeban.jobs.views import JobView
from yeban.labels import LABEL_JOINER, LabelSet, Status

#: ``yeban_status`` of a row that has no result yet.
PENDING = "pending"

_PAGE_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class TaggedRow:
    """One row of a job with what became of it; ``status`` is :data:`PENDING` before it is scored."""

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
    error: str | None


# Filtered by what PostgreSQL can look up: results there are by their status (errors by an index of their own),
# pending rows by having none.
_CONDITIONS = {
    None: "true",
    PENDING: "result.row_no IS NULL",
    Status.OK: "result.status = 'ok'",
    Status.ABSTAINED: "result.status = 'abstained'",
    Status.ERROR: "result.status = 'error'",
}
_SELECT = {
    status: text(
        f"""
        SELECT "row".row_no, file_row, "row".text, gold, cells, coalesce(status, '{PENDING}') AS status,
            score, margin, scores, error
        FROM "row" LEFT JOIN result ON result.job_id = "row".job_id AND result.row_no = "row".row_no
            AND result.job_id = :job AND result.row_no > :after
        WHERE "row".job_id = :job AND "row".row_no > :after AND {condition}
        ORDER BY "row".row_no LIMIT :limit
        """  # noqa: S608  # made of the constants above
    )
    for status, condition in _CONDITIONS.items()
}


def page(
    database: Database, job: JobView, *, after: int = 0, limit: int = 100, status: str | None = None
) -> list[TaggedRow]:
    """Up to ``limit`` rows with a row number over ``after``, in order, optionally only of one status."""
    label_set = LabelSet.from_json(job.label_set)
    with database.begin() as connection:
        found = connection.execute(_SELECT[status], {"job": job.internal_id, "after": after, "limit": limit}).all()
    return [_tagged(label_set, row) for row in found]


def stream(database: Database, job: JobView, *, status: str | None = None) -> Iterator[TaggedRow]:
    """Every row in order, read page by page, so that no transaction stays open while a client reads."""
    after = 0
    while batch := page(database, job, after=after, limit=_PAGE_ROWS, status=status):
        yield from batch
        after = batch[-1].row_no
        if len(batch) < _PAGE_ROWS:
            return


def export_columns(job: JobView) -> list[str]:
    """The columns of the tagged file: the original ones, then the tags."""
    return [*job.columns, "yeban_label", "yeban_score", "yeban_margin", "yeban_status"]


def export_rows(database: Database, job: JobView) -> Iterator[list[str | float | None]]:
    """The rows of the tagged file, in the order of :func:`export_columns`.

    A row with more cells than the header keeps them, behind the tags.
    """
    width = len(job.columns)
    for row in stream(database, job):
        cells: list[str | float | None] = [*row.cells[:width], *([""] * (width - len(row.cells)))]
        tags = (LABEL_JOINER.join(row.labels), _rounded(row.score), _rounded(row.margin), row.status)
        yield [*cells, *tags, *row.cells[width:]]


ERROR_COLUMNS = ("file_row", "reason", "text")


def error_rows(database: Database, job: JobView) -> Iterator[list[str | float | None]]:
    """Rows that could not be scored, in the order of :data:`ERROR_COLUMNS`; row numbers as the file shows them."""
    for row in stream(database, job, status=Status.ERROR):
        yield [row.file_row, row.error, row.text]


def _tagged(label_set: LabelSet, row: Any) -> TaggedRow:
    labels: tuple[str, ...] = ()
    if row.status == Status.OK:
        names = label_set.names
        assigned = sorted(label_set.decide(row.scores).assigned, key=lambda index: (-row.scores[index], index))
        labels = tuple(names[index] for index in assigned)
    return TaggedRow(
        row_no=row.row_no,
        file_row=row.file_row,
        text=row.text,
        gold=row.gold,
        cells=tuple(row.cells),
        status=row.status,
        labels=labels,
        score=row.score,
        margin=row.margin,
        scores=None if row.scores is None else tuple(row.scores),
        error=row.error,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
