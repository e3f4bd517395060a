"""Read models of jobs: one job, a page of jobs, and their progress."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from yeban.accounts.viewer import Viewer, visible
from yeban.database.engine import Database
from yeban.database.tables import Job
from yeban.database.tables.states import ACTIVE, JobState, constants
from yeban.errors import Message, NotFound, msg, stored_message
from yeban.jobs import queries
from yeban.jobs.queries import RATE_WINDOW_S
from yeban.jobs.reports import Refinement, Summary, refinement_from_json
from yeban.labels import LabelSet

#: The end is estimated once the rate was measured for this long and over this many chunks; before, it would jump.
STEADY_S = 10.0
STEADY_CHUNKS = 3
#: Length of a search in file names.
MAX_NAME_CHARS = 200


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Counts of rows, and the rate over the last :data:`RATE_WINDOW_S` seconds.

    ``eta_s`` follows from that rate if enough chunks finished in the window, else from the rate since the job was
    queued or resumed.
    """

    rows: int
    done: int
    ok: int
    abstained: int
    errors: int
    rows_per_s: float | None  # None until a chunk finished
    eta_s: float | None  # seconds to the end; None while the rate is not steady yet

    @property
    def percent(self) -> float:
        """Share of rows that have a result, 0 to 100; 100 only when none is missing."""
        return int(1000 * self.done / self.rows) / 10 if self.rows else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """The file that a job was created from, as it was read."""

    name: str
    sha256: str
    format: str
    encoding: str
    delimiter: str | None


@dataclass(frozen=True, kw_only=True)
class JobView:
    """The read model of a job."""

    internal_id: int  # the key of rows and results; never shown
    id: uuid.UUID
    owner: str  # name of the account that made it; "" where there were none
    state: JobState
    label_set: LabelSet
    model: str
    model_fingerprint: str | None
    source: Source
    columns: tuple[str, ...]
    text_index: int
    gold_index: int | None
    progress: Progress
    times: dict[str, datetime]  # when the job entered each state it has been in
    start_at: datetime | None
    expires_at: datetime | None
    error: Message | None
    summary: Summary | None  # None until the job is completed
    refine: bool  # completion refines the job
    refinement: Refinement | None
    corrections: int  # corrected rows
    embedded: bool  # embeddings of its rows are kept, so it can be refined again


@dataclass(frozen=True, kw_only=True)
class JobPage:
    """Newest first; ``next_before`` is the cursor of the following page, if there is one."""

    jobs: tuple[JobView, ...]
    next_before: int | None


_TIMES = ("created_at", "queued_at", "running_at", "paused_at", "finishing_at", "cancelling_at", "ended_at")


def get_job(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> JobView:
    """Read one job. Raises ``NotFound``, also for a job that ``viewer`` may not see."""
    with database.begin() as connection:
        return find_job(connection, public_id, viewer=viewer)


def find_job(connection: Connection, public_id: uuid.UUID, *, viewer: Viewer) -> JobView:
    """Read one job inside a transaction, as :func:`get_job` does."""
    row = connection.execute(
        queries.jobs().where(Job.public_id == public_id, visible(viewer, owner=Job.owner, team=Job.team))
    ).one_or_none()
    if row is None:
        raise NotFound(
            msg(
                "The job %(public_id)s does not exist, or you do not have access to it. To see a colleague's job, "
                "ask them to add you to their team.",
                public_id=public_id,
            ),
            job_id=str(public_id),
        )
    return _view(row)


def list_jobs(
    database: Database,
    *,
    viewer: Viewer,
    states: Sequence[JobState] = (),
    name: str = "",
    before: int | None = None,
    limit: int = 50,
) -> JobPage:
    """Read a page of jobs, newest first; ``before`` is the cursor of an earlier page.

    ``states`` and ``name`` filter the jobs where given: ``name`` is a part of the file's name, in any case.
    """
    query = queries.jobs().where(visible(viewer, owner=Job.owner, team=Job.team))
    if before is not None:
        query = query.where(Job.id < before)
    if states:
        query = query.where(Job.state.in_(constants(states)))
    if wanted := name.replace("\x00", ""):  # PostgreSQL stores no NUL, so no stored name has one
        query = query.where(func.strpos(func.lower(Job.source_name), func.lower(wanted)) > 0)
    with database.begin() as connection:
        rows = connection.execute(query.order_by(Job.id.desc()).limit(limit + 1)).all()
    views = tuple(_view(row) for row in rows[:limit])
    return JobPage(jobs=views, next_before=views[-1].internal_id if len(rows) > limit else None)


def _view(row: Row[Any]) -> JobView:
    summary = None if row.summary is None else Summary.from_json(row.summary)
    return JobView(
        internal_id=row.id,
        id=row.public_id,
        owner=row.owner,
        state=JobState(row.state),
        label_set=LabelSet.from_json(row.label_set),
        model=row.model,
        model_fingerprint=row.model_fingerprint,
        source=Source(
            name=row.source_name,
            sha256=row.source_sha256,
            format=row.source_format,
            encoding=row.source_encoding,
            delimiter=row.source_delimiter,
        ),
        columns=tuple(row.columns),
        text_index=row.text_index,
        gold_index=row.gold_index,
        progress=_progress(row, summary),
        times={name: moment for name in _TIMES if (moment := getattr(row, name)) is not None},
        start_at=row.start_at,
        expires_at=row.expires_at,
        error=stored_message(row.error),
        summary=summary,
        refine=row.refine,
        refinement=None if row.refinement is None else refinement_from_json(row.refinement),
        corrections=row.corrections,
        embedded=row.embedded,
    )


def _progress(row: Row[Any], summary: Summary | None) -> Progress:
    rows_per_s = eta_s = None
    if row.state in ACTIVE and row.running_at and row.since_taken_up:
        measured_s = max((row.now - row.taken_up_at).total_seconds(), 0.1)
        if row.recent:
            rows_per_s = row.recent / min(measured_s, RATE_WINDOW_S)
        if measured_s >= STEADY_S and row.chunks_since_taken_up >= STEADY_CHUNKS:
            steady = rows_per_s if row.recent_chunks >= STEADY_CHUNKS else row.since_taken_up / measured_s
            eta_s = (row.row_count - row.done) / steady
    # Chunks count row labels; the summary counts effective labels.
    counts = summary or row
    return Progress(
        rows=row.row_count,
        done=row.done,
        ok=counts.ok,
        abstained=counts.abstained,
        errors=counts.errors,
        rows_per_s=rows_per_s,
        eta_s=eta_s,
    )


@dataclass(frozen=True, kw_only=True)
class EarlierJob:
    """An earlier job of the same file contents."""

    id: uuid.UUID
    name: str
    created_at: datetime


def latest_job_of(database: Database, sha256: str, *, viewer: Viewer) -> EarlierJob | None:
    """Find the latest job of a file with this checksum that ``viewer`` may see."""
    with database.begin() as connection:
        row = connection.execute(
            select(Job.public_id.label("id"), Job.source_name.label("name"), Job.created_at)
            .where(
                Job.source_sha256 == sha256,
                Job.deleted_at.is_(None),
                visible(viewer, owner=Job.owner, team=Job.team),
            )
            .order_by(Job.id.desc())
            .limit(1)
        ).one_or_none()
    return None if row is None else EarlierJob(**row._mapping)


def job_of_key(database: Database, key: str, *, owner: str) -> uuid.UUID | None:
    """Find the job that ``owner`` created with this idempotency key, unless it was deleted."""
    with database.begin() as connection:
        found: uuid.UUID | None = connection.scalar(
            select(Job.public_id).where(Job.owner == owner, Job.idempotency_key == key, Job.deleted_at.is_(None))
        )
    return found
