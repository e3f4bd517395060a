"""The end of a job: its summary over the whole file, and its final state."""

from __future__ import annotations

import json
import logging
from typing import Any

from sqlalchemy import Connection, Row, text

from yeban.db import Database
from yeban.evaluation import Confusion
from yeban.labels import LabelSet, Status

log = logging.getLogger(__name__)


def finish_job(database: Database, job_id: int) -> bool:
    """Make the summary of a job whose chunks are all done, and end it.

    Returns at once (``False``) if the job is not in that state, so that doubled calls are harmless.
    """
    with database.begin() as connection:
        entered = connection.execute(
            text(
                "UPDATE job SET state = 'finishing', finishing_at = coalesce(finishing_at, now())"
                " WHERE id = :id AND state IN ('queued', 'running', 'finishing')"
                " AND NOT EXISTS (SELECT FROM chunk WHERE job_id = :id AND state <> 'done') RETURNING id"
            ),
            {"id": job_id},
        ).one_or_none()
    if entered is None:
        return False
    with database.begin() as connection:
        job = connection.execute(
            text(
                "SELECT id, state, label_set, gold_index, row_count, running_at, now() AS now"
                " FROM job WHERE id = :id AND state = 'finishing' FOR UPDATE SKIP LOCKED"
            ),
            {"id": job_id},
        ).one_or_none()
        if job is None:
            return False
        summary = _summary(connection, job)
        connection.execute(
            text("UPDATE job SET state = :state, summary = CAST(:summary AS jsonb), ended_at = now() WHERE id = :id"),
            {
                "id": job_id,
                "state": "completed_with_errors" if summary["errors"] else "completed",
                "summary": json.dumps(summary),
            },
        )
    log.info("job ended", extra={"job": job_id, "rows": job.row_count, "errors": summary["errors"]})
    return True


def _summary(connection: Connection, job: Row[Any]) -> dict[str, Any]:
    names = LabelSet.from_json(job.label_set).names
    counts = dict.fromkeys(Status, 0)
    labels = dict.fromkeys(names, 0)
    for status, label, count in connection.execute(
        text("SELECT status, label, count(*) FROM result WHERE job_id = :id GROUP BY 1, 2"), {"id": job.id}
    ):
        counts[Status(status)] += count
        if status == Status.OK:
            labels[names[label]] += count
    seconds = (job.now - job.running_at).total_seconds() if job.running_at else 0.0
    summary: dict[str, Any] = {
        "rows": job.row_count,
        "ok": counts[Status.OK],
        "abstained": counts[Status.ABSTAINED],
        "errors": counts[Status.ERROR],
        "labels": labels,
        "seconds": round(seconds, 3),
    }
    if job.gold_index is not None:
        summary["evaluation"] = _evaluate(connection, job.id, names).to_json()
    return summary


def _evaluate(connection: Connection, job_id: int, names: tuple[str, ...]) -> Confusion:
    confusion = Confusion(names)
    for gold, status, label, count in connection.execute(
        text(
            'SELECT trim("row".gold), status, label, count(*) FROM result'
            ' JOIN "row" USING (job_id, row_no) WHERE job_id = :id GROUP BY 1, 2, 3'
        ),
        {"id": job_id},
    ):
        confusion.add(gold or None, names[label] if status == Status.OK else None, count)
    return confusion
