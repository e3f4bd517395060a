"""The states of jobs and chunks, and the ways between them."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands."""

    SCHEDULED = "scheduled"  # waits for its start time
    QUEUED = "queued"  # ready, nothing claimed yet
    RUNNING = "running"  # at least one chunk was claimed
    FINISHING = "finishing"  # every chunk is done; the summary is being made
    COMPLETED = "completed"  # every row is tagged or abstained
    COMPLETED_WITH_ERRORS = "completed_with_errors"  # as completed, but some rows are error results
    PAUSED = "paused"  # nothing new is claimed until resumed
    CANCELLING = "cancelling"  # nothing new is claimed; claimed chunks may still finish
    CANCELLED = "cancelled"  # stopped by a person; finished rows are kept
    FAILED = "failed"  # cannot go on; ``error`` says why
    EXPIRED = "expired"  # not done before its ``expires_at``


class ChunkState(StrEnum):
    """Where a chunk stands."""

    QUEUED = "queued"  # to be claimed
    LEASED = "leased"  # a worker has it, until the lease runs out
    DONE = "done"  # one result a row is stored


#: Only chunks of these jobs are hinted and claimed.
ACTIVE = frozenset({JobState.QUEUED, JobState.RUNNING})

#: Jobs that will not change by themselves any more.
ENDED = frozenset(
    {
        JobState.COMPLETED,
        JobState.COMPLETED_WITH_ERRORS,
        JobState.CANCELLED,
        JobState.FAILED,
        JobState.EXPIRED,
    }
)

PAUSABLE = frozenset({JobState.SCHEDULED, JobState.QUEUED, JobState.RUNNING})
CANCELLABLE = frozenset({JobState.SCHEDULED, JobState.QUEUED, JobState.RUNNING, JobState.PAUSED})
#: Whatever stopped with rows missing may be taken up again.
RESUMABLE = frozenset({JobState.PAUSED, JobState.CANCELLING, JobState.CANCELLED, JobState.FAILED, JobState.EXPIRED})
#: Jobs that may be refined once more, if their embeddings were kept.
REFINABLE = frozenset({JobState.COMPLETED, JobState.COMPLETED_WITH_ERRORS})
