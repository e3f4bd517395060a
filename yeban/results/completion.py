"""Completion of a job: refinement, summary and the final state.

Refinement takes up to a minute for a million rows, too long for one transaction. So a worker leases the completion of
a job, as it leases chunks. Only storing the results is one transaction, which the lease fences.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, exists, func, null, select, text, update

from yeban.chunks.clock import COMPLETION_IS_FREE
from yeban.database.engine import Database, copy_rows
from yeban.database.tables import Chunk, Job, Refined
from yeban.database.tables.states import FINISHABLE, ChunkState, JobState, constant, constants
from yeban.errors import Message, ServiceUnavailable, message_of, msg
from yeban.jobs import reports
from yeban.jobs.reports import RefinementOmitted, RefinementReport
from yeban.labels import LabelSet, Status
from yeban.results.summary import summarize
from yeban.telemetry import logs, metrics, tracing

log = logging.getLogger(__name__)

#: Seconds without renewal after which another worker may complete a job.
COMPLETION_LEASE_S = 60.0

_RENEWALS = 4  # renewals during one lease

_REFINED_COLUMNS = ("job_id", "row_no", "status", "label", "score", "margin")


@dataclass(frozen=True, kw_only=True)
class ScoredJob:
    """A job whose rows are all scored."""

    id: int
    label_set: LabelSet
    row_count: int


@dataclass(frozen=True, kw_only=True)
class Refinement:
    """Refined rows ``(row number, status, label, score, margin)``, and the report."""

    rows: Iterable[tuple[int, Status, int, float, float]]
    report: reports.Refinement


#: Refines a scored job. It calls its second argument now and then, which raises :class:`CompletionLost` once the lease
#: is lost.
Refine = Callable[[ScoredJob, Callable[[], None]], Refinement]


class CompletionLost(Exception):
    """The lease was lost; another worker completes the job."""


class NotRefined(Exception):
    """Reason why a job keeps its row labels; it goes into the report and is no failure."""

    def __init__(self, message: Message) -> None:
        super().__init__(message)
        self.message = message


def finish_job(database: Database, job_id: int, refine: Refine | None = None) -> bool:
    """Complete a job whose chunks are all done: refine it if wanted, and store its summary.

    Returns ``False`` at once if the job is in another state or another worker completes it, so repeated calls are
    harmless. After a failed refinement the job keeps its row labels, and its report has the reason.
    """
    token = uuid.uuid4()
    job = _lease(database, job_id, token)
    if job is None:
        return False
    refinement = None
    with logs.bound(job=job_id), tracing.span("end job", {"yeban.job.id": job_id, "yeban.rows": job.row_count}):
        if job.refine:
            try:
                refinement = _refined(database, job, token, refine)
            except CompletionLost:
                log.warning("job end given up, it is no longer ours")
                return False
        return _complete(database, job_id, token, refinement)


def _lease(database: Database, job_id: int, token: uuid.UUID) -> Row[Any] | None:
    """Enter ``finishing`` and lease the completion under ``token``; ``None`` if it cannot be had now."""
    with database.begin() as connection:
        return connection.execute(
            update(Job)
            .where(
                Job.id == job_id,
                Job.state.in_(constants(FINISHABLE)),
                COMPLETION_IS_FREE,
                ~exists().where(Chunk.job_id == job_id, Chunk.state != constant(ChunkState.DONE)),
            )
            .values(
                state=JobState.FINISHING,
                finishing_at=func.coalesce(Job.finishing_at, func.now()),
                ender_token=token,
                ender_until=_lease_end(),
            )
            .returning(Job.id, Job.label_set, Job.row_count, Job.refine)
        ).one_or_none()


def _lease_end() -> ColumnElement[datetime]:
    return func.now() + timedelta(seconds=COMPLETION_LEASE_S)


def _is_held(job_id: int, token: uuid.UUID) -> ColumnElement[bool]:
    return and_(Job.id == job_id, Job.state == constant(JobState.FINISHING), Job.ender_token == token)


@contextmanager
def _held(database: Database, job_id: int, token: uuid.UUID) -> Iterator[Callable[[], None]]:
    """Renew the lease in the background; yields a check that raises :class:`CompletionLost` once it is lost."""
    done, lost = threading.Event(), threading.Event()

    def renew() -> None:
        while not done.wait(COMPLETION_LEASE_S / _RENEWALS):
            try:
                with database.begin() as connection:
                    renewed = connection.execute(
                        update(Job).where(_is_held(job_id, token)).values(ender_until=_lease_end())
                    )
            except ServiceUnavailable:
                continue  # the final transaction is fenced
            if renewed.rowcount == 0:
                lost.set()
                return

    def check() -> None:
        if lost.is_set():
            raise CompletionLost

    renewal = threading.Thread(target=renew, name="completion-lease", daemon=True)
    renewal.start()
    try:
        yield check
    finally:
        done.set()
        renewal.join()


def _refined(database: Database, job: Row[Any], token: uuid.UUID, refine: Refine | None) -> Refinement:
    started = time.monotonic()
    with tracing.span("refine") as span:
        refinement = _refined_or_not(database, job, token, refine)
        outcome = refinement.report.state
        span.set_attributes({"yeban.outcome": outcome})
    metrics.REFINEMENTS.labels(outcome=outcome).inc()
    if outcome == "done":
        metrics.REFINEMENT_SECONDS.observe(time.monotonic() - started)
    return refinement


def _refined_or_not(database: Database, job: Row[Any], token: uuid.UUID, refine: Refine | None) -> Refinement:
    try:
        if refine is None:
            raise NotRefined(msg("This worker does not support refinement."))
        scored = ScoredJob(id=job.id, label_set=LabelSet.from_json(job.label_set), row_count=job.row_count)
        with _held(database, job.id, token) as check:
            return refine(scored, check)
    except (CompletionLost, ServiceUnavailable):
        raise
    except NotRefined as error:
        return Refinement(rows=(), report=RefinementOmitted(state="skipped", reason=error.message))
    except Exception as error:
        log.exception("refinement failed, the job ends as its rows were scored")
        return Refinement(rows=(), report=RefinementOmitted(state="failed", reason=message_of(error)))


def _complete(database: Database, job_id: int, token: uuid.UUID, refinement: Refinement | None) -> bool:
    with database.begin() as connection:
        job = connection.execute(
            select(
                Job.id,
                Job.label_set,
                Job.gold_index,
                Job.row_count,
                Job.running_at,
                func.coalesce(Job.ended_at, func.now()).label("until"),
            )
            .where(_is_held(job_id, token))
            .with_for_update(key_share=True)
        ).one_or_none()
        if job is None:
            return False
        # With statistics older than the job, PostgreSQL would join row by row, which takes hours for a large job.
        connection.execute(text("SET LOCAL enable_nestloop = off"))
        if refinement is not None:
            _store(connection, job_id, refinement)
        summary = summarize(
            connection, job, refined=refinement is not None and isinstance(refinement.report, RefinementReport)
        )
        state = JobState.COMPLETED_WITH_ERRORS if summary.errors else JobState.COMPLETED
        connection.execute(
            update(Job)
            .where(Job.id == job_id)
            .values(
                state=state,
                summary=summary.to_json(),
                refinement=null() if refinement is None else reports.refinement_to_json(refinement.report),
                ended_at=func.coalesce(Job.ended_at, func.now()),
                ender_token=None,
                ender_until=None,
            )
        )
    metrics.JOBS_ENDED.labels(state=state.value).inc()
    log.info("job ended", extra={"state": state.value, "rows": job.row_count, "errors": summary.errors})
    return True


def _store(connection: Connection, job_id: int, refinement: Refinement) -> None:
    """Replace the rows of earlier refinements."""
    connection.execute(delete(Refined).where(Refined.job_id == job_id))
    copy_rows(
        connection,
        "refined",
        _REFINED_COLUMNS,
        ((job_id, row_no, status.value, *decision) for row_no, status, *decision in refinement.rows),
    )
