"""Creation of a job, its rows and its chunks in one transaction."""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, func, insert, literal, select, update

from yeban.database.engine import Database, copy_rows
from yeban.database.tables import Chunk, Job
from yeban.database.tables.states import JobState
from yeban.errors import Conflict, InvalidRequest, InvalidTable, msg
from yeban.labels import LabelSet
from yeban.tabular import Row, Table
from yeban.telemetry import metrics, tracing

log = logging.getLogger(__name__)

_ROW_COLUMNS = ("job_id", "row_no", "file_row", "text", "gold", "cells", "problem")
_MAX_KEY_CHARS = 200


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A job to create, without its rows."""

    label_set: LabelSet
    model: str
    source_name: str
    source_sha256: str
    chunk_rows: int
    owner: str
    team: str
    idempotency_key: str | None = None
    start_at: datetime | None = None
    expires_at: datetime | None = None
    refine: bool | None = None  # None refines if labels exclude one another

    def __post_init__(self) -> None:
        if self.idempotency_key is not None and not 1 <= len(self.idempotency_key) <= _MAX_KEY_CHARS:
            raise InvalidRequest(
                msg("An idempotency key must have 1 to %(max_key_chars)s characters.", max_key_chars=_MAX_KEY_CHARS),
                field="Idempotency-Key",
            )
        for moment, name in ((self.start_at, msg("start_at")), (self.expires_at, msg("expires_at"))):
            if moment is not None and moment.tzinfo is None:
                raise InvalidRequest(
                    msg("%(name)s needs a time zone, for example 2026-11-22T22:00:00+08:00.", name=name),
                    field=str(name),
                )
        if self.refine and not self.label_set.refinable:
            raise InvalidRequest(
                msg("Refinement needs at least two mutually exclusive labels. Turn refine off."), field="refine"
            )
        now = datetime.now(UTC)
        if self.expires_at is not None and self.expires_at <= max(now, self.start_at or now):
            raise InvalidRequest(msg("expires_at must be in the future and after start_at."), field="expires_at")

    @property
    def refined(self) -> bool:
        """True if completion refines the job, provided that the file is fit for it."""
        return self.label_set.refinable if self.refine is None else self.refine

    def request_sha256(self, read_options: dict[str, Any]) -> str:
        """Fingerprint of the request; requests with one idempotency key must have the same."""
        request = {
            "labels": self.label_set.to_json(),
            "model": self.model,
            "source": [self.source_name, self.source_sha256],
            "read": read_options,
            "times": [moment.isoformat() if moment else None for moment in (self.start_at, self.expires_at)],
            "refine": self.refined,
        }
        return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Created:
    """A created job; ``replayed`` is true if an earlier request with the same key created it."""

    public_id: uuid.UUID
    replayed: bool


def find_replay(database: Database, new: NewJob, request_sha256: str) -> Created | None:
    """Find the job that an earlier request with the same idempotency key created.

    Raises :class:`~yeban.errors.Conflict` if that request was a different one.
    """
    if new.idempotency_key is None:
        return None
    with database.begin() as connection:
        return _replay(connection, new, request_sha256)


def create_job(database: Database, new: NewJob, table: Table, request_sha256: str) -> Created:
    """Store a job with all rows of ``table``, or nothing.

    Raises the errors of reading the table (:class:`~yeban.errors.InvalidTable`, ``TooLarge``), and
    :class:`~yeban.errors.Conflict` for a reused idempotency key; then nothing is stored.
    """
    with tracing.span("create job") as span, database.begin() as connection:
        if new.idempotency_key is not None:
            # Of two concurrent requests with one key, the second waits here and finds the job of the first.
            key = f"{new.owner}\n{new.idempotency_key}"
            connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))
            if (earlier := _replay(connection, new, request_sha256)) is not None:
                return earlier
        waits = new.start_at is not None and new.start_at > datetime.now(UTC)
        header = table.header
        job = connection.execute(
            insert(Job)
            .values(
                owner=new.owner,
                team=new.team,
                state=JobState.SCHEDULED if waits else JobState.QUEUED,
                label_set=new.label_set.to_json(),
                model=new.model,
                source_name=new.source_name,
                source_sha256=new.source_sha256,
                source_format=header.format,
                source_encoding=header.encoding,
                source_delimiter=header.delimiter,
                columns=[_storable(column) for column in header.columns],
                text_index=header.text_index,
                gold_index=header.gold_index,
                row_count=0,
                idempotency_key=new.idempotency_key,
                request_sha256=request_sha256,
                start_at=new.start_at,
                expires_at=new.expires_at,
                refine=new.refined,
                queued_at=None if waits else func.now(),
            )
            .returning(Job.id, Job.public_id)
        ).one()
        try:
            rows = copy_rows(connection, "row", _ROW_COLUMNS, _copied(job.id, table))
        except UnicodeEncodeError as error:  # some encodings, such as UTF-7, can spell it
            raise InvalidTable(
                msg("The file contains half a surrogate pair, which is not a valid character. Save the file as UTF-8.")
            ) from error
        if rows == 0:
            raise InvalidTable(msg("The table has a header but no data rows."), row=1)
        connection.execute(update(Job).where(Job.id == job.id).values(row_count=rows))
        first_row = func.generate_series(1, rows, new.chunk_rows).column_valued("first_row")
        connection.execute(
            insert(Chunk).from_select(
                [Chunk.job_id, Chunk.first_row, Chunk.last_row],
                select(literal(job.id, BigInteger), first_row, func.least(first_row + new.chunk_rows - 1, rows)),
            )
        )
        span.set_attributes({"yeban.job.id": job.id, "yeban.rows": rows})
    metrics.JOBS_CREATED.inc()
    metrics.UPLOADED_ROWS.inc(rows)
    log.info("job created", extra={"job": job.id, "public_id": str(job.public_id), "rows": rows})
    return Created(public_id=job.public_id, replayed=False)


def _storable(name: str) -> str:
    """Replace characters that JSONB cannot store: NUL and halves of surrogate pairs."""
    return name.replace("\x00", " ").encode("utf-8", "replace").decode()


def _copied(job_id: int, table: Table) -> Iterator[Sequence[Any]]:
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    row: Row
    for row in table:
        yield (
            job_id,
            row.row_no,
            row.file_row,
            row.text,
            row.gold,
            encode(row.cells),
            row.problem and row.problem.dumps(),
        )


def _replay(connection: Connection, new: NewJob, request_sha256: str) -> Created | None:
    earlier = connection.execute(
        select(Job.public_id, Job.request_sha256).where(
            Job.owner == new.owner, Job.idempotency_key == new.idempotency_key
        )
    ).one_or_none()
    if earlier is None:
        return None
    if earlier.request_sha256 != request_sha256:
        raise Conflict(
            msg("This idempotency key was already used for a different request. Use a new key."),
            job_id=str(earlier.public_id),
        )
    return Created(public_id=earlier.public_id, replayed=True)
