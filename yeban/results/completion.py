"""The end of a job: what the whole file says of its rows, and the final state.

Refinement takes up to a minute for a million rows, too long for one transaction. So whoever ends a job takes it under
a lease, as chunks are, and only the storing of all that was found is one transaction, fenced by that lease.
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

#: How long whoever ends a job may be silent before another may begin anew.
COMPLETION_LEASE_S = 60.0

_RENEWALS = 4  # renewals within one lease's length

_REFINED_COLUMNS = ("job_id", "row_no", "status", "label", "score", "margin")


@dataclass(frozen=True, kw_only=True)
class ScoredJob:
    """A job all of whose rows are scored."""

    id: int
    label_set: LabelSet
    row_count: int


@dataclass(frozen=True, kw_only=True)
class Refinement:
    """New decisions ``(row number, status, label, score, margin)``, and a report for people and programs."""

    rows: Iterable[tuple[int, Status, int, float, float]]
    report: reports.Refinement


#: Decides the rows of a job anew. The second argument is to be called now and then; it raises :class:`CompletionLost` once
#: the work is no longer wanted.
Refine = Callable[[ScoredJob, Callable[[], None]], Refinement]


class CompletionLost(Exception):
    """The job is to be ended by somebody else."""


class NotRefined(Exception):
    """Why a job stays as its rows were scored: no failure, but something for its report."""

    def __init__(self, message: Message) -> None:
        super().__init__(message)
        self.message = message


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
            except CompletionLost:
                log.warning("job end given up, it is no longer ours")
                return False
        return _end(database, job_id, token, refinement)


def _take(database: Database, job_id: int, token: uuid.UUID) -> Row[Any] | None:
    """Enter ``finishing`` and hold the job's end under ``token``; ``None`` if it is not to be ended by us now."""
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
    """Renew the hold on a job's end in the background; yields what raises :class:`CompletionLost` once it is lost."""
    done, lost = threading.Event(), threading.Event()

    def keep() -> None:
        while not done.wait(COMPLETION_LEASE_S / _RENEWALS):
            try:
                with database.begin() as connection:
                    renewed = connection.execute(
                        update(Job).where(_is_held(job_id, token)).values(ender_until=_lease_end())
                    )
            except ServiceUnavailable:
                continue  # the end itself is fenced
            if renewed.rowcount == 0:
                lost.set()
                return

    def check() -> None:
        if lost.is_set():
            raise CompletionLost

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
        outcome = refinement.report.state
        span.set_attributes({"yeban.outcome": outcome})
    metrics.REFINEMENTS.labels(outcome=outcome).inc()
    if outcome == "done":
        metrics.REFINEMENT_SECONDS.observe(time.monotonic() - started)
    return refinement


def _refined_or_not(database: Database, job: Row[Any], token: uuid.UUID, refine: Refine | None) -> Refinement:
    try:
        if refine is None:
            raise NotRefined(msg("This worker cannot refine."))
        ending = ScoredJob(id=job.id, label_set=LabelSet.from_json(job.label_set), row_count=job.row_count)
        with _held(database, job.id, token) as check:
            return refine(ending, check)
    except (CompletionLost, ServiceUnavailable):
        raise
    except NotRefined as error:
        return Refinement(rows=(), report=RefinementOmitted(state="skipped", reason=error.message))
    except Exception as error:
        log.exception("refinement failed, the job ends as its rows were scored")
        return Refinement(rows=(), report=RefinementOmitted(state="failed", reason=message_of(error)))


def _end(database: Database, job_id: int, token: uuid.UUID, refinement: Refinement | None) -> bool:
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
        # With statistics older than the job, PostgreSQL would join row by row, and take hours over a large one.
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
    """Put the new decisions in the place of earlier ones."""
    connection.execute(delete(Refined).where(Refined.job_id == job_id))
    copy_rows(
        connection,
        "refined",
        _REFINED_COLUMNS,
        ((job_id, row_no, status.value, *decision) for row_no, status, *decision in refinement.rows),
    )
