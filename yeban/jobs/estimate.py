"""Estimate of a job's duration from the durations of recent similar jobs.

The duration is modelled as a fixed part and a part for each row. The spread of single jobs around it gives the range.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from yeban.database.engine import Database
from yeban.jobs import queries

#: Days that finished jobs are looked back for, and the number of jobs of each size, newest first.
LOOKED_BACK_DAYS = 30.0
LOOKED_AT_JOBS = 20
#: Rows of the smallest job that is used for the time of a row; smaller jobs spend most of their time on the fixed part.
FEWEST_ROWS = 100
#: Fixed seconds of a job where no small job was measured: for the claim, the refinement and the summary.
FIXED_S = 3.0
#: The smallest range that is estimated, in seconds.
LEAST_S = (2.0, 6.0)

# Similar jobs have between half and twice as many labels, and between a tenth and ten times the rows.
_ALIKE_LABELS = 2.0
_ALIKE_ROWS = 10.0
# Number of jobs used where all are of another size, the nearest first.
_NEAREST = 5
# Factors from the middle of the range to its ends: with one or two jobs or jobs of another size, and the least and the
# greatest factor with more jobs.
_FEW = 2.0
_LEAST = 1.3
_MOST = 2.0
# Student's t for 90%, by degrees of freedom from 1 on, and for more of them. The range promises 80%, since jobs differ
# more than the model assumes.
_STUDENT = (6.31, 2.92, 2.35, 2.13, 2.02, 1.94, 1.89, 1.86, 1.83, 1.81)
_STUDENT_OF_MORE = 1.7


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Seconds until a job finishes, as a range that holds for four of five jobs."""

    low_s: float
    high_s: float
    jobs: int  # that were measured
    rows_ahead: int  # rows of other jobs that are scored meanwhile, included in the range


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Measurement of a finished job."""

    rows: int
    seconds: float  # from the first claim to completion
    labels: int


def estimate(database: Database, *, model: str, rows: int, labels: int) -> Estimate | None:
    """Estimate the duration of a job of ``rows`` rows and ``labels`` labels that starts now.

    Returns ``None`` if no job with that model finished in the last :data:`LOOKED_BACK_DAYS` days. Jobs of all owners
    are measured; the estimate reveals only their speed.
    """
    with database.begin() as connection:
        found = connection.execute(
            queries.MEASURED, {"model": model, "seconds": LOOKED_BACK_DAYS * 86_400, "jobs": LOOKED_AT_JOBS}
        ).all()
        ahead = connection.scalar(queries.AHEAD, {"rows": rows}) or 0
    measured = [Measured(rows=job.rows, seconds=job.seconds, labels=job.labels) for job in found]
    return estimate_by(measured, rows=rows, labels=labels, rows_ahead=ahead)


def estimate_by(measured: Sequence[Measured], *, rows: int, labels: int, rows_ahead: int = 0) -> Estimate | None:
    """Estimate from measurements, as :func:`estimate` does."""
    small = [job.seconds for job in measured if job.rows < FEWEST_ROWS]
    fixed_s = statistics.median(small) if small else FIXED_S
    alike = [job for job in measured if labels / _ALIKE_LABELS <= job.labels <= labels * _ALIKE_LABELS]
    if _of_size(alike, rows)[0]:
        cases = [alike]
    else:
        # A cross-encoder's time grows with the labels, an embedding model's does not: the range covers both.
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
    """Choose the jobs to measure by; true if they are of similar size. Small jobs do not predict large ones."""
    telling = [job for job in jobs if job.rows >= FEWEST_ROWS or rows < FEWEST_ROWS]
    near = [job for job in telling if rows / _ALIKE_ROWS <= job.rows <= rows * _ALIKE_ROWS]
    if near:
        return near, True
    return sorted(telling, key=lambda job: abs(math.log(job.rows / rows)))[:_NEAREST], False


def _with_labels(job: Measured, labels: int, fixed_s: float) -> Measured:
    """Scale the job to another number of labels, as if its time grew with them."""
    of_rows = max(job.seconds - fixed_s, 0.0)
    return replace(job, seconds=job.seconds - of_rows + of_rows * labels / job.labels)


def _range(jobs: Sequence[Measured], *, rows: int, rows_ahead: int, fixed_s: float) -> tuple[float, float]:
    near, of_its_size = _of_size(jobs, rows)
    paced = [job for job in jobs if job.rows >= FEWEST_ROWS]
    # Weighted by rows, since long jobs measure the time of a row best.
    row_s = _middle([(max(job.seconds - fixed_s, 0.0) / job.rows, job.rows) for job in paced]) if paced else 0.0
    row_s = max(row_s, 1e-6)
    fixed_s = max(fixed_s, 1e-3)
    # Logarithms of measured by modelled duration.
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
    """Weighted median."""
    half = sum(weight for _, weight in weighted) / 2
    passed = 0.0
    for value, weight in sorted(weighted):
        passed += weight
        if passed >= half:
            return value
    raise ValueError("nothing is weighed")
