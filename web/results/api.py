"""Results: pages for programs, whole files for people."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Annotated, Literal

from flask import Response
from pydantic import Field

from web.auth.authentication import viewer
from web.blueprints import SIGNED_IN, api
from web.http import pagination
from web.http.downloads import Format, download
from web.http.json import json_response
from web.http.parsing import Fields, query
from web.i18n.messages import translated
from web.openapi.documentation import Answer, documented
from web.results.schemas import Row, RowPage
from web.services import services
from yeban.errors import TooLarge, msg
from yeban.jobs.views import JobView, get_job
from yeban.results import rows as results
from yeban.tabular import MAX_XLSX_ROWS

#: Columns and rows, as :func:`web.http.downloads.download` takes them.
Table = tuple[Sequence[str], Iterable[Sequence[str | float | None]]]


class ResultsQuery(Fields):
    """Which rows to list."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: str | None = None
    """The `next_cursor` of the page before."""
    status: Literal["ok", "abstained", "error", "pending"] | None = None


class DownloadQuery(Fields):
    """How a file is written."""

    guard: bool = True
    """Whether a cell that a spreadsheet would take for a formula is made plain text."""
    bom: bool = True
    """Whether a CSV begins with a byte order mark, without which Excel does not see UTF-8."""


class ErrorsQuery(DownloadQuery):
    """How the file of rows that could not be scored is written."""

    language: Literal["en", "zh"] = "en"
    """The language of `reason`."""


_FILES = (
    "The original columns, then `yeban_label` (several are joined by `|`), `yeban_score`, `yeban_margin` and"
    " `yeban_status`; `yeban_row_label` and `yeban_row_score` in a job with `refine`; and `yeban_predicted`,"
    " `yeban_corrected`, `yeban_corrected_by` and `yeban_corrected_at` where rows were corrected. It is streamed, also"
    " while the job runs; one that ends early was cut off."
)


@api.get("/jobs/<uuid:job_id>/results", policy=SIGNED_IN)
@documented(
    group="Results",
    summary="Rows with their tags",
    description="Also while the job runs: a row without a result is `pending`.",
    query=ResultsQuery,
    answers={200: RowPage},
)
def list_results(job_id: uuid.UUID) -> Response:
    """A page of rows, in the order of the file."""
    asked = query(ResultsQuery)
    after = pagination.decode("rows", asked.cursor) or 0
    database = services().database
    rows = results.page(
        database,
        get_job(database, job_id, viewer=viewer()),
        after=after,
        limit=asked.limit + 1,
        status=asked.status,
    )
    shown, following = pagination.split("rows", rows, asked.limit, lambda row: row.row_no)
    return json_response(RowPage(rows=[Row.of(row) for row in shown], next_cursor=following))


@api.get("/jobs/<uuid:job_id>/results.csv", policy=SIGNED_IN)
@documented(
    group="Results",
    summary="The tagged file as CSV",
    description=_FILES,
    query=DownloadQuery,
    answers={200: Answer(content_type="text/csv", description="The tagged file.")},
)
def download_csv(job_id: uuid.UUID) -> Response:
    """The tagged file as CSV."""
    return _tagged(job_id, "csv")


@api.get("/jobs/<uuid:job_id>/results.xlsx", policy=SIGNED_IN)
@documented(
    group="Results",
    summary="The tagged file as a workbook",
    description=_FILES,
    query=DownloadQuery,
    answers={
        200: Answer(
            content_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            description="The tagged file.",
        )
    },
    problems=(TooLarge,),
)
def download_xlsx(job_id: uuid.UUID) -> Response:
    """The tagged file as a workbook. Raises ``TooLarge`` before it begins, not where the sheet is full."""
    rows = get_job(services().database, job_id, viewer=viewer()).progress.rows
    if rows > MAX_XLSX_ROWS:
        raise TooLarge(
            msg(
                "The job has %(rows)s rows, but a workbook holds %(max_xlsx_rows)s; download the CSV.",
                rows=rows,
                max_xlsx_rows=MAX_XLSX_ROWS,
            ),
            limit=MAX_XLSX_ROWS,
        )
    return _tagged(job_id, "xlsx")


@api.get("/jobs/<uuid:job_id>/results.jsonl", policy=SIGNED_IN)
@documented(
    group="Results",
    summary="The tagged file as JSON lines",
    description=_FILES,
    query=DownloadQuery,
    answers={200: Answer(content_type="application/jsonl", description="The tagged file, an object a line.")},
)
def download_jsonl(job_id: uuid.UUID) -> Response:
    """The tagged file as JSON lines."""
    return _tagged(job_id, "jsonl")


@api.get("/jobs/<uuid:job_id>/errors.csv", policy=SIGNED_IN)
@documented(
    group="Results",
    summary="Rows that could not be scored",
    description="With the columns `file_row`, `reason` and `text`.",
    query=ErrorsQuery,
    answers={200: Answer(content_type="text/csv", description="The rows.")},
)
def download_errors(job_id: uuid.UUID) -> Response:
    """The rows that could not be scored, and why."""
    asked = query(ErrorsQuery)
    return sent(
        job_id,
        "errors",
        "csv",
        lambda job: (
            results.ERROR_COLUMNS,
            results.error_rows(services().database, job, partial(translated, to=asked.language)),
        ),
        asked,
    )


def _tagged(job_id: uuid.UUID, file_format: Format) -> Response:
    return sent(
        job_id,
        "tagged",
        file_format,
        lambda job: (results.export_columns(job), results.export_rows(services().database, job)),
        query(DownloadQuery),
    )


def sent(
    job_id: uuid.UUID, ending: str, file_format: Format, table: Callable[[JobView], Table], asked: DownloadQuery
) -> Response:
    """A table of a job as a file, named after the job's and written as ``asked``."""
    job = get_job(services().database, job_id, viewer=viewer())
    columns, rows = table(job)
    return download(job.source.name, ending, file_format, columns, rows, guard=asked.guard, bom=asked.bom)
