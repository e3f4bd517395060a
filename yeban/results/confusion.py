"""Rows of a cell of the confusion matrix: those with one gold label and one predicted label."""

from __future__ import annotations

from dataclasses import dataclass

from yeban.database.engine import Database
from yeban.errors import InvalidRequest, msg
from yeban.jobs.views import JobView
from yeban.results import queries
from yeban.results import rows as results
from yeban.results.rows import TaggedRow

#: Rows of the file that one call searches at most; the next call continues behind them.
LOOKED_AT_ROWS = 200_000

_BLOCK_ROWS = 20_000


@dataclass(frozen=True, kw_only=True)
class Found:
    """Rows in file order; ``next_after`` continues the search, ``None`` at the end of the file."""

    rows: tuple[TaggedRow, ...]
    next_after: int | None


def confused(
    database: Database, job: JobView, *, gold: int | None, predicted: int | None, after: int = 0, limit: int = 25
) -> Found:
    """Find rows numbered over ``after`` with these labels, given as indexes into the label set.

    ``gold`` of ``None`` is a gold label outside the label set, ``predicted`` of ``None`` no label. A call searches
    :data:`LOOKED_AT_ROWS` rows, so it may return fewer than ``limit`` rows although more follow.

    Raises ``InvalidRequest`` for an index out of range, and for a multi-label job.
    """
    label_set = job.label_set
    if label_set.multi_label:
        raise InvalidRequest(msg("A job whose rows can have several labels has no confusion matrix."), field="gold")
    for field, number in (("gold", gold), ("predicted", predicted)):
        if number is not None and not 0 <= number < len(label_set):
            raise InvalidRequest(
                msg(
                    "The job has %(count)s labels, numbered from 0; there is no label %(number)s.",
                    count=len(label_set),
                    number=number,
                ),
                field=field,
            )
    values = {
        "job": job.internal_id,
        "gold": None if gold is None else label_set.names[gold],
        "names": list(label_set.names),
        "label": -1 if predicted is None else predicted,
        "multi_label": False,
        "threshold": label_set.effective_threshold,
    }
    found: list[int] = []
    at, last = after, min(after + LOOKED_AT_ROWS, job.progress.rows)
    with database.begin() as connection:
        while at < last and len(found) <= limit:
            to = min(at + _BLOCK_ROWS, last)
            block = {"after": at, "last": to, "limit": limit + 1 - len(found)}
            found += connection.scalars(queries.CONFUSED, values | block)
            at = to
    if len(found) > limit:
        found = found[:limit]
        next_after: int | None = found[-1]
    else:
        next_after = last if last < job.progress.rows else None
    return Found(rows=tuple(results.rows(database, job, found)), next_after=next_after)
