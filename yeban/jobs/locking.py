"""Holding a job while it is changed, so that whoever else would change it, or claim of it, waits."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import Connection, text

from yeban.accounts.viewer import VISIBLE, Viewer
from yeban.database.tables.states import JobState
from yeban.errors import NotFound, msg


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedJob:
    """A job's internal number, and the state that it stays in until the transaction ends."""

    id: int
    state: JobState


def lock_job(connection: Connection, public_id: uuid.UUID, *, viewer: Viewer) -> LockedJob:
    """Lock a job to the end of the transaction. Raises ``NotFound``, also for someone else's and a deleted one."""
    job = connection.execute(
        text(
            "SELECT id, state FROM job"  # noqa: S608  # a constant
            f" WHERE public_id = :id AND {VISIBLE} AND deleted_at IS NULL FOR UPDATE"
        ),
        {"id": public_id, **viewer.parameters},
    ).one_or_none()
    if job is None:
        raise NotFound(msg("There is no job %(public_id)s.", public_id=public_id), job_id=str(public_id))
    return LockedJob(id=job.id, state=JobState(job.state))
