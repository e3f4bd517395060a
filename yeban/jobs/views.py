"""Reading jobs: one, a page of them, and how far each has come."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from yeban.accounts.viewer import VISIBLE, Viewer
from yeban.database.engine import Database
from yeban.database.tables.states import ACTIVE, JobState
from yeban.errors import NotFound, msg

#: Length of the window that the rate is measured over.
RATE_WINDOW_S = 30.0
#: A rate tells the end only once it was measured for so long and over so many chunks; before, the end would jump about.
STEADY_S = 10.0
STEADY_CHUNKS = 3
#: Of what is looked for in the names of files.
MAX_NAME_CHARS = 200
#: Whether a job's embeddings are there. They are forgotten from the first on; a chunk without a scored row has none.
EMBEDDED = (
    "EXISTS (SELECT FROM embedding WHERE job_id = job.id AND first_row ="
    " (SELECT min(first_row) FROM chunk WHERE job_id = job.id AND ok + abstained > 0))"
)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Counts of rows, and the rate over the last :data:`RATE_WINDOW_S` seconds.

    The end is told by that rate if enough chunks were finished meanwhile, else by that since the job was taken up.
    """

    rows: int
    done: int
    ok: int
    abstained: int
    errors: int
    rows_per_s: float | None  # None until something was measured
    eta_s: float | None  # seconds to the end; None while the rate is not steady yet

    @property
    def percent(self) -> float:
        """Share of rows that have a result, 0 to 100; 100 only when none is missing."""
        return int(1000 * self.done / self.rows) / 10 if self.rows else 0.0


@dataclass(frozen=True, kw_only=True)
class JobView:
    """A job as its owner sees it."""

    internal_id: int  # the key of rows and results; never shown
    id: uuid.UUID
    owner: str  # name of the account that made it; "" where there were none
    state: JobState
    label_set: dict[str, Any]
    model: str
    model_fingerprint: str | None
    source: dict[str, Any]  # name, sha256, format, encoding, delimiter
    columns: tuple[str, ...]
    text_index: int
    gold_index: int | None
    progress: Progress
    times: dict[str, datetime]  # when the job entered each state it has been in
    start_at: datetime | None
    expires_at: datetime | None
    error: str | None
    summary: dict[str, Any] | None
    refine: bool  # whether its end refines it, or did
    refinement: dict[str, Any] | None  # what came of that; label and row numbers
    corrections: int
    embedded: bool  # whether embeddings of its rows are kept, so that it can be refined again


@dataclass(frozen=True, kw_only=True)
class JobPage:
    """Newest first; ``next_before`` is the cursor of the following page, if there is one."""

    jobs: tuple[JobView, ...]
    next_before: int | None


_TIMES = ("created_at", "queued_at", "running_at", "paused_at", "finishing_at", "cancelling_at", "ended_at")

_SELECT = f"""
    SELECT job.*, done.*, taken_up_at, now() AS now,
        (SELECT count(*) FROM correction WHERE job_id = job.id) AS corrections, {EMBEDDED} AS embedded
    FROM job CROSS JOIN LATERAL (
        SELECT greatest(queued_at, running_at) AS taken_up_at,
            greatest(now() - make_interval(secs => :window), queued_at, running_at) AS since
    ) AS moments CROSS JOIN LATERAL (
        SELECT coalesce(sum(last_row - first_row + 1), 0) AS done, coalesce(sum(ok), 0) AS ok,
            coalesce(sum(abstained), 0) AS abstained, coalesce(sum(errors), 0) AS errors,
            coalesce(sum(last_row - first_row + 1) FILTER (WHERE finished_at > since), 0) AS recent,
            count(*) FILTER (WHERE finished_at > since) AS recent_chunks,
            coalesce(sum(last_row - first_row + 1) FILTER (WHERE finished_at > taken_up_at), 0) AS since_taken_up,
            count(*) FILTER (WHERE finished_at > taken_up_at) AS chunks_since_taken_up
        FROM chunk WHERE job_id = job.id AND state = 'done'
    ) AS done
    WHERE deleted_at IS NULL
"""  # noqa: S608  # a constant


def get_job(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> JobView:
    """One job. Raises ``NotFound``, also for someone else's."""
    with database.begin() as connection:
        return find_job(connection, public_id, viewer=viewer)


def find_job(connection: Connection, public_id: uuid.UUID, *, viewer: Viewer) -> JobView:
    """As :func:`get_job`, inside a transaction."""
    row = connection.execute(
        text(f"{_SELECT} AND public_id = :id AND {VISIBLE}"),
        {"id": public_id, **viewer.parameters, "window": RATE_WINDOW_S},
    ).one_or_none()
    if row is None:
        raise NotFound(msg("There is no job %(public_id)s.", public_id=public_id), job_id=str(public_id))
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
    """A page of jobs, newest first; ``before`` is an earlier page's cursor.

    Optionally only those in ``states``, and those with ``name`` in the name of their file, in capitals or not.
    """
    with database.begin() as connection:
        rows = connection.execute(
            text(
                f"{_SELECT} AND {VISIBLE} AND (CAST(:before AS bigint) IS NULL OR job.id < :before)"
                " AND (CAST(:states AS text[]) = '{}' OR state = ANY(:states))"
                " AND (:name = '' OR strpos(lower(source_name), lower(:name)) > 0)"
                " ORDER BY job.id DESC LIMIT :limit"
            ),
            {
                **viewer.parameters,
                "before": before,
                "name": name.replace("\x00", ""),  # PostgreSQL takes none, and no stored name has one
                "states": [state.value for state in states],
                "limit": limit + 1,
                "window": RATE_WINDOW_S,
            },
        ).all()
    views = tuple(_view(row) for row in rows[:limit])
    return JobPage(jobs=views, next_before=views[-1].internal_id if len(rows) > limit else None)


def _view(row: Row[Any]) -> JobView:
    return JobView(
        internal_id=row.id,
        id=row.public_id,
        owner=row.owner,
        state=JobState(row.state),
        label_set=row.label_set,
        model=row.model,
        model_fingerprint=row.model_fingerprint,
        source={
            "name": row.source_name,
            "sha256": row.source_sha256,
            "format": row.source_format,
            "encoding": row.source_encoding,
            "delimiter": row.source_delimiter,
        },
        columns=tuple(row.columns),
        text_index=row.text_index,
        gold_index=row.gold_index,
        progress=_progress(row),
        times={name: moment for name in _TIMES if (moment := getattr(row, name)) is not None},
        start_at=row.start_at,
        expires_at=row.expires_at,
        error=row.error,
        summary=row.summary,
        refine=row.refine,
        refinement=row.refinement,
        corrections=row.corrections,
        embedded=row.embedded,
    )


def _progress(row: Row[Any]) -> Progress:
    rows_per_s = eta_s = None
    if row.state in ACTIVE and row.running_at and row.since_taken_up:
        measured_s = max((row.now - row.taken_up_at).total_seconds(), 0.1)
        if row.recent:
            rows_per_s = row.recent / min(measured_s, RATE_WINDOW_S)
        if measured_s >= STEADY_S and row.chunks_since_taken_up >= STEADY_CHUNKS:
            steady = rows_per_s if row.recent_chunks >= STEADY_CHUNKS else row.since_taken_up / measured_s
            eta_s = (row.row_count - row.done) / steady
    # Chunks count what rows say by themselves; the summary, what holds in the end.
    counts = row.summary or {"ok": row.ok, "abstained": row.abstained, "errors": row.errors}
    return Progress(
        rows=row.row_count,
        done=row.done,
        ok=counts["ok"],
        abstained=counts["abstained"],
        errors=counts["errors"],
        rows_per_s=rows_per_s,
        eta_s=eta_s,
    )


@dataclass(frozen=True, kw_only=True)
class EarlierJob:
    """A job of the same bytes."""

    id: uuid.UUID
    name: str
    created_at: datetime


def latest_job_of(database: Database, sha256: str, *, viewer: Viewer) -> EarlierJob | None:
    """The viewer's latest job of a file with this checksum, if there is one."""
    with database.begin() as connection:
        row = connection.execute(_OF_FILE, {"sha256": sha256, **viewer.parameters}).one_or_none()
    return None if row is None else EarlierJob(**row._mapping)


def job_of_key(database: Database, key: str, *, owner: str) -> uuid.UUID | None:
    """The job that ``owner`` made under this idempotency key, if it is still there."""
    with database.begin() as connection:
        found: uuid.UUID | None = connection.scalar(_OF_KEY, {"owner": owner, "key": key})
    return found


_OF_FILE = text(
    "SELECT public_id AS id, source_name AS name, created_at FROM job"  # noqa: S608  # the condition of yeban.accounts.viewer
    f" WHERE source_sha256 = :sha256 AND deleted_at IS NULL AND {VISIBLE} ORDER BY id DESC LIMIT 1"
)
_OF_KEY = text("SELECT public_id FROM job WHERE owner = :owner AND idempotency_key = :key AND deleted_at IS NULL")
