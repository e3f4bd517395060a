"""SQL statements that claim, hint and finish chunks.

Chunks are always locked in the order of their ids, so that two workers with the same chunks cannot deadlock.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Integer, Uuid, column

from yeban.database.tables import Chunk, Job
from yeban.database.tables.states import statement

# The pause after a failure is over, or was set by a clock that was set back since: see yeban.chunks.clock.
_PAUSE_IS_OVER = "(not_before IS NULL OR not_before <= now() OR not_before > now() + interval '15 minutes')"
_HELD = """
    chunk.state = :chunk_leased AND (chunk.id, chunk.lease_token) IN (
        SELECT * FROM unnest(CAST(:ids AS bigint[]), CAST(:tokens AS uuid[])))
"""

#: Lease the queued chunks among ``:ids`` whose jobs are active. The job is locked too, and first: pausing, cancelling
#: and resuming it wait until the claim is committed and then see it, or the claim sees what they changed. Claims of one
#: job wait neither for each other nor for its results.
CLAIM = statement(
    """
    WITH picked AS (
        SELECT chunk.id FROM chunk JOIN job ON job.id = chunk.job_id
        WHERE chunk.id = ANY(:ids) AND chunk.state = :chunk_queued AND job.state IN :active_jobs AND
    """,
    _PAUSE_IS_OVER,
    """
        ORDER BY chunk.id FOR KEY SHARE OF job FOR UPDATE OF chunk SKIP LOCKED
    )
    UPDATE chunk SET state = :chunk_leased, lease_token = :token, worker_id = :worker, attempt = attempt + 1,
        lease_until = now() + make_interval(secs => :lease_s)
    FROM picked, job
    WHERE chunk.id = picked.id AND job.id = chunk.job_id
    RETURNING chunk.id, chunk.attempt, chunk.first_row, chunk.last_row, chunk.job_id,
        job.state, job.label_set, job.model, job.model_fingerprint, job.refine
    """,
).columns(
    Chunk.id,
    Chunk.attempt,
    Chunk.first_row,
    Chunk.last_row,
    Chunk.job_id,
    Job.state,
    Job.label_set,
    Job.model,
    Job.model_fingerprint,
    Job.refine,
)

#: Lock the chunks that are still leased under ``:tokens``; ``wanted`` is false where the job is no longer active.
HELD = statement(
    """
    SELECT chunk.id, chunk.lease_token AS token, job.state IN :active_jobs AS wanted
    FROM chunk JOIN job ON job.id = chunk.job_id
    WHERE
    """,
    _HELD,
    "ORDER BY chunk.id FOR UPDATE OF chunk",
).columns(Chunk.id, column("token", Uuid), column("wanted", Boolean))

#: Queue the chunks that are still leased under ``:tokens``, with one attempt less.
RELEASE = statement(
    "WITH held AS (SELECT id FROM chunk WHERE",
    _HELD,
    """
        ORDER BY id FOR UPDATE
    )
    UPDATE chunk SET state = :chunk_queued, attempt = attempt - 1, lease_token = NULL, lease_until = NULL,
        worker_id = NULL, hinted_at = NULL, not_before = now() + make_interval(secs => :delay_s)
    FROM held WHERE chunk.id = held.id
    """,
)

#: Mark the chunks that are still leased under ``:tokens`` as done.
FENCE = statement(
    """
    WITH held AS (
        SELECT id FROM chunk WHERE id = ANY(CAST(:ids AS bigint[])) AND state = :chunk_leased ORDER BY id FOR UPDATE
    )
    UPDATE chunk SET state = :chunk_done, lease_token = NULL, lease_until = NULL, hinted_at = NULL,
        finished_at = now(), ok = done.ok, abstained = done.abstained, errors = done.errors
    FROM unnest(CAST(:ids AS bigint[]), CAST(:tokens AS uuid[]),
                CAST(:ok AS int[]), CAST(:abstained AS int[]), CAST(:errors AS int[]))
        AS done (id, token, ok, abstained, errors)
        JOIN held ON held.id = done.id
    WHERE chunk.id = done.id AND chunk.state = :chunk_leased AND chunk.lease_token = done.token
    RETURNING chunk.id, done.token
    """
).columns(Chunk.id, column("token", Uuid))

#: Chunks that may be outstanding: twice what the live bulk workers keep busy with, and ``:least`` at least.
WINDOW = statement(
    """
    SELECT greatest(:least, 2 * coalesce(sum("window"), 0))::int AS places
    FROM worker WHERE role = 'bulk' AND seen_at > now() - make_interval(secs => :timeout_s)
    """
).columns(column("places", Integer))

#: Mark chunks as hinted until ``:window`` chunks are outstanding. ``turn`` is a chunk's place in its job's line behind
#: what the job has outstanding already: taking the lowest turns first gives every job the same share of the window.
TAKE_HINTS = statement(
    """
    WITH outstanding AS (
        SELECT job_id, count(*) AS held FROM chunk
        WHERE state = :chunk_leased OR (state = :chunk_queued AND hinted_at IS NOT NULL)
        GROUP BY job_id
    ), line AS (
        SELECT next.id, coalesce(outstanding.held, 0) + next.place AS turn
        FROM job
        LEFT JOIN outstanding ON outstanding.job_id = job.id
        CROSS JOIN LATERAL (
            SELECT id, row_number() OVER (ORDER BY id) AS place FROM chunk
            WHERE job_id = job.id AND state = :chunk_queued AND hinted_at IS NULL AND
    """,
    _PAUSE_IS_OVER,
    """
            ORDER BY id LIMIT :window
        ) AS next
        WHERE job.state IN :active_jobs
    ), free AS (
        SELECT greatest(:window - coalesce((
            SELECT sum(outstanding.held) FROM outstanding JOIN job ON job.id = outstanding.job_id
            WHERE job.state IN :active_jobs), 0), 0) AS places
    ), taken AS (
        SELECT id FROM line ORDER BY turn, id LIMIT (SELECT places FROM free)
    )
    UPDATE chunk SET hinted_at = now() FROM taken
    WHERE chunk.id = taken.id AND chunk.state = :chunk_queued AND chunk.hinted_at IS NULL
    RETURNING chunk.id
    """,
).columns(Chunk.id)
