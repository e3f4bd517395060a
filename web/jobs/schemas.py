"""What is answered about jobs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from web.jobs.accuracy_schemas import JobEvaluation
from web.label_sets.schemas import JobLabel
from web.openapi.schema_base import AnswerBody, maybe_absent
from yeban.database.tables.states import JobState


class JobModel(AnswerBody):
    """The model that a job is for."""

    name: str
    fingerprint: str | None
    """That of the first worker that took a chunk; `null` before."""


class JobSource(AnswerBody):
    """The file that a job was made of."""

    name: str
    sha256: str
    format: Literal["csv", "tsv", "xlsx", "jsonl"]
    encoding: str | None
    delimiter: str | None
    columns: list[str]


class JobProgress(AnswerBody):
    """How far a job is. Counts are of rows."""

    rows: int
    done: int
    """Rows that have a result, of whichever status."""
    ok: int
    abstained: int
    errors: int
    percent: float
    """0 to 100; 100 only when no row is missing."""
    rows_per_s: float | None
    """Over the last 30 seconds; `null` when the job does not run."""
    eta_s: float | None
    """Seconds to the end at that rate."""


class JobTimes(AnswerBody):
    """When the job entered each state that it has been in."""

    created_at: datetime
    queued_at: datetime = maybe_absent()
    running_at: datetime = maybe_absent()
    paused_at: datetime = maybe_absent()
    finishing_at: datetime = maybe_absent()
    cancelling_at: datetime = maybe_absent()
    ended_at: datetime = maybe_absent()


class JobSummary(AnswerBody):
    """What came of a job that has ended. The counts follow corrections at once."""

    rows: int
    ok: int
    abstained: int
    errors: int
    labels: dict[str, int]
    """Rows by label."""
    scores: list[int] = maybe_absent()
    """Rows by score: 20 counts, of 0 to 0.05, of 0.05 to 0.1, and so on; corrected rows have no score."""
    seconds: float
    evaluation: JobEvaluation = maybe_absent()


class Move(AnswerBody):
    """How many rows refinement took from one label to another."""

    from_label: str = Field(alias="from")
    to: str
    rows: int


class Refined(AnswerBody):
    """What refinement did."""

    state: Literal["done"]
    rows: int
    """Rows that have scores."""
    changed: int
    """Rows whose best label is another than by itself."""
    moves: list[Move]
    """From which label to which, most rows first; 20 at most."""
    examples: list[int]
    """Numbers of the changed rows that are surest now."""
    suggested: list[int]
    """Numbers of the rows worth correcting, the most useful first."""
    changed_since: int | None
    """Rows that the refinement before decided otherwise; `null` where there was none before."""
    corrections: int
    """Corrected rows that were learnt from."""
    sample_rows: int
    """Rows that were learnt from."""
    temper: float
    """How far the file was believed beside the rows' own scores."""
    seconds: float


class NotRefined(AnswerBody):
    """Why a job was not refined; its rows are as they were scored."""

    state: Literal["skipped", "failed"]
    reason: str


class JobLinks(AnswerBody):
    """Paths; those that change the job are there only where its state allows them."""

    self: str
    results: str
    csv: str
    xlsx: str
    jsonl: str
    errors: str
    corrections: str
    suggestions: str
    accuracy: str = maybe_absent()
    refine: str = maybe_absent()
    pause: str = maybe_absent()
    resume: str = maybe_absent()
    cancel: str = maybe_absent()


_ID = "0cca0c22-b766-4c38-9543-2470d0a7a180"
_PATH = f"/api/v1/jobs/{_ID}"


class Job(AnswerBody):
    """A file that is being tagged, or was."""

    id: UUID
    state: JobState
    model: JobModel
    labels: list[JobLabel]
    template: str
    multi_label: bool
    threshold: float | None
    source: JobSource
    text_column: str
    gold_column: str | None
    progress: JobProgress
    times: JobTimes
    start_at: datetime | None
    expires_at: datetime | None
    error: str | None
    """Why the job cannot go on."""
    summary: JobSummary | None
    """`null` before the end."""
    refine: bool
    """Whether the job is refined at its end, or was."""
    refinement: Refined | NotRefined | None
    corrections: int
    """Rows that people have corrected."""
    links: JobLinks

    example: ClassVar[Mapping[str, Any] | None] = {
        "id": _ID,
        "state": "running",
        "model": {"name": "e5-small", "fingerprint": "8c1f0a37d2e94b56"},
        "labels": [
            {"name": "物流", "description": "", "examples": []},
            {"name": "退款", "description": "", "examples": []},
            {"name": "发票", "description": "", "examples": []},
        ],
        "template": "{}",
        "multi_label": False,
        "threshold": None,
        "source": {
            "name": "tickets.csv",
            "sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
            "format": "csv",
            "encoding": "utf-8",
            "delimiter": ",",
            "columns": ["id", "text", "label"],
        },
        "text_column": "text",
        "gold_column": "label",
        "progress": {
            "rows": 434,
            "done": 256,
            "ok": 256,
            "abstained": 0,
            "errors": 0,
            "percent": 58.9,
            "rows_per_s": 210.5,
            "eta_s": 0.8,
        },
        "times": {
            "created_at": "2026-11-22T22:50:16+00:00",
            "queued_at": "2026-11-22T22:50:16+00:00",
            "running_at": "2026-11-22T22:50:17+00:00",
        },
        "start_at": None,
        "expires_at": None,
        "error": None,
        "summary": None,
        "refine": True,
        "refinement": None,
        "corrections": 0,
        "links": {
            "self": _PATH,
            "results": f"{_PATH}/results",
            "csv": f"{_PATH}/results.csv",
            "xlsx": f"{_PATH}/results.xlsx",
            "jsonl": f"{_PATH}/results.jsonl",
            "errors": f"{_PATH}/errors.csv",
            "corrections": f"{_PATH}/corrections",
            "suggestions": f"{_PATH}/suggestions",
            "pause": f"{_PATH}/pause",
            "cancel": f"{_PATH}/cancel",
        },
    }


class JobPage(AnswerBody):
    """Jobs, newest first."""

    jobs: list[Job]
    next_cursor: str | None
    """The `cursor` of the next page; `null` on the last."""

    example: ClassVar[Mapping[str, Any] | None] = {"jobs": [Job.example], "next_cursor": None}
