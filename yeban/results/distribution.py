"""How the labels and the scores of a job are distributed, while it runs and at its end."""

from __future__ import annotations

from dataclasses import dataclass

from yeban.database.engine import Database
from yeban.jobs.views import JobView
from yeban.labels import Status
from yeban.results import queries

#: Equal parts of [0, 1] that scores are counted in.
BINS = 20
#: Rows, the first of the file, that are looked at before a job's end: a page that asks again and again must not cost
#: more for a large job.
LOOKED_AT_ROWS = 20_000

_LOOKED_AT_SCORES = 400_000  # where several labels may apply, every score is looked at
_FEWEST_ROWS = 200


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """Counts of ``rows`` rows: by label, without a label, and by score.

    ``whole`` tells that they are of every row and of what finally holds; else they are of the first rows of the file as
    far as they have a result, and of what each says by itself.
    """

    rows: int
    whole: bool
    labels: dict[str, int]  # in the order of the label set
    abstained: int
    errors: int
    scores: tuple[int, ...]  # by :data:`BINS` equal parts of [0, 1]; rows that have a score


def distribution(database: Database, job: JobView) -> Distribution:
    """From the summary of a job that has one, else from its first :data:`LOOKED_AT_ROWS` rows."""
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
