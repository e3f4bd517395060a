"""Results: pages for programs, whole files for people."""

from __future__ import annotations

import uuid
from typing import Annotated, Literal

from flask import Response
from pydantic import Field

from web import cursors
from web.access import viewer
from web.answers import json_response
from web.api.blueprint import api
from web.downloads import Format, download
from web.edge import Fields, query
from web.jobview import row_json
from web.services import services
from yeban.errors import TooLarge
from yeban.jobs import results
from yeban.jobs.views import get_job
from yeban.tabular import MAX_XLSX_ROWS


class ResultsQuery(Fields):
    """Which rows to list."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: str | None = None
    status: Literal["ok", "abstained", "error", "pending"] | None = None


class DownloadQuery(Fields):
    """``guard`` keeps spreadsheets from taking a cell for a formula; ``bom`` tells Excel that a CSV is UTF-8."""

    guard: bool = True
    bom: bool = True


@api.get("/jobs/<uuid:job_id>/results")
def list_results(job_id: uuid.UUID) -> Response:
    """A page of rows, in the order of the file."""
    asked = query(ResultsQuery)
    after = cursors.decode("rows", asked.cursor) or 0
    database = services().database
    rows = results.page(
        database,
        get_job(database, job_id, viewer=viewer()),
        after=after,
        limit=asked.limit + 1,
        status=asked.status,
    )
    more = len(rows) > asked.limit
    rows = rows[: asked.limit]
    return json_response(
        {
            "rows": [row_json(row) for row in rows],
            "next_cursor": cursors.encode("rows", rows[-1].row_no) if more else None,
        }
    )


@api.get("/jobs/<uuid:job_id>/results.csv")
def download_csv(job_id: uuid.UUID) -> Response:
    """The tagged file as CSV."""
    return _tagged(job_id, "csv")


@api.get("/jobs/<uuid:job_id>/results.xlsx")
def download_xlsx(job_id: uuid.UUID) -> Response:
    """The tagged file as a workbook. Raises ``TooLarge`` before it begins, not where the sheet is full."""
    rows = get_job(services().database, job_id, viewer=viewer()).progress.rows
    if rows > MAX_XLSX_ROWS:
        raise TooLarge(
            f"The job has {rows} rows and a workbook holds {MAX_XLSX_ROWS}; take the CSV.", limit=MAX_XLSX_ROWS
        )
    return _tagged(job_id, "xlsx")


@api.get("/jobs/<uuid:job_id>/results.jsonl")
def download_jsonl(job_id: uuid.UUID) -> Response:
    """The tagged file as JSON lines."""
    return _tagged(job_id, "jsonl")


@api.get("/jobs/<uuid:job_id>/errors.csv")
def download_errors(job_id: uuid.UUID) -> Response:
    """The rows that could not be scored, and why."""
    asked = query(DownloadQuery)
    database = services().database
    job = get_job(database, job_id, viewer=viewer())
    rows = results.error_rows(database, job)
    return download(job.source["name"], "errors", "csv", results.ERROR_COLUMNS, rows, guard=asked.guard, bom=asked.bom)


def _tagged(job_id: uuid.UUID, file_format: Format) -> Response:
    asked = query(DownloadQuery)
    database = services().database
    job = get_job(database, job_id, viewer=viewer())
    return download(
        job.source["name"],
        "tagged",
        file_format,
        results.export_columns(job),
        results.export_rows(database, job),
        guard=asked.guard,
        bom=asked.bom,
    )
