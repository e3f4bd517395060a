"""Distribution of a job's labels and scores, while it runs and afterwards."""

from __future__ import annotations

from dataclasses import dataclass

from yeban.database.engine import Database
from yeban.jobs.views import JobView
from yeban.labels import Status
from yeban.results import queries

#: Equal parts of [0, 1] in which scores are counted.
BINS = 20
#: First rows of the file that are counted before a job is completed, so that polling a large job costs no more.
LOOKED_AT_ROWS = 20_000

_LOOKED_AT_SCORES = 400_000  # of multi-label jobs, where every score counts
_FEWEST_ROWS = 200


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """Counts of ``rows`` rows by label, status and score.

    If ``whole``, they count the effective labels of every row; else the row labels of the first rows of the file that
    have a result.
    """

    rows: int
    whole: bool
    labels: dict[str, int]  # in the order of the label set
    abstained: int
    errors: int
    scores: tuple[int, ...]  # by :data:`BINS` equal parts of [0, 1]; rows that have a score


def distribution(database: Database, job: JobView) -> Distribution:
    """Read it from the summary of a completed job, else count the first :data:`LOOKED_AT_ROWS` rows."""
    if (summary := job.summary) is not None:
        return Distribution(
            rows=summary.rows,
            whole=True,
            labels={name: summary.labels[name] for name in job.label_set.names},  # JSONB has an order of its own
            abstained=summary.abstained,
            errors=summary.errors,
            scores=summary.scores,
        )
    return _of_first_rows(database, job)


def _of_first_rows(database: Database, job: JobView) -> Distribution:
    label_set = job.label_set
    names = label_set.names
    last = LOOKED_AT_ROWS
    if label_set.multi_label:
        last = min(last, max(_FEWEST_ROWS, _LOOKED_AT_SCORES // len(names)))
    counts = dict.fromkeys(Status, 0)
    labels = dict.fromkeys(names, 0)
    scores = [0] * BINS
    values = {"job": job.internal_id, "last": last}
    with database.begin() as connection:
        for status, label, place, count in connection.execute(queries.FIRST_SCORES, values):
            counts[Status(status)] += count
            if place is not None:
                scores[place - 1] += count
            if status == Status.OK and not label_set.multi_label:
                labels[names[label]] += count
        if label_set.multi_label:
            for label, count in connection.execute(
                queries.FIRST_ASSIGNED, values | {"threshold": label_set.effective_threshold}
            ):
                labels[names[label]] += count
    return Distribution(
        rows=sum(counts.values()),
        whole=False,
        labels=labels,
        abstained=counts[Status.ABSTAINED],
        errors=counts[Status.ERROR],
        scores=tuple(scores),
    )
