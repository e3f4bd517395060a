"""A job and its rows as programs see them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import url_for

from yeban.database.tables.states import CANCELLABLE, PAUSABLE, REFINABLE, RESUMABLE
from yeban.jobs.views import JobView
from yeban.results.corrections import Correction
from yeban.results.rows import TaggedRow

_ACTIONS = {"pause": PAUSABLE, "resume": RESUMABLE, "cancel": CANCELLABLE}
_LONG = {"confusion", "curve"}


def actions(job: JobView) -> list[str]:
    """What may be done to the job as it stands."""
    return [name for name, states in _ACTIONS.items() if job.state in states]


def refinable(job: JobView) -> bool:
    """Whether the job can be refined once more as it stands."""
    return job.embedded and job.state in REFINABLE


def percent(job: JobView) -> float:
    """Share of rows that have a result, 0 to 100; 100 only when none is missing."""
    progress = job.progress
    return int(1000 * progress.done / progress.rows) / 10 if progress.rows else 0.0


def job_json(job: JobView) -> dict[str, Any]:
    """The job as ``/api/v1/jobs/{id}`` shows it."""
    progress = job.progress
    return {
        "id": str(job.id),
        "state": job.state.value,
        "model": {"name": job.model, "fingerprint": job.model_fingerprint},
        **{key: job.label_set.get(key) for key in ("labels", "template", "multi_label", "threshold")},
        "source": {**job.source, "columns": list(job.columns)},
        "text_column": job.columns[job.text_index],
        "gold_column": None if job.gold_index is None else job.columns[job.gold_index],
        "progress": {
            "rows": progress.rows,
            "done": progress.done,
            "ok": progress.ok,
            "abstained": progress.abstained,
            "errors": progress.errors,
            "percent": percent(job),
            "rows_per_s": None if progress.rows_per_s is None else round(progress.rows_per_s, 1),
            "eta_s": None if progress.eta_s is None else round(progress.eta_s, 1),
        },
        "times": {name: moment.isoformat() for name, moment in job.times.items()},
        "start_at": _iso(job.start_at),
        "expires_at": _iso(job.expires_at),
        "error": job.error,
        "summary": _summary(job),
        "refine": job.refine,
        "refinement": refinement_json(job),
        "corrections": job.corrections,
        "links": _links(job),
    }


def _summary(job: JobView) -> dict[str, Any] | None:
    """The summary without the long parts of its evaluation, which have an address of their own."""
    if job.summary is None or "evaluation" not in job.summary:
        return job.summary
    evaluation = {name: value for name, value in job.summary["evaluation"].items() if name not in _LONG}
    return {**job.summary, "evaluation": evaluation}


def refinement_json(job: JobView) -> dict[str, Any] | None:
    """What came of refining the job: its report with names of labels, or why there is none."""
    report = job.refinement
    if report is None or report["state"] != "done":
        return report
    names = [label["name"] for label in job.label_set["labels"]]
    moves = [{"from": names[before], "to": names[after], "rows": count} for before, after, count in report["moves"]]
    return {**report, "moves": moves}


def row_json(row: TaggedRow) -> dict[str, Any]:
    """One row of ``/api/v1/jobs/{id}/results``; ``scores`` are the row's own, in the order of the job's labels."""
    return {
        "row": row.row_no,
        "file_row": row.file_row,
        "text": row.text,
        "gold": row.gold,
        "cells": list(row.cells),
        "status": row.status,
        "labels": list(row.labels),
        "score": row.score,
        "margin": row.margin,
        "scores": None if row.scores is None else list(row.scores),
        "row_labels": list(row.row_labels),
        "row_score": row.row_score,
        "refined": row.refined,
        "predicted": list(row.predicted),
        "corrected": row.corrected,
        "corrected_by": row.corrected_by,
        "corrected_at": _iso(row.corrected_at),
        "error": row.error,
    }


def correction_json(correction: Correction) -> dict[str, Any]:
    """One correction of ``/api/v1/jobs/{id}/corrections``."""
    return {
        "row": correction.row_no,
        "file_row": correction.file_row,
        "text": correction.text,
        "labels": list(correction.labels),
        "author": correction.author,
        "made_at": _iso(correction.made_at),
    }


def _links(job: JobView) -> dict[str, str]:
    links = {
        "self": url_for("api.show_job", job_id=job.id),
        "results": url_for("api.list_results", job_id=job.id),
        "csv": url_for("api.download_csv", job_id=job.id),
        "xlsx": url_for("api.download_xlsx", job_id=job.id),
        "jsonl": url_for("api.download_jsonl", job_id=job.id),
        "errors": url_for("api.download_errors", job_id=job.id),
        "corrections": url_for("api.list_corrections", job_id=job.id),
        "suggestions": url_for("api.list_suggestions", job_id=job.id),
    }
    if (job.summary or {}).get("evaluation"):
        links["accuracy"] = url_for("api.show_accuracy", job_id=job.id)
    if refinable(job):
        links["refine"] = url_for("api.refine_job", job_id=job.id)
    for action in actions(job):
        links[action] = url_for("api.change_job", job_id=job.id, action=action)
    return links


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
