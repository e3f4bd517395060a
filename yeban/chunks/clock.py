"""Moments set by the database's clock, which may be set back.

A moment set before the clock was set back would lie in the future until the clock has caught up. This service sets
none further ahead than a quarter of an hour (``YEBAN_LEASE_S`` is bounded accordingly), so a moment further ahead
counts as passed.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, or_
from sqlalchemy.orm import InstrumentedAttribute

from yeban.database.tables import Job

_FURTHEST = timedelta(minutes=15)


def passed(moment: InstrumentedAttribute[datetime | None], *, by_s: float = 0.0) -> ColumnElement[bool]:
    """Condition that ``moment`` passed at least ``by_s`` seconds ago; false where it is NULL."""
    return or_(moment <= func.now() - timedelta(seconds=by_s), moment > func.now() + _FURTHEST)


#: Condition that no worker holds the completion of a job.
COMPLETION_IS_FREE = or_(Job.ender_until.is_(None), passed(Job.ender_until))
