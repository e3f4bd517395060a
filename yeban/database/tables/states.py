"""The states of jobs and chunks, the transitions between them, and states as constants of SQL statements."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

from sqlalchemy import BindParameter, TextClause, bindparam, literal, text

from yeban.errors import Message, msg


class JobState(StrEnum):
    """The state of a job."""

    SCHEDULED = "scheduled"  # waits for its start time
    QUEUED = "queued"  # ready, nothing claimed yet
    RUNNING = "running"  # at least one chunk was claimed
    FINISHING = "finishing"  # every chunk is done; the job is refined and summarized
    COMPLETED = "completed"  # every row is tagged or abstained
    COMPLETED_WITH_ERRORS = "completed_with_errors"  # as completed, but some rows are error results
    PAUSED = "paused"  # nothing new is claimed until resumed
    CANCELLING = "cancelling"  # nothing new is claimed; claimed chunks may still finish
    CANCELLED = "cancelled"  # stopped by a person; finished rows are kept
    FAILED = "failed"  # cannot continue; ``error`` has the reason
    EXPIRED = "expired"  # not completed before its ``expires_at``

    @property
    def message(self) -> Message:
        """The state in a word or two."""
        return _STATE_MESSAGES[self]


_STATE_MESSAGES = {
    JobState.SCHEDULED: msg("scheduled"),
    JobState.QUEUED: msg("queued"),
    JobState.RUNNING: msg("running"),
    JobState.FINISHING: msg("finishing"),
    JobState.COMPLETED: msg("completed"),
    JobState.COMPLETED_WITH_ERRORS: msg("completed with errors"),
    JobState.PAUSED: msg("paused"),
    JobState.CANCELLING: msg("cancelling"),
    JobState.CANCELLED: msg("cancelled"),
    JobState.FAILED: msg("failed"),
    JobState.EXPIRED: msg("expired"),
}


class ChunkState(StrEnum):
    """The state of a chunk."""

    QUEUED = "queued"  # to be claimed
    LEASED = "leased"  # a worker has it, until the lease runs out
    DONE = "done"  # one result a row is stored


#: Only chunks of these jobs are hinted and claimed.
ACTIVE = frozenset({JobState.QUEUED, JobState.RUNNING})

#: Jobs in these states change only when a person asks for it.
FINISHED = frozenset(
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
#: Jobs that expire once their ``expires_at`` has passed.
EXPIRABLE = CANCELLABLE
#: Jobs that stopped with rows missing.
RESUMABLE = frozenset({JobState.PAUSED, JobState.CANCELLING, JobState.CANCELLED, JobState.FAILED, JobState.EXPIRED})
#: Jobs that may be refined once more, if their embeddings were kept.
REFINABLE = frozenset({JobState.COMPLETED, JobState.COMPLETED_WITH_ERRORS})
#: Jobs that a worker may finish once every chunk is done.
FINISHABLE = ACTIVE | {JobState.FINISHING}


# PostgreSQL matches the conditions of partial indexes with constants only, so a state is never a bound parameter.
def constant(state: StrEnum) -> BindParameter[str]:
    """Render a state as a constant of a Core statement."""
    return literal(state.value, literal_execute=True)


def constants(states: Iterable[StrEnum], name: str | None = None) -> BindParameter[list[str]]:
    """Render states as a list of constants, for ``in_()``."""
    return bindparam(name, sorted(state.value for state in states), expanding=True, literal_execute=True)


_STATES = {f"job_{state.value}": state.value for state in JobState} | {
    f"chunk_{state.value}": state.value for state in ChunkState
}
_SETS = {"active_jobs": ACTIVE, "refinable_jobs": REFINABLE}


def statement(*parts: str) -> TextClause:
    """Join constant parts of SQL into a statement; states in it are named parameters.

    The names are ``:chunk_queued``, ``:job_running`` and so on, and ``:active_jobs`` and ``:refinable_jobs`` after
    ``IN``. No part holds a value.
    """
    sql = "\n".join(parts)
    named = set(re.findall(r":(\w+)", sql))
    return text(sql).bindparams(
        *(bindparam(name, _STATES[name], literal_execute=True) for name in named & _STATES.keys()),
        *(constants(_SETS[name], name) for name in named & _SETS.keys()),
    )
