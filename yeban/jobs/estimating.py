"""How long a job would take, from how fast jobs like it were lately."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from yeban.db import Database

#: How long ago a job may have ended to be measured by, and how many jobs are looked at, newest first.
LOOKED_BACK_DAYS = 30.0
LOOKED_AT_JOBS = 50
#: Rows of the smallest job that is measured by; of a smaller one, starting and ending are most of its time.
FEWEST_ROWS = 100

# Jobs with between half and twice as many labels are taken for alike.
_ALIKE = 2.0
# The range is at least this wide on either side of the median: no machine is as even as two jobs may look.
_SPREAD = 1.25

# Without jobs that were paused, cancelled or taken up again: their time is not the workers'.
_MEASURED = text(
    """
    SELECT row_count / extract(epoch FROM ended_at - running_at)::float AS rows_per_s,
        jsonb_array_length(label_set -> 'labels') AS labels
    FROM job
    WHERE model = :model AND state IN ('completed', 'completed_with_errors') AND row_count >= :fewest
        AND ended_at > now() - make_interval(secs => :seconds) AND ended_at > running_at
        AND paused_at IS NULL AND cancelling_at IS NULL AND queued_at <= running_at
    ORDER BY id DESC LIMIT :jobs
    """
)
# Jobs take turns chunk by chunk, so one that is longer than ours holds it up by no more than our own length.
_AHEAD = text(
    """
    SELECT coalesce(sum(least(open.rows, :rows)), 0)::bigint
    FROM job CROSS JOIN LATERAL (
        SELECT sum(last_row - first_row + 1) AS rows FROM chunk WHERE job_id = job.id AND state <> 'done'
    ) AS open
    WHERE job.state IN ('queued', 'running') AND deleted_at IS NULL
    """
)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Seconds from now to a job's end, as a range: half of the jobs measured were between its ends."""

    low_s: float
    high_s: float
    jobs: int  # measured by
    rows_ahead: int  # rows of other jobs that are done meanwhile, and counted in


def estimate(database: Database, *, model: str, rows: int, labels: int) -> Estimate | None:
    """How long a job of ``rows`` rows and ``labels`` labels would take with ``model``, if it began now.

    ``None`` where no job of the last :data:`LOOKED_BACK_DAYS` days with that model tells. Whoever's they are, all jobs
    are measured by: no more is told of them than how fast they were.
    """
    with database.begin() as connection:
        measured = connection.execute(
            _MEASURED,
            {
                "model": model,
                "fewest": FEWEST_ROWS,
                "seconds": LOOKED_BACK_DAYS * 86_400,
                "jobs": LOOKED_AT_JOBS,
            },
        ).all()
        ahead = connection.scalar(_AHEAD, {"rows": rows}) or 0
    if not measured:
        return None
    alike = [job.rows_per_s for job in measured if labels / _ALIKE <= job.labels <= labels * _ALIKE]
    # A cross-encoder takes as long as there are labels, an embedding model the same for any number: between the two.
    rates = alike or [rate for job in measured for rate in (job.rows_per_s, job.rows_per_s * job.labels / labels)]
    slow, fast = _between(rates)
    return Estimate(
        low_s=(rows + ahead) / fast,
        high_s=(rows + ahead) / slow,
        jobs=len(alike) or len(measured),
        rows_ahead=ahead,
    )


def _between(rates: Sequence[float]) -> tuple[float, float]:
    """The outer quartiles, at least :data:`_SPREAD` from the median."""
    lower, median, upper = statistics.quantiles([*rates, *rates], n=4, method="inclusive")
    return min(lower, median / _SPREAD), max(upper, median * _SPREAD)
