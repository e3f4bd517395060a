"""Announcements: one delivery per finished job and webhook.

Any number of workers may announce at once. One transaction creates the deliveries and marks the job as announced, so
each webhook gets each end exactly once even if a worker dies.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, and_, exists, func, insert, or_, select, update

from yeban.accounts.people import Role
from yeban.database.engine import Database
from yeban.database.tables import Account, Chunk, Job, Webhook, WebhookDelivery
from yeban.database.tables.states import FINISHED, ChunkState, JobState
from yeban.webhooks.events import EVENT_OF, payload

_BATCH = 100

# A job that is refined again keeps the time of its first end while it is `finishing`: that end is announced once.
_UNANNOUNCED = (
    select(
        Job.id,
        Job.public_id,
        Job.owner,
        Job.team,
        Job.state,
        Job.row_count,
        Job.model,
        Job.created_at,
        Job.ended_at,
        Job.summary,
    )
    .where(
        Job.ended_at.is_not(None),
        or_(Job.announced_at.is_(None), Job.announced_at < Job.ended_at),
        Job.state.in_(sorted(FINISHED)),
    )
    .order_by(Job.id)
    .limit(_BATCH)
    .with_for_update(key_share=True, skip_locked=True)
)
_COUNTS = (
    func.coalesce(func.sum(Chunk.last_row - Chunk.first_row + 1), 0).label("done"),
    func.coalesce(func.sum(Chunk.ok), 0).label("ok"),
    func.coalesce(func.sum(Chunk.abstained), 0).label("abstained"),
    func.coalesce(func.sum(Chunk.errors), 0).label("errors"),
)


def announce(database: Database) -> int:
    """Create the deliveries of every unannounced end. Returns the number created.

    Raises :class:`~yeban.errors.ServiceUnavailable` if the database is away.
    """
    created = 0
    while True:
        with database.begin() as connection:
            jobs = connection.execute(_UNANNOUNCED).all()
            if jobs:
                created += sum(_enter(connection, job) for job in jobs)
                _mark_announced(connection, [job.id for job in jobs])
        if len(jobs) < _BATCH:
            return created


def _enter(connection: Connection, job: Row[*tuple[Any, ...]]) -> int:
    """Create one delivery for each webhook that reports ``job``. Returns the number created."""
    webhooks = _webhooks_of(connection, job)
    if webhooks:
        event = EVENT_OF[JobState(job.state)]
        content = payload(event, job.ended_at, _facts(connection, job))
        connection.execute(
            insert(WebhookDelivery).values(job_id=job.id, event=event, payload=content, next_at=func.now()),
            [{"webhook_id": webhook_id} for webhook_id in webhooks],
        )
    return len(webhooks)


def _mark_announced(connection: Connection, job_ids: list[int]) -> None:
    # Not before the end, even if the clock was set back since: the job would be announced for ever.
    announced_at = func.greatest(func.now(), Job.ended_at)
    connection.execute(update(Job).where(Job.id.in_(job_ids)).values(announced_at=announced_at))


def _webhooks_of(connection: Connection, job: Row[*tuple[Any, ...]]) -> list[int]:
    """Keys of the webhooks that report ``job``.

    A webhook that is being deleted is locked, and skipped. The creator of a webhook knows its URL and secret. So it
    stops when their account is disabled or, for a team's, when they leave the team.
    """
    wants_job = or_(
        and_(Webhook.team != "", Webhook.team == job.team), and_(Webhook.team == "", Webhook.owner == job.owner)
    )
    creator_may_know = exists().where(
        Account.name == Webhook.owner,
        Account.disabled_at.is_(None),
        or_(Webhook.team.in_(["", Account.team]), Account.role == Role.ADMIN),
    )
    statement = select(Webhook.id).where(wants_job, or_(Webhook.owner == "", creator_may_know)).order_by(Webhook.id)
    return list(connection.scalars(statement.with_for_update(read=True, key_share=True, skip_locked=True)))


def _facts(connection: Connection, job: Row[*tuple[Any, ...]]) -> dict[str, Any]:
    """The data of an event, without file name and failure reason: both may quote tickets."""
    finished = select(*_COUNTS).where(Chunk.job_id == job.id, Chunk.state == ChunkState.DONE)
    done = connection.execute(finished).one()
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
