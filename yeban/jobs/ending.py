"""The end of a job: its summary over the whole file, and its final state."""

from __future__ import annotations

import json
import logging
from typing import Any

from sqlalchemy import Connection, Row, text

from yeban.db import Database
from yeban.evaluation import Agreement
from yeban.labels import LABEL_JOINER, LabelSet, Status

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
        # With statistics older than the job, PostgreSQL would join row by row, and take hours over a large one.
        connection.execute(text("SET LOCAL enable_nestloop = off"))
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


# Rows by their assigned labels, as numbers, and their gold cell where there is one.
_ASSIGNED = """
    CASE WHEN status <> 'ok' THEN CAST('{}' AS int[])
         WHEN :multi_label THEN ARRAY(
             SELECT CAST(place - 1 AS int) FROM unnest(scores) WITH ORDINALITY AS score (value, place)
             WHERE value >= CAST(:threshold AS real))
         ELSE ARRAY[CAST(label AS int)] END
"""
_COUNTS = text(f"SELECT status, NULL, {_ASSIGNED}, count(*) FROM result WHERE job_id = :id GROUP BY 1, 2, 3")  # noqa: S608
_COUNTS_WITH_GOLD = text(
    f"""
    SELECT status, gold, {_ASSIGNED}, count(*) FROM result JOIN "row" USING (job_id, row_no)
    WHERE job_id = :id GROUP BY 1, 2, 3
    """  # noqa: S608  # made of the constant above
)


def _summary(connection: Connection, job: Row[Any]) -> dict[str, Any]:
    label_set = LabelSet.from_json(job.label_set)
    names = label_set.names
    counts = dict.fromkeys(Status, 0)
    labels = dict.fromkeys(names, 0)
    agreement = Agreement(names)
    for status, gold, assigned, count in connection.execute(
        _COUNTS if job.gold_index is None else _COUNTS_WITH_GOLD,
        {"id": job.id, "multi_label": label_set.multi_label, "threshold": label_set.effective_threshold},
        # A wrongly chosen gold column may have a million values: not all at once.
        execution_options={"yield_per": 10_000},
    ):
        predicted = [names[index] for index in assigned]
        counts[Status(status)] += count
        for name in predicted:
            labels[name] += count
        agreement.add(_gold_labels(gold, label_set), predicted, count)
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
        summary["evaluation"] = agreement.to_json()
    return summary


def _gold_labels(gold: str | None, label_set: LabelSet) -> list[str]:
    """The labels of a gold cell; in a multi-label job they are joined as in our own downloads."""
    cell = (gold or "").strip()
    if not label_set.multi_label:
        return [cell] if cell else []
    return [name.strip() for name in cell.split(LABEL_JOINER) if name.strip()]
