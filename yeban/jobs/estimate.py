"""How long a job would take, from how long jobs like it took lately.

A job's seconds are taken for a part that every job has, and a part for each row; what single jobs took more or less
than that is the range.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from yeban.database.engine import Database
from yeban.jobs import queries

#: How long ago a job may have ended to be measured by, and how many jobs of about one size are looked at, newest first.
LOOKED_BACK_DAYS = 30.0
LOOKED_AT_JOBS = 20
#: Rows of the smallest job that tells how long a row takes; of a smaller one, starting and ending are most of its time.
FEWEST_ROWS = 100
#: Seconds that every job takes beside its rows, where no small job tells: to be taken up, refined and counted.
FIXED_S = 3.0
#: No job is said to take less than from the first to the second of these.
LEAST_S = (2.0, 6.0)

# Jobs with between half and twice as many labels are taken for alike, and of those, jobs of up to ten times the size.
_ALIKE_LABELS = 2.0
_ALIKE_ROWS = 10.0
# Of jobs that are all of another size, as many as these, the nearest first.
_NEAREST = 5
# How far the range reaches from its middle, as a factor: with one job or two, or with jobs of another size; with more
# of them at least, for no machine is as even as two jobs may look; and at most.
_FEW = 2.0
_LEAST = 1.3
_MOST = 2.0
# Student's t for nine in ten, by degrees of freedom from 1 on, and for more of them. Four in five are promised: jobs
# are not as alike as the measure has them.
_STUDENT = (6.31, 2.92, 2.35, 2.13, 2.02, 1.94, 1.89, 1.86, 1.83, 1.81)
_STUDENT_OF_MORE = 1.7


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Seconds from now to a job's end, as a range in which four of five jobs end."""

    low_s: float
    high_s: float
    jobs: int  # measured by
    rows_ahead: int  # rows of other jobs that are done meanwhile, and counted in


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A job that has ended."""

    rows: int
    seconds: float  # from its first chunk's claim to its end
    labels: int


def estimate(database: Database, *, model: str, rows: int, labels: int) -> Estimate | None:
    """How long a job of ``rows`` rows and ``labels`` labels would take with ``model``, if it began now.

    ``None`` where no job of the last :data:`LOOKED_BACK_DAYS` days with that model tells. Whoever's they are, all jobs
    are measured by: no more is told of them than how fast they were.
    """
    with database.begin() as connection:
        found = connection.execute(
            queries.MEASURED, {"model": model, "seconds": LOOKED_BACK_DAYS * 86_400, "jobs": LOOKED_AT_JOBS}
        ).all()
        ahead = connection.scalar(queries.AHEAD, {"rows": rows}) or 0
    measured = [Measured(rows=job.rows, seconds=job.seconds, labels=job.labels) for job in found]
    return estimate_by(measured, rows=rows, labels=labels, rows_ahead=ahead)


def estimate_by(measured: Sequence[Measured], *, rows: int, labels: int, rows_ahead: int = 0) -> Estimate | None:
    """:func:`estimate` from jobs that have ended."""
    small = [job.seconds for job in measured if job.rows < FEWEST_ROWS]
    fixed_s = statistics.median(small) if small else FIXED_S
    alike = [job for job in measured if labels / _ALIKE_LABELS <= job.labels <= labels * _ALIKE_LABELS]
    if _of_size(alike, rows)[0]:
        cases = [alike]
    else:
        # A cross-encoder takes as long as there are labels, an embedding model the same for any number: between them.
        alike = list(measured)
        cases = [alike, [_with_labels(job, labels, fixed_s) for job in alike]]
    near, _ = _of_size(alike, rows)
    if not near:
        return None
    ranges = [_range(case, rows=rows, rows_ahead=rows_ahead, fixed_s=fixed_s) for case in cases]
    return Estimate(
        low_s=max(min(low for low, _ in ranges), LEAST_S[0]),
        high_s=max(*(high for _, high in ranges), LEAST_S[1]),
        jobs=len(near),
        rows_ahead=rows_ahead,
    )


def _of_size(jobs: Sequence[Measured], rows: int) -> tuple[list[Measured], bool]:
    """Those to measure by, and whether they are of about the size. Small jobs tell nothing of large ones."""
    telling = [job for job in jobs if job.rows >= FEWEST_ROWS or rows < FEWEST_ROWS]
    near = [job for job in telling if rows / _ALIKE_ROWS <= job.rows <= rows * _ALIKE_ROWS]
    if near:
        return near, True
    return sorted(telling, key=lambda job: abs(math.log(job.rows / rows)))[:_NEAREST], False


def _with_labels(job: Measured, labels: int, fixed_s: float) -> Measured:
    """The job as it would have been, did each label take its time."""
    of_rows = max(job.seconds - fixed_s, 0.0)
    return replace(job, seconds=job.seconds - of_rows + of_rows * labels / job.labels)


def _range(jobs: Sequence[Measured], *, rows: int, rows_ahead: int, fixed_s: float) -> tuple[float, float]:
    near, of_its_size = _of_size(jobs, rows)
    paced = [job for job in jobs if job.rows >= FEWEST_ROWS]
    # The longest jobs tell best how long a row takes.
    row_s = _middle([(max(job.seconds - fixed_s, 0.0) / job.rows, job.rows) for job in paced]) if paced else 0.0
    row_s = max(row_s, 1e-6)
    fixed_s = max(fixed_s, 1e-3)
    # What they took, as factors of what they ought to have.
    logs = [(math.log(job.seconds / (fixed_s + row_s * job.rows)), job.rows) for job in near]
    middle = _middle(logs)
    factor = _FEW
    weight = sum(weight for _, weight in logs)
    effective = weight**2 / sum(weight**2 for _, weight in logs)
    if len(near) > 2 and of_its_size:
        spread = math.sqrt(sum(weight * (log - middle) ** 2 for log, weight in logs) / weight)
        degrees = max(round(effective) - 1, 1)
        student = _STUDENT[degrees - 1] if degrees <= len(_STUDENT) else _STUDENT_OF_MORE
        factor = math.exp(student * spread * math.sqrt(1 + 1 / degrees))
        factor = min(max(factor, _LEAST), _MOST)
    seconds = (fixed_s + row_s * (rows + rows_ahead)) * math.exp(middle)
    return seconds / factor, seconds * factor


def _middle(weighted: Sequence[tuple[float, float]]) -> float:
    """The weighted median."""
    half = sum(weight for _, weight in weighted) / 2
    passed = 0.0
    for value, weight in sorted(weighted):
        passed += weight
        if passed >= half:
            return value
    raise ValueError("nothing is weighed")
