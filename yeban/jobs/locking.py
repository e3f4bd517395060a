"""Locks of jobs: other changes of a locked job, and claims of its chunks, wait."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import Connection, select

from yeban.accounts.viewer import Viewer, visible
from yeban.database.tables import Job
from yeban.database.tables.states import JobState
from yeban.errors import NotFound, msg


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedJob:
    """The internal number of a job and its state, which stays the same to the end of the transaction."""

    id: int
    state: JobState


def lock_job(connection: Connection, public_id: uuid.UUID, *, viewer: Viewer) -> LockedJob:
    """Lock a job to the end of the transaction.

    Raises ``NotFound``, also for a deleted job and for one that ``viewer`` may not see.
    """
    job = connection.execute(
        select(Job.id, Job.state)
        .where(Job.public_id == public_id, visible(viewer, owner=Job.owner, team=Job.team), Job.deleted_at.is_(None))
        .with_for_update()
    ).one_or_none()
    if job is None:
        raise NotFound(
            msg(
                "The job %(public_id)s does not exist, or you do not have access to it. To see a colleague's job, "
                "ask them to add you to their team.",
                public_id=public_id,
            ),
            job_id=str(public_id),
        )
    return LockedJob(id=job.id, state=JobState(job.state))
