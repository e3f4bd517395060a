"""What webhooks are told: the events, and the bodies that tell them. No text of a ticket is in any."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from yeban.database.tables.states import ENDED, JobState


class Event(StrEnum):
    """What happened."""

    JOB_COMPLETED = "job.completed"  # every row is tagged or abstained
    JOB_COMPLETED_WITH_ERRORS = "job.completed_with_errors"  # as completed, but some rows could not be scored
    JOB_FAILED = "job.failed"  # it cannot go on
    JOB_CANCELLED = "job.cancelled"  # a person stopped it
    JOB_EXPIRED = "job.expired"  # it was not done in time
    TEST = "webhook.test"  # a person tries the webhook


#: The event that tells each final state.
EVENT_OF: dict[JobState, Event] = {state: Event(f"job.{state.value}") for state in ENDED}


def payload(event: Event, happened_at: datetime, data: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a message before it is written out."""
    return {"type": event.value, "timestamp": happened_at.isoformat(), "data": dict(data)}


def body(content: Mapping[str, Any]) -> bytes:
    """A payload as it is signed and sent: JSON in ASCII, the same bytes at every try."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
