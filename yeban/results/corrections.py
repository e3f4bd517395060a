"""Corrections: labels that people give rows. They override predictions, and later refinements learn from them."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, and_, delete, func, literal, select, update
from sqlalchemy import Row as Found
from sqlalchemy.dialects.postgresql import insert

from yeban.accounts.viewer import Viewer, visible
from yeban.database.engine import Database
from yeban.database.tables import Correction as CorrectedRow
from yeban.database.tables import Job, Result, Row
from yeban.database.tables.states import REFINABLE, JobState, constant
from yeban.errors import Conflict, InvalidRequest, Message, NotFound, msg
from yeban.jobs.reports import RefinementReport, Summary
from yeban.jobs.views import JobView
from yeban.labels import LabelSet, Status
from yeban.results import queries, rows
from yeban.results.rows import TaggedRow

#: Rows that one call may correct.
MAX_CORRECTIONS = 1_000
MAX_AUTHOR_CHARS = 200
#: First rows of a file, among which the least certain are suggested for a job without refinement.
LOOKED_AT_ROWS = 20_000

_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Changed:
    """Counts of rows whose correction changed."""

    stored: int
    removed: int


@dataclass(frozen=True, slots=True)
class Correction:
    """The labels that a person gave a row; empty where no label fits."""

    row_no: int
    file_row: int
    text: str
    labels: tuple[str, ...]
    author: str
    made_at: datetime


def correct(
    database: Database,
    public_id: uuid.UUID,
    corrections: Mapping[int, Sequence[str] | None],
    *,
    author: str = "",
    viewer: Viewer,
) -> Changed:
    """Correct the labels of rows, by row number; all of them, or none if one is invalid.

    An empty sequence means that no label fits; ``None`` removes an earlier correction. The counts in the summary of a
    completed job follow at once, its evaluation with the next refinement. Repeating a call changes nothing more.

    Raises ``NotFound``; ``InvalidRequest`` for more than :data:`MAX_CORRECTIONS`, for rows or labels that the job does
    not have, and for more labels than a row can have; ``Conflict`` for rows that have no result yet.
    """
    if not 1 <= len(corrections) <= MAX_CORRECTIONS:
        raise InvalidRequest(
            msg(
                "The request has %(count)s corrections. Send 1 to %(max_corrections)s at a time.",
                count=len(corrections),
                max_corrections=MAX_CORRECTIONS,
            ),
            field="corrections",
            limit=MAX_CORRECTIONS,
        )
    if len(author) > MAX_AUTHOR_CHARS or "\x00" in author:
        raise InvalidRequest(
            msg(
                "The author must have at most %(max_author_chars)s characters, and no NUL.",
                max_author_chars=MAX_AUTHOR_CHARS,
            ),
            field="author",
        )
    with database.begin() as connection:
        # Serializes the corrections of a job with each other and with its completion.
        job = connection.execute(
            select(Job.id, Job.state, Job.label_set, Job.row_count, Job.summary)
            .where(
                Job.public_id == public_id, visible(viewer, owner=Job.owner, team=Job.team), Job.deleted_at.is_(None)
            )
            # Not FOR UPDATE, which would keep results of the job from being stored meanwhile.
            .with_for_update(key_share=True)
        ).one_or_none()
        if job is None:
            raise NotFound(
                msg(
                    "The job %(public_id)s does not exist, or you do not have access to it. To see a colleague's "
                    "job, ask them to add you to their team.",
                    public_id=public_id,
                ),
                job_id=str(public_id),
            )
        label_set = LabelSet.from_json(job.label_set)
        wanted = _numbered(label_set, job.row_count, corrections)
        before = _effective(connection, job.id, label_set, wanted)
        if missing := sorted(wanted.keys() - before.keys()):
            raise Conflict(
                msg("Row %(row)s has no result yet. Correct rows that are finished.", row=missing[0])
                if len(missing) == 1
                else msg("Rows %(rows)s have no result yet. Correct rows that are finished.", rows=_listed(missing)),
                row=missing[0],
                state=job.state,
            )
        stored = {
            row_no: labels
            for row_no, labels in wanted.items()
            if labels is not None and before[row_no].corrected != labels
        }
        removed = [
            row_no for row_no, labels in wanted.items() if labels is None and before[row_no].corrected is not None
        ]
        if stored:
            connection.execute(
                _STORE,
                [
                    {"job_id": job.id, "row_no": row_no, "labels": labels, "author": author}
                    for row_no, labels in sorted(stored.items())
                ],
            )
        if removed:
            connection.execute(
                delete(CorrectedRow).where(CorrectedRow.job_id == job.id, CorrectedRow.row_no.in_(removed))
            )
        if job.summary is not None and (stored or removed):
            after = _effective(connection, job.id, label_set, wanted)
            _recount(connection, job, label_set.names, before.values(), after.values())
    return Changed(stored=len(stored), removed=len(removed))


def list_corrections(database: Database, job: JobView, *, after: int = 0, limit: int = 100) -> list[Correction]:
    """Read up to ``limit`` corrections of rows numbered over ``after``, in file order."""
    names = job.label_set.names
    with database.begin() as connection:
        found = connection.execute(
            select(
                CorrectedRow.row_no,
                Row.file_row,
                Row.text,
                CorrectedRow.labels,
                CorrectedRow.author,
                CorrectedRow.made_at,
            )
            .join(Row, and_(Row.job_id == CorrectedRow.job_id, Row.row_no == CorrectedRow.row_no))
            # A cursor may hold a number above the column's type.
            .where(CorrectedRow.job_id == job.internal_id, CorrectedRow.row_no > literal(after, BigInteger))
            .order_by(CorrectedRow.row_no)
            .limit(limit)
        ).all()
    return [
        Correction(
            row_no=row.row_no,
            file_row=row.file_row,
            text=row.text,
            labels=tuple(names[index] for index in row.labels),
            author=row.author,
            made_at=row.made_at,
        )
        for row in found
    ]


def newest(database: Database, job: JobView, limit: int) -> list[TaggedRow]:
    """Read the rows that were corrected last, newest first."""
    with database.begin() as connection:
        row_nos = connection.scalars(
            select(CorrectedRow.row_no)
            .where(CorrectedRow.job_id == job.internal_id)
            .order_by(CorrectedRow.made_at.desc(), CorrectedRow.row_no)
            .limit(limit)
        ).all()
    return rows.rows(database, job, row_nos)


def suggested(database: Database, job: JobView, limit: int, *, skip: int = 0) -> list[TaggedRow]:
    """Read up to ``limit`` uncorrected rows that are worth correcting, the most useful first.

    They are the rows that the job's refinement suggested: uncertain, and similar to many others. Without a refinement,
    they are the rows with the smallest margins among the first :data:`LOOKED_AT_ROWS` of the file, so that a large job
    costs no more than a small one. ``skip`` leaves out the first, which a person left undecided.
    """
    report = job.refinement
    with database.begin() as connection:
        if isinstance(report, RefinementReport):
            chosen = report.suggested
            corrected = set(
                connection.scalars(
                    select(CorrectedRow.row_no).where(
                        CorrectedRow.job_id == job.internal_id, CorrectedRow.row_no.in_(chosen)
                    )
                )
            )
            row_nos = [row_no for row_no in chosen if row_no not in corrected][skip : skip + limit]
        else:
            row_nos = list(
                connection.scalars(
                    select(Result.row_no)
                    .where(
                        Result.job_id == job.internal_id,
                        Result.row_no <= LOOKED_AT_ROWS,
                        Result.status != constant(Status.ERROR),
                        ~rows.is_corrected(),
                    )
                    .order_by(Result.margin, Result.row_no)
                    .limit(limit)
                    .offset(skip)
                )
            )
    return rows.rows(database, job, row_nos)


_INSERT = insert(CorrectedRow)
_STORE = _INSERT.on_conflict_do_update(
    index_elements=[CorrectedRow.job_id, CorrectedRow.row_no],
    set_={"labels": _INSERT.excluded.labels, "author": _INSERT.excluded.author, "made_at": func.now()},
)


def _numbered(
    label_set: LabelSet, row_count: int, corrections: Mapping[int, Sequence[str] | None]
) -> dict[int, list[int] | None]:
    """Check the labels and turn them into indexes into the label set."""
    if strange := sorted(row_no for row_no in corrections if not 1 <= row_no <= row_count):
        raise InvalidRequest(
            msg("The job has no row %(row)s; its rows are 1 to %(row_count)s.", row=strange[0], row_count=row_count)
            if len(strange) == 1
            else msg(
                "The job has no rows %(rows)s; its rows are 1 to %(row_count)s.",
                rows=_listed(strange),
                row_count=row_count,
            ),
            field="corrections",
            row=strange[0],
        )
    indices = {name: index for index, name in enumerate(label_set.names)}
    numbered: dict[int, list[int] | None] = {}
    for row_no, labels in corrections.items():
        if labels is None:
            numbered[row_no] = None
            continue
        if unknown := [name for name in labels if name not in indices]:
            listed = ", ".join(f"“{name[:50]}”" for name in unknown[:_SHOWN])
            raise InvalidRequest(
                msg(
                    "Row %(row_no)s: the job has no label %(label)s. Write labels exactly as in the job.",
                    row_no=row_no,
                    label=listed,
                ),
                field="corrections",
                row=row_no,
                label=unknown[0][:200],
            )
        if len(set(labels)) < len(labels):
            raise InvalidRequest(
                msg("Row %(row_no)s: a label appears twice. Give each label once.", row_no=row_no),
                field="corrections",
                row=row_no,
            )
        if len(labels) > 1 and not label_set.multi_label:
            raise InvalidRequest(
                msg(
                    "Row %(row_no)s: %(count)s labels are given, but each row of this job has one label.",
                    row_no=row_no,
                    count=len(labels),
                ),
                field="corrections",
                row=row_no,
            )
        numbered[row_no] = [indices[name] for name in labels]
    return numbered


def _effective(
    connection: Connection, job_id: int, label_set: LabelSet, row_nos: Collection[int]
) -> dict[int, Found[Any]]:
    """Read the effective results of the rows that have one."""
    found = connection.execute(
        queries.EFFECTIVE,
        {
            "id": job_id,
            "row_nos": sorted(row_nos),
            "multi_label": label_set.multi_label,
            "threshold": label_set.effective_threshold,
        },
    )
    return {row.row_no: row for row in found}


def _recount(
    connection: Connection,
    job: Found[Any],
    names: Sequence[str],
    before: Collection[Found[Any]],
    after: Collection[Found[Any]],
) -> None:
    """Update the counts of a completed job by the difference, without counting its rows again."""
    summary = Summary.from_json(job.summary)
    counts = {Status.OK: summary.ok, Status.ABSTAINED: summary.abstained, Status.ERROR: summary.errors}
    labels, scores = dict(summary.labels), list(summary.scores)
    for step, effective in ((-1, before), (1, after)):
        for row in effective:
            counts[Status(row.status)] += step
            for index in row.assigned:
                labels[names[index]] += step
            if row.bin is not None:
                scores[row.bin - 1] += step
    summary = replace(
        summary,
        ok=counts[Status.OK],
        abstained=counts[Status.ABSTAINED],
        errors=counts[Status.ERROR],
        labels=labels,
        scores=tuple(scores),
    )
    state = job.state
    if state in REFINABLE:
        state = JobState.COMPLETED_WITH_ERRORS if summary.errors else JobState.COMPLETED
    connection.execute(update(Job).where(Job.id == job.id).values(summary=summary.to_json(), state=state))


def _listed(row_nos: Sequence[int]) -> str | Message:
    """List the first row numbers and the number of the rest."""
    listed = ", ".join(map(str, row_nos[:_SHOWN]))
    return (
        listed
        if len(row_nos) <= _SHOWN
        else msg("%(rows)s and %(count)s more", rows=listed, count=len(row_nos) - _SHOWN)
    )
