"""From jobs that have ended to deliveries: one for each webhook that wants to know.

Any worker does it, any number at once. The deliveries are made in the transaction that marks the job as told, so each
end is told exactly once to each webhook, whatever dies in between.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

from yeban.database.engine import Database
from yeban.database.tables.states import ENDED, JobState
from yeban.webhooks.events import EVENT_OF, payload

_BATCH = 100

_ENDED = [state.value for state in sorted(ENDED)]

# A job that is refined again is `finishing` for a while and keeps the time of its end: that is told once.
_UNTOLD = text(
    """
    SELECT id, public_id, owner, team, state, row_count, model, created_at, ended_at, summary FROM job
    WHERE ended_at IS NOT NULL AND (announced_at IS NULL OR announced_at < ended_at) AND state = ANY(:ended)
    ORDER BY id LIMIT :batch FOR NO KEY UPDATE SKIP LOCKED
    """
)
# A webhook that is being deleted is locked, and passed over. Whoever made it knows its URL and secret, so it says
# nothing more once their account is disabled, nor of a team that they have left.
_WANTED_BY = text(
    """
    SELECT id FROM webhook
    WHERE ((team <> '' AND team = :team) OR (team = '' AND owner = :owner)) AND (owner = '' OR EXISTS (
        SELECT FROM account WHERE account.name = webhook.owner AND disabled_at IS NULL
            AND (webhook.team IN ('', account.team) OR role = 'admin')
    ))
    ORDER BY id FOR KEY SHARE SKIP LOCKED
    """
)
_COUNTS = text(
    """
    SELECT coalesce(sum(last_row - first_row + 1), 0) AS done, coalesce(sum(ok), 0) AS ok,
        coalesce(sum(abstained), 0) AS abstained, coalesce(sum(errors), 0) AS errors
    FROM chunk WHERE job_id = :id AND state = 'done'
    """
)
_ENTER = text(
    "INSERT INTO webhook_delivery (webhook_id, job_id, event, payload, next_at)"
    " VALUES (:webhook, :job, :event, CAST(:payload AS jsonb), now())"
)
# Not before the end, even where the clock was set back since: it would be told again and again.
_TOLD = text("UPDATE job SET announced_at = greatest(now(), ended_at) WHERE id = ANY(:ids)")


def announce(database: Database) -> int:
    """Make deliveries of every end that was not told yet; returns how many.

    Raises :class:`~yeban.errors.ServiceUnavailable` if the database is away.
    """
    made = 0
    while True:
        with database.begin() as connection:
            jobs = connection.execute(_UNTOLD, {"ended": _ENDED, "batch": _BATCH}).all()
            if jobs:
                made += sum(_enter(connection, job) for job in jobs)
                connection.execute(_TOLD, {"ids": [job.id for job in jobs]})
        if len(jobs) < _BATCH:
            return made


def _enter(connection: Connection, job: Row[Any]) -> int:
    webhooks: Sequence[int] = connection.scalars(_WANTED_BY, {"owner": job.owner, "team": job.team}).all()
    if not webhooks:
        return 0
    event = EVENT_OF[JobState(job.state)]
    content = json.dumps(payload(event, job.ended_at, _facts(connection, job)))
    connection.execute(
        _ENTER,
        [{"webhook": webhook, "job": job.id, "event": event.value, "payload": content} for webhook in webhooks],
    )
    return len(webhooks)


def _facts(connection: Connection, job: Row[Any]) -> dict[str, Any]:
    """What is told of a job. Not its file's name and not why it failed: either may hold what is in the tickets."""
    done = connection.execute(_COUNTS, {"id": job.id}).one()
    counts = job.summary or done._mapping
    return {
        "id": str(job.public_id),
        "state": job.state,
        "rows": job.row_count,
        "done": done.done,
        **{name: counts[name] for name in ("ok", "abstained", "errors")},
        "model": job.model,
        "created_at": job.created_at.isoformat(),
        "ended_at": job.ended_at.isoformat(),
        "path": f"/api/v1/jobs/{job.public_id}",
    }
