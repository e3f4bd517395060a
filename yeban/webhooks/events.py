"""Events and message bodies. They contain no ticket text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from yeban.database.tables.states import FINISHED, JobState


class Event(StrEnum):
    """The type of an event."""

    JOB_COMPLETED = "job.completed"  # every row is labelled or abstained
    JOB_COMPLETED_WITH_ERRORS = "job.completed_with_errors"  # some rows could not be scored
    JOB_FAILED = "job.failed"  # it cannot continue
    JOB_CANCELLED = "job.cancelled"  # a person stopped it
    JOB_EXPIRED = "job.expired"  # it was not completed before its deadline
    TEST = "webhook.test"  # a person tests the webhook


#: Event for each final state.
EVENT_OF: dict[JobState, Event] = {state: Event(f"job.{state.value}") for state in FINISHED}


def payload(event: Event, happened_at: datetime, data: Mapping[str, Any]) -> dict[str, Any]:
    """Build the body of a message."""
    return {"type": event.value, "timestamp": happened_at.isoformat(), "data": dict(data)}


def body(content: Mapping[str, Any]) -> bytes:
    """Serialise a payload to ASCII JSON, the same bytes at every attempt."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
