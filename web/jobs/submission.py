"""Submission of an uploaded file and its form as a job."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, BinaryIO, ClassVar, Literal, cast

from flask import request
from pydantic import BeforeValidator, Field
from werkzeug.datastructures import FileStorage

from web.auth.authentication import viewer
from web.http.parsing import Fields
from web.label_sets.input import LabelSetForm, label_set_of_form
from web.monitoring.served_models import check_model
from web.services import Services
from yeban.errors import InvalidRequest, msg
from yeban.jobs.creation import Created, NewJob, create_job, find_replay
from yeban.runtime.programs import BULK_ROLE
from yeban.settings import Settings
from yeban.tabular import Header, ReadOptions, open_table
from yeban.telemetry import metrics

#: Bytes of a form beside its file: a thousand labels of full length, with room to spare.
FORM_BYTES = 4 * 2**20
MAX_FORM_PARTS = 1_100


_MAX_NAME_CHARS = 200
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")


def _iso_moment(value: Any) -> Any:
    # Pydantic accepts "123" as a Unix time, and PostgreSQL stores years that Python cannot read back.
    if isinstance(value, str) and not (_ISO.match(value) and "2000" <= value[:4] <= "2999"):
        raise ValueError(msg("use a time such as 2026-11-22T22:00:00+08:00"))
    return value


_Moment = Annotated[datetime, BeforeValidator(_iso_moment)]
_Short = Annotated[str, Field(max_length=200)]


class ReadingFields(Fields):
    """Options for reading an uploaded table; those left out are detected."""

    text_column: str | None = None
    """The column to tag, by name or by number as `#3`; detected if left out."""
    gold_column: str | None = None
    """The column with the correct labels, several joined by `|`; the job then reports its accuracy and macro-F1."""
    format: Literal["auto", "csv", "tsv", "xlsx", "jsonl"] = "auto"
    encoding: _Short | None = None
    """Such as `gb18030`; detected if left out."""
    delimiter: _Short | None = None
    """One character, or `tab`, `comma`, `semicolon`, `pipe`, `none`; detected if left out."""
    sheet: _Short | None = None
    """The sheet of an XLSX file; defaults to the first visible one."""


class JobFields(ReadingFields, LabelSetForm):
    """Fields of a new job beside its file."""

    model: _Short | None = None
    """A model that `GET /api/v1/models` lists; the default model if left out."""
    start_at: _Moment | None = None
    """When to start; at once if left out."""
    expires_at: _Moment | None = None
    """Deadline: the job expires if it has not finished by then."""
    refine: bool | None = None
    """Whether to refine the labels once the whole file is scored. Defaults to true for labels that exclude one
    another."""

    example: ClassVar[Mapping[str, Any]] = {"labels": ["物流", "退款", "发票"], "gold_column": "label"}


@dataclass(frozen=True, kw_only=True)
class Source:
    """An uploaded file: a name safe to show and store, and the SHA-256 of its content."""

    file: BinaryIO
    name: str
    sha256: str
    size_bytes: int


@contextmanager
def expect_upload(services: Services) -> Iterator[None]:
    """Admit this request as an upload, from before the form is read until it is stored.

    Raises :class:`~yeban.errors.Overloaded` while too many uploads are in progress.
    """
    request.max_content_length = services.settings.max_upload_mb * 2**20 + FORM_BYTES
    request.max_form_memory_size = FORM_BYTES
    request.max_form_parts = MAX_FORM_PARTS
    with services.uploads.admit():
        yield


def source_of(files: Sequence[FileStorage]) -> Source:
    """Return the single file of a request, read once for its checksum. Raises :class:`~yeban.errors.InvalidRequest`."""
    chosen = [file for file in files if file.filename]
    if len(chosen) != 1:
        raise InvalidRequest(
            msg("The upload has no file. Send one, in the field “file”.")
            if not chosen
            else msg("The upload has %(count)s files. Send one, in the field “file”.", count=len(chosen)),
            field="file",
        )
    stream = cast("BinaryIO", chosen[0].stream)
    digest = hashlib.file_digest(stream, "sha256")  # type: ignore[arg-type]
    size_bytes = stream.tell()
    stream.seek(0)
    name = safe_name(chosen[0].filename or "")
    return Source(file=stream, name=name, sha256=digest.hexdigest(), size_bytes=size_bytes)


def read_options(settings: Settings, reading: Mapping[str, Any]) -> ReadOptions:
    """Read options of an uploaded table, within the limits of the settings."""
    return ReadOptions(
        **reading,
        max_cell_chars=settings.max_cell_chars,
        max_columns=settings.max_columns,
        max_rows=settings.max_rows,
    )


def submit(
    services: Services,
    source: Source,
    fields: JobFields,
    idempotency_key: str | None,
    *,
    check: Callable[[Header], None] = lambda _: None,
) -> Created:
    """Read the file into a new job and notify the workers; a repeated key returns the earlier job.

    ``check`` may reject the table by its header. Raises the errors of an invalid label set, model, time or table, and
    ``Conflict`` for a key that belongs to another request.
    """
    if idempotency_key is not None and not _KEY.fullmatch(idempotency_key):
        raise InvalidRequest(
            msg("An Idempotency-Key must have 1 to 200 printable ASCII characters."), field="Idempotency-Key"
        )
    settings = services.settings
    new = NewJob(
        label_set=label_set_of_form(fields),
        model=check_model(services, fields.model, role=BULK_ROLE),
        owner=viewer().name,
        team=viewer().team,
        source_name=source.name,
        source_sha256=source.sha256,
        chunk_rows=settings.chunk_rows,
        idempotency_key=idempotency_key,
        start_at=fields.start_at,
        expires_at=fields.expires_at,
        refine=fields.refine,
    )
    reading: dict[str, Any] = fields.model_dump(include=set(ReadingFields.model_fields))
    request_sha256 = new.request_sha256(reading)
    if (earlier := find_replay(services.database, new, request_sha256)) is not None:
        return earlier
    with open_table(source.file, source.name, read_options(settings, reading)) as table:
        check(table.header)
        created = create_job(services.database, new, table, request_sha256)
    if not created.replayed:
        metrics.UPLOADED_BYTES.inc(source.size_bytes)
    services.send_hints()
    return created


def safe_name(given: str) -> str:
    """The file name without folders and invisible characters; never blank."""
    name = given.replace("\\", "/").rpartition("/")[2]
    name = "".join(char for char in name if unicodedata.category(char)[0] != "C").strip(" .")
    if len(name) > _MAX_NAME_CHARS:
        stem, dot, suffix = name.rpartition(".")
        kept = dot + suffix[:20] if stem else ""
        name = (stem or name)[: _MAX_NAME_CHARS - len(kept)] + kept
    return name or "upload"
