"""Statements that read jobs with their progress, and the durations of earlier jobs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Float, Integer, Select, column, exists, func, select, true

from yeban.database.tables import Chunk, Correction, Embedding, Job
from yeban.database.tables.states import ChunkState, constant, statement

#: Length of the window that the rate is measured over.
RATE_WINDOW_S = 30.0


def embedded() -> ColumnElement[bool]:
    """Condition that a job's embeddings are kept.

    They are removed from the first on. A chunk without a scored row never has any.
    """
    first_scored = (
        select(func.min(Chunk.first_row))
        .where(Chunk.job_id == Job.id, Chunk.ok + Chunk.abstained > 0)
        .correlate(Job)
        .scalar_subquery()
    )
    return exists().where(Embedding.job_id == Job.id, Embedding.first_row == first_scored)


def jobs() -> Select[Any]:
    """Jobs that are not deleted, with the counts of their chunks, one row a job."""
    taken_up_at = func.greatest(Job.queued_at, Job.running_at)
    since = func.greatest(func.now() - timedelta(seconds=RATE_WINDOW_S), Job.queued_at, Job.running_at)
    rows = func.sum(Chunk.last_row - Chunk.first_row + 1)
    recent = Chunk.finished_at > since
    after_taken_up = Chunk.finished_at > taken_up_at
    done = (
        select(
            func.coalesce(rows, 0).label("done"),
            func.coalesce(func.sum(Chunk.ok), 0).label("ok"),
            func.coalesce(func.sum(Chunk.abstained), 0).label("abstained"),
            func.coalesce(func.sum(Chunk.errors), 0).label("errors"),
            func.coalesce(rows.filter(recent), 0).label("recent"),
            func.count().filter(recent).label("recent_chunks"),
            func.coalesce(rows.filter(after_taken_up), 0).label("since_taken_up"),
            func.count().filter(after_taken_up).label("chunks_since_taken_up"),
        )
        .where(Chunk.job_id == Job.id, Chunk.state == constant(ChunkState.DONE))
        .correlate(Job)
        .lateral("done")
    )
    corrections = select(func.count()).where(Correction.job_id == Job.id).correlate(Job).scalar_subquery()
    return (
        select(
            Job,
            done,
            taken_up_at.label("taken_up_at"),
            func.now().label("now"),
            corrections.label("corrections"),
            embedded().label("embedded"),
        )
        .join(done, true())
        .where(Job.deleted_at.is_(None))
    )


#: Durations of completed jobs of a model, the newest of each size. Jobs that were paused, cancelled or resumed are left
#: out: their time is not the workers'. Refining a job once more moves ``finishing_at`` and keeps ``ended_at``, so the
#: time from ``running_at`` to ``ended_at`` is that of the first run: scoring, refinement and counting, all of which
#: grow with the rows.
MEASURED = statement(
    """
    SELECT row_count AS rows, extract(epoch FROM ended_at - running_at)::float AS seconds,
        jsonb_array_length(label_set -> 'labels') AS labels
    FROM (
        SELECT *, row_number() OVER (PARTITION BY floor(log(row_count)) ORDER BY id DESC) AS place
        FROM job
        WHERE model = :model AND state IN :refinable_jobs AND row_count > 0
            AND ended_at > now() - make_interval(secs => :seconds) AND ended_at > running_at
            AND paused_at IS NULL AND cancelling_at IS NULL AND queued_at <= running_at
    ) AS done
    WHERE place <= :jobs
    """
).columns(column("rows", Integer), column("seconds", Float), column("labels", Integer))

#: Open rows of active jobs. Jobs take turns chunk by chunk, so a job longer than ``:rows`` delays another of that
#: length by no more than ``:rows``.
AHEAD = statement(
    """
    SELECT coalesce(sum(least(open.rows, :rows)), 0)::bigint AS rows
    FROM job CROSS JOIN LATERAL (
        SELECT sum(last_row - first_row + 1) AS rows FROM chunk WHERE job_id = job.id AND state <> :chunk_done
    ) AS open
    WHERE job.state IN :active_jobs AND deleted_at IS NULL
    """
).columns(column("rows", BigInteger))
