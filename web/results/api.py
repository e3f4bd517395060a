"""Results of jobs: pages of rows, and whole files."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Literal

from flask import Response

from web.auth.authentication import viewer
from web.blueprints import SIGNED_IN, api
from web.http import pagination
from web.http.downloads import Format, download
from web.http.json import json_response
from web.http.pagination import RowsQuery
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


class ResultsQuery(RowsQuery):
    """Filters of the list of rows."""

    status: Literal["ok", "abstained", "error", "pending"] | None = None


class DownloadQuery(Fields):
    """Options of a download."""

    guard: bool = True
    """Whether to turn cells that look like formulas into plain text."""
    bom: bool = True
    """Whether a CSV starts with a byte order mark, by which Excel recognises UTF-8."""


class ErrorsQuery(DownloadQuery):
    """Options of the file of failed rows."""

    language: Literal["en", "zh"] = "en"
    """The language of `reason`."""


_FILES = (
    "Has the original columns, then `yeban_label` (several are joined by `|`), `yeban_score`, `yeban_margin` and"
    " `yeban_status`; with `refine`, `yeban_row_label` and `yeban_row_score`; and with corrections, `yeban_predicted`,"
    " `yeban_corrected`, `yeban_corrected_by` and `yeban_corrected_at`. The file is streamed, also while the job runs;"
    " an error truncates it."
)


@api.get("/jobs/<uuid:job_id>/results", policy=SIGNED_IN)
@documented(
    group="Results",
    summary="List rows with their labels",
    description="Works while the job runs; rows without a result are `pending`.",
    query=ResultsQuery,
    answers={200: RowPage},
)
def list_results(job_id: uuid.UUID) -> Response:
    """List rows in the order of the file."""
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
    summary="Download the tagged file as CSV",
    description=_FILES,
    query=DownloadQuery,
    answers={200: Answer(content_type="text/csv", description="The tagged file.")},
)
def download_csv(job_id: uuid.UUID) -> Response:
    """Download the tagged file as CSV."""
    return _tagged(job_id, "csv")


@api.get("/jobs/<uuid:job_id>/results.xlsx", policy=SIGNED_IN)
@documented(
    group="Results",
    summary="Download the tagged file as XLSX",
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
    """Download the tagged file as XLSX. Raises ``TooLarge`` before the download starts."""
    rows = get_job(services().database, job_id, viewer=viewer()).progress.rows
    if rows > MAX_XLSX_ROWS:
        raise TooLarge(
            msg(
                "The job has %(rows)s rows, but a workbook can hold %(max_xlsx_rows)s. Download the CSV.",
                rows=rows,
                max_xlsx_rows=MAX_XLSX_ROWS,
            ),
            limit=MAX_XLSX_ROWS,
        )
    return _tagged(job_id, "xlsx")


@api.get("/jobs/<uuid:job_id>/results.jsonl", policy=SIGNED_IN)
@documented(
    group="Results",
    summary="Download the tagged file as JSON lines",
    description=_FILES,
    query=DownloadQuery,
    answers={200: Answer(content_type="application/jsonl", description="The tagged file, one object per line.")},
)
def download_jsonl(job_id: uuid.UUID) -> Response:
    """Download the tagged file as JSON lines."""
    return _tagged(job_id, "jsonl")


@api.get("/jobs/<uuid:job_id>/errors.csv", policy=SIGNED_IN)
@documented(
    group="Results",
    summary="Download the failed rows as CSV",
    description="Has the columns `file_row`, `reason` and `text`.",
    query=ErrorsQuery,
    answers={200: Answer(content_type="text/csv", description="The failed rows.")},
)
def download_errors(job_id: uuid.UUID) -> Response:
    """Download the rows that could not be scored, with the reasons."""
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
    """Send a table of a job as a file, named after the source file."""
    job = get_job(services().database, job_id, viewer=viewer())
    columns, rows = table(job)
    return download(job.source.name, ending, file_format, columns, rows, guard=asked.guard, bom=asked.bom)
