"""The end of a job: what the whole file says of its rows, the summary, and the final state.

Refinement takes up to a minute for a million rows, too long for one transaction. So whoever ends a job takes it under
a lease, as chunks are, and only the storing of all that was found is one transaction, fenced by that lease.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from yeban import logs, metrics, tracing
from yeban.db import Database, copy_rows
from yeban.errors import ServiceUnavailable
from yeban.evaluation import Agreement, thresholds
from yeban.jobs import final
from yeban.jobs.moments import END_IS_FREE
from yeban.jobs.states import JobState
from yeban.labels import LABEL_JOINER, LabelSet, Status

log = logging.getLogger(__name__)

#: How long whoever ends a job may be silent before another may begin anew.
ENDER_LEASE_S = 60.0

_RENEWALS = 4  # renewals within one lease's length

_REFINED_COLUMNS = ("job_id", "row_no", "status", "label", "score", "margin")


@dataclass(frozen=True, kw_only=True)
class EndingJob:
    """A job all of whose rows are scored."""

    id: int
    label_set: LabelSet
    row_count: int


@dataclass(frozen=True, kw_only=True)
class Refinement:
    """New decisions ``(row number, status, label, score, margin)``, and a report for people and programs."""

    rows: Iterable[tuple[int, Status, int, float, float]]
    report: dict[str, Any]


#: Decides the rows of a job anew. The second argument is to be called now and then; it raises :class:`EndLost` once
#: the work is no longer wanted.
Refine = Callable[[EndingJob, Callable[[], None]], Refinement]


class EndLost(Exception):
    """The job is to be ended by somebody else."""


class NotRefined(Exception):
    """Why a job stays as its rows were scored: no failure, but something for its report."""


def finish_job(database: Database, job_id: int, refine: Refine | None = None) -> bool:
    """Refine a job whose chunks are all done, where that is wanted, make its summary, and end it.

    Returns at once (``False``) if the job is not in that state or somebody else is at it, so that doubled calls are
    harmless. A refinement that fails costs nothing but itself: the job ends as its rows were scored, and says why.
    """
    token = uuid.uuid4()
    job = _take(database, job_id, token)
    if job is None:
        return False
    refinement = None
    with logs.bound(job=job_id), tracing.span("end job", {"yeban.job.id": job_id, "yeban.rows": job.row_count}):
        if job.refine:
            try:
                refinement = _refined(database, job, token, refine)
            except EndLost:
                log.warning("job end given up, it is no longer ours")
                return False
        return _end(database, job_id, token, refinement)


def _take(database: Database, job_id: int, token: uuid.UUID) -> Row[Any] | None:
    """Enter ``finishing`` and hold the job's end under ``token``; ``None`` if it is not to be ended by us now."""
    with database.begin() as connection:
        return connection.execute(
            text(
                "UPDATE job SET state = 'finishing', finishing_at = coalesce(finishing_at, now()),"  # noqa: S608
                " ender_token = :token, ender_until = now() + make_interval(secs => :lease_s)"
                " WHERE id = :id AND state IN ('queued', 'running', 'finishing')"
                f" AND {END_IS_FREE}"
                " AND NOT EXISTS (SELECT FROM chunk WHERE job_id = :id AND state <> 'done')"
                " RETURNING id, label_set, row_count, refine"
            ),
            {"id": job_id, "token": token, "lease_s": ENDER_LEASE_S},
        ).one_or_none()


@contextmanager
def _held(database: Database, job_id: int, token: uuid.UUID) -> Iterator[Callable[[], None]]:
    """Renew the hold on a job's end in the background; yields what raises :class:`EndLost` once it is lost."""
    done, lost = threading.Event(), threading.Event()

    def keep() -> None:
        while not done.wait(ENDER_LEASE_S / _RENEWALS):
            try:
                with database.begin() as connection:
                    renewed = connection.execute(
                        text(
                            "UPDATE job SET ender_until = now() + make_interval(secs => :lease_s)"
                            " WHERE id = :id AND state = 'finishing' AND ender_token = :token"
                        ),
                        {"id": job_id, "token": token, "lease_s": ENDER_LEASE_S},
                    )
            except ServiceUnavailable:
                continue  # the end itself is fenced
            if renewed.rowcount == 0:
                lost.set()
                return

    def check() -> None:
        if lost.is_set():
            raise EndLost

    keeper = threading.Thread(target=keep, name="ender", daemon=True)
    keeper.start()
    try:
        yield check
    finally:
        done.set()
        keeper.join()


def _refined(database: Database, job: Row[Any], token: uuid.UUID, refine: Refine | None) -> Refinement:
    started = time.monotonic()
    with tracing.span("refine") as span:
        refinement = _refined_or_not(database, job, token, refine)
        outcome = str(refinement.report["state"])
        span.put({"yeban.outcome": outcome})
    metrics.REFINEMENTS.add(outcome=outcome)
    if outcome == "done":
        metrics.REFINEMENT_SECONDS.observe(time.monotonic() - started)
    return refinement


def _refined_or_not(database: Database, job: Row[Any], token: uuid.UUID, refine: Refine | None) -> Refinement:
    try:
        if refine is None:
            raise NotRefined("This worker cannot refine.")
        ending = EndingJob(id=job.id, label_set=LabelSet.from_json(job.label_set), row_count=job.row_count)
        with _held(database, job.id, token) as check:
            return refine(ending, check)
    except (EndLost, ServiceUnavailable):
        raise
    except NotRefined as error:
        return Refinement(rows=(), report={"state": "skipped", "reason": str(error)})
    except Exception as error:
        log.exception("refinement failed, the job ends as its rows were scored")
        return Refinement(rows=(), report={"state": "failed", "reason": f"{type(error).__name__}: {error}"[:500]})


def _end(database: Database, job_id: int, token: uuid.UUID, refinement: Refinement | None) -> bool:
    with database.begin() as connection:
        job = connection.execute(
            text(
                "SELECT id, label_set, gold_index, row_count, running_at, coalesce(ended_at, now()) AS until FROM job"
                " WHERE id = :id AND state = 'finishing' AND ender_token = :token FOR NO KEY UPDATE"
            ),
            {"id": job_id, "token": token},
        ).one_or_none()
        if job is None:
            return False
        # With statistics older than the job, PostgreSQL would join row by row, and take hours over a large one.
        connection.execute(text("SET LOCAL enable_nestloop = off"))
        if refinement is not None:
            _store(connection, job_id, refinement)
        summary = _summary(connection, job, refined=refinement is not None and refinement.report["state"] == "done")
        state = JobState.COMPLETED_WITH_ERRORS if summary["errors"] else JobState.COMPLETED
        connection.execute(
            text(
                "UPDATE job SET state = :state, summary = CAST(:summary AS jsonb),"
                " refinement = CAST(:refinement AS jsonb), ended_at = coalesce(ended_at, now()),"
                " ender_token = NULL, ender_until = NULL WHERE id = :id"
            ),
            {
                "id": job_id,
                "state": state.value,
                "summary": json.dumps(summary),
                "refinement": None if refinement is None else json.dumps(refinement.report),
            },
        )
    metrics.JOBS_ENDED.add(state=state.value)
    log.info("job ended", extra={"state": state.value, "rows": job.row_count, "errors": summary["errors"]})
    return True


def _store(connection: Connection, job_id: int, refinement: Refinement) -> None:
    """Put the new decisions in the place of earlier ones."""
    connection.execute(text("DELETE FROM refined WHERE job_id = :id"), {"id": job_id})
    copy_rows(
        connection,
        "refined",
        _REFINED_COLUMNS,
        ((job_id, row_no, status.value, *decision) for row_no, status, *decision in refinement.rows),
    )


_COUNTS = text(
    f"""
    SELECT {final.STATUS} AS status, NULL AS gold, {final.ASSIGNED} AS assigned, count(*)
    FROM result {final.JOINS} WHERE result.job_id = :id GROUP BY 1, 2, 3
    """  # noqa: S608  # made of the constants in final
)
_COUNTS_WITH_GOLD = text(
    f"""
    SELECT {final.STATUS} AS status, gold, {final.ASSIGNED} AS assigned, count(*)
    FROM result {final.JOINS} JOIN "row" ON "row".job_id = result.job_id AND "row".row_no = result.row_no
    WHERE result.job_id = :id GROUP BY 1, 2, 3
    """  # noqa: S608  # made of the constants in final
)
# What the rows said by themselves: the measure of what refinement and corrections brought.
_BY_ROW_WITH_GOLD = text(
    """
    SELECT gold, CASE WHEN status = 'ok' THEN label END AS label, count(*)
    FROM result JOIN "row" USING (job_id, row_no) WHERE job_id = :id GROUP BY 1, 2
    """
)
# By scores rounded to what a person would set; without the rows that people corrected, which have no score.
_SCORED_WITH_GOLD = text(
    f"""
    SELECT CAST(round(CAST(coalesce(refined.score, result.score) AS numeric), 2) AS float) AS score, gold,
        coalesce(refined.label, result.label) AS label, count(*)
    FROM result {final.JOINS} JOIN "row" ON "row".job_id = result.job_id AND "row".row_no = result.row_no
    WHERE result.job_id = :id AND result.status <> 'error' AND correction.row_no IS NULL AND gold IS NOT NULL
    GROUP BY 1, 2, 3
    """  # noqa: S608  # made of the constants in final
)
# A wrongly chosen gold column may have a million values: not all at once.
_IN_BLOCKS = {"yield_per": 10_000}


def _summary(connection: Connection, job: Row[Any], *, refined: bool) -> dict[str, Any]:
    label_set = LabelSet.from_json(job.label_set)
    names = label_set.names
    counts = dict.fromkeys(Status, 0)
    labels = dict.fromkeys(names, 0)
    agreement = Agreement(names)
    for status, gold, assigned, count in connection.execute(
        _COUNTS if job.gold_index is None else _COUNTS_WITH_GOLD,
        {"id": job.id, "multi_label": label_set.multi_label, "threshold": label_set.effective_threshold},
        execution_options=_IN_BLOCKS,
    ):
        predicted = [names[index] for index in assigned]
        counts[Status(status)] += count
        for name in predicted:
            labels[name] += count
        agreement.add(_gold_labels(gold, label_set), predicted, count)
    seconds = (job.until - job.running_at).total_seconds() if job.running_at else 0.0
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
        if refined:
            summary["evaluation"]["by_row"] = _agreement_by_row(connection, job.id, label_set)
        if not label_set.multi_label:
            summary["evaluation"]["thresholds"] = thresholds(_scored(connection, job.id, label_set))
    return summary


def _agreement_by_row(connection: Connection, job_id: int, label_set: LabelSet) -> dict[str, float | None]:
    names = label_set.names
    agreement = Agreement(names)
    for gold, label, count in connection.execute(_BY_ROW_WITH_GOLD, {"id": job_id}, execution_options=_IN_BLOCKS):
        agreement.add(_gold_labels(gold, label_set), [] if label is None else [names[label]], count)
    return {"accuracy": agreement.accuracy, "macro_f1": agreement.macro_f1}


def _scored(connection: Connection, job_id: int, label_set: LabelSet) -> Iterator[tuple[float, bool, int]]:
    """Rows by score and whether their best label is the gold one; rows without a gold label are left out."""
    for score, gold, label, count in connection.execute(
        _SCORED_WITH_GOLD, {"id": job_id}, execution_options=_IN_BLOCKS
    ):
        if wanted := _gold_labels(gold, label_set):
            yield score, wanted == [label_set.names[label]], count


def _gold_labels(gold: str | None, label_set: LabelSet) -> list[str]:
    """The labels of a gold cell; in a multi-label job they are joined as in our own downloads."""
    cell = (gold or "").strip()
    if not label_set.multi_label:
        return [cell] if cell else []
    return [name.strip() for name in cell.split(LABEL_JOINER) if name.strip()]
