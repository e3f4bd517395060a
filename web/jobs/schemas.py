"""Answers about jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

from flask import url_for
from pydantic import AfterValidator, Field

from web.http.json import AnswerBody, English, Moment, maybe_absent
from web.jobs.accuracy_schemas import JobEvaluation
from web.jobs.actions import actions, refinable
from web.label_sets.schemas import JobLabel
from yeban.database.tables.states import JobState
from yeban.jobs.reports import RefinementOmitted
from yeban.jobs.views import JobView

_Tenths = Annotated[float, AfterValidator(lambda value: round(value, 1))]


class JobModel(AnswerBody):
    """The model of a job."""

    name: str
    fingerprint: str | None
    """Set when the first worker claims a chunk; `null` before."""


class JobSource(AnswerBody):
    """The file that a job was created from."""

    name: str
    sha256: str
    format: Literal["csv", "tsv", "xlsx", "jsonl"]
    encoding: str | None
    delimiter: str | None
    columns: list[str]


class JobProgress(AnswerBody):
    """Progress of a job, in rows."""

    rows: int
    done: int
    """Rows that have a result, of any status."""
    ok: int
    abstained: int
    errors: int
    percent: float
    """0 to 100; 100 only when every row is done."""
    rows_per_s: _Tenths | None
    """Over the last 30 seconds; `null` unless the job runs."""
    eta_s: _Tenths | None
    """Estimated seconds to completion."""


class JobTimes(AnswerBody):
    """When the job entered each state."""

    created_at: Moment
    queued_at: Moment | None = maybe_absent()
    running_at: Moment | None = maybe_absent()
    paused_at: Moment | None = maybe_absent()
    finishing_at: Moment | None = maybe_absent()
    cancelling_at: Moment | None = maybe_absent()
    ended_at: Moment | None = maybe_absent()


class JobSummary(AnswerBody):
    """Results of a finished job. Corrections update the counts at once."""

    rows: int
    ok: int
    abstained: int
    errors: int
    labels: dict[str, int]
    """Rows by label."""
    scores: list[int] | None = maybe_absent()
    """Histogram of scores: 20 bins of 0.05. Corrected rows have no score."""
    seconds: float
    evaluation: JobEvaluation | None = maybe_absent()


class Move(AnswerBody):
    """Rows that refinement moved from one label to another."""

    from_label: str = Field(alias="from")
    to: str
    rows: int


class Refined(AnswerBody):
    """Report of a refinement."""

    state: Literal["done"]
    rows: int
    """Rows that have scores."""
    changed: int
    """Rows whose refined label differs from their row label."""
    moves: list[Move]
    """Most rows first, 20 at most."""
    examples: list[int]
    """Row numbers of the most certain changes."""
    suggested: list[int]
    """Row numbers worth correcting, the most useful first."""
    changed_since: int | None
    """Rows whose label differs from the previous refinement; `null` for the first."""
    corrections: int
    """Corrected rows used for learning."""
    sample_rows: int
    """Rows used for learning."""
    temper: float
    """Weight of the file's statistics against the row scores."""
    seconds: float


class NotRefined(AnswerBody):
    """Reason why a job was not refined; its rows keep their row labels."""

    state: Literal["skipped", "failed"]
    reason: English


class JobLinks(AnswerBody):
    """Paths. Those that change the job are present only if its state allows them."""

    self: str
    results: str
    csv: str
    xlsx: str
    jsonl: str
    errors: str
    corrections: str
    suggestions: str
    accuracy: str | None = maybe_absent()
    refine: str | None = maybe_absent()
    pause: str | None = maybe_absent()
    resume: str | None = maybe_absent()
    cancel: str | None = maybe_absent()

    @classmethod
    def of(cls, view: JobView) -> Self:
        def path(endpoint: str, action: str | None = None) -> str:
            return url_for(f"api.{endpoint}", job_id=view.id, action=action)

        evaluated = view.summary is not None and view.summary.evaluation is not None
        return cls(
            self=path("show_job"),
            results=path("list_results"),
            csv=path("download_csv"),
            xlsx=path("download_xlsx"),
            jsonl=path("download_jsonl"),
            errors=path("download_errors"),
            corrections=path("list_corrections"),
            suggestions=path("list_suggestions"),
            accuracy=path("show_accuracy") if evaluated else None,
            refine=path("refine_job") if refinable(view) else None,
            **{action: path("change_job", action) for action in actions(view)},
        )


_ID = "0cca0c22-b766-4c38-9543-2470d0a7a180"
_PATH = f"/api/v1/jobs/{_ID}"


class Job(AnswerBody):
    """A file whose rows are tagged."""

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
    start_at: Moment | None
    expires_at: Moment | None
    error: English | None
    """Why the job cannot continue."""
    summary: JobSummary | None
    """`null` until the job finishes."""
    refine: bool
    """Whether the job is refined once all rows are scored."""
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

    @classmethod
    def of(cls, view: JobView) -> Self:
        return cls(
            id=view.id,
            state=view.state,
            model=JobModel(name=view.model, fingerprint=view.model_fingerprint),
            labels=[JobLabel.of(label) for label in view.label_set.labels],
            template=view.label_set.template,
            multi_label=view.label_set.multi_label,
            threshold=view.label_set.threshold,
            source=JobSource.of({**asdict(view.source), "columns": view.columns}),
            text_column=view.columns[view.text_index],
            gold_column=None if view.gold_index is None else view.columns[view.gold_index],
            progress=JobProgress.of(view.progress),
            times=JobTimes.of(view.times),
            start_at=view.start_at,
            expires_at=view.expires_at,
            error=view.error,
            summary=_summary_of(view),
            refine=view.refine,
            refinement=refinement_of(view),
            corrections=view.corrections,
            links=JobLinks.of(view),
        )


def refinement_of(job: JobView) -> Refined | NotRefined | None:
    """Build the report of a job's refinement, with names of labels in place of their indexes."""
    report = job.refinement
    if report is None:
        return None
    if isinstance(report, RefinementOmitted):
        return NotRefined.of(report)
    names = job.label_set.names
    moves = [{"from": names[before], "to": names[after], "rows": rows} for before, after, rows in report.moves]
    return Refined.of({**asdict(report), "moves": moves})


def _summary_of(job: JobView) -> JobSummary | None:
    """Build the summary. The long parts of its evaluation are left to ``/accuracy``."""
    if job.summary is None:
        return None
    summary = JobSummary.of(job.summary)
    if summary.evaluation is None:
        return summary
    return summary.model_copy(
        update={"evaluation": summary.evaluation.model_copy(update={"curve": None, "confusion": None})}
    )


class JobPage(AnswerBody):
    """Jobs, newest first."""

    jobs: list[Job]
    next_cursor: str | None
    """The `cursor` of the next page; `null` on the last page."""

    example: ClassVar[Mapping[str, Any] | None] = {"jobs": [Job.example], "next_cursor": None}
