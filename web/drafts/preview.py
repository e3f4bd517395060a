"""The preview of a draft: reading options, first rows, and counts over all rows."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from web.drafts import sample_run
from web.jobs.submission import read_options
from web.services import Services
from yeban.chunks.workers import live_workers
from yeban.drafts import Draft, open_draft
from yeban.errors import InvalidRequest, UnknownColumn, YebanError, msg
from yeban.labels import LABEL_JOINER
from yeban.tabular import Header, Profile, Row, Table, open_table, profile_table, sheet_names

#: Rows shown of a file, and texts of a sample run.
FIRST_ROWS = sample_run.ROWS

#: Tokens that a model reads of one text if its workers do not report it.
DEFAULT_MAX_TOKENS = 512

_LOOKED_AT_ROWS = 2_000  # rows searched for texts, if most rows have none
# Names of identifier columns, best first.
_ID_COLUMNS = (
    "id",
    "工单号",
    "工单编号",
    "编号",
    "ticket_id",
    "ticket id",
    "订单号",
    "序号",
    "no",
    "no.",
    "uuid",
    "key",
)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Requested reading options. Columns are numbers such as ``#3`` and belong to the header whose
    :func:`fingerprint` is ``columns``; for another header they are detected again."""

    options: Mapping[str, Any] = field(default_factory=dict)  # format, encoding, delimiter, sheet
    text_column: str | None = None
    gold_column: str | None = None
    id_column: str | None = None
    columns: str | None = None


@dataclass(frozen=True, kw_only=True)
class Look:
    """A file's header and first rows. ``text_index`` is ``None`` if no text column is clear; ``problem`` gives the
    reason, or names an option that cannot be met."""

    header: Header
    text_index: int | None
    gold_index: int | None
    id_index: int | None
    rows: Sequence[Row]
    sheets: Sequence[str] = ()
    problem: YebanError | None = None

    @property
    def columns(self) -> str:
        """The fingerprint of the header."""
        return fingerprint(self.header.columns)

    def settled(self, reading: Reading) -> Reading:
        """``reading`` with the detected columns."""
        return replace(
            reading,
            text_column=_number(self.text_index),
            gold_column=_number(self.gold_index),
            id_column=_number(self.id_index),
            columns=self.columns,
        )


def fingerprint(columns: Sequence[str]) -> str:
    """Fingerprint of a header."""
    return hashlib.sha256("\x1f".join(columns).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def look(services: Services, draft: Draft, reading: Reading) -> Look:
    """Open the file and read its first rows, detecting missing options.

    Raises the errors of :func:`~yeban.tabular.open_table`, except for unknown columns.
    """
    try:
        found = _look(services, draft, reading)
    except UnknownColumn as error:
        # Other reading options give other columns.
        return _look_anew(services, draft, reading, error)
    except InvalidRequest as error:
        if error.context.get("field") != "gold_column":
            raise
        return replace(_look(services, draft, replace(reading, gold_column=None)), problem=error)
    if reading.columns not in {None, found.columns}:
        return _look_anew(services, draft, reading, None)
    return found


def _look_anew(services: Services, draft: Draft, reading: Reading, met: UnknownColumn | None) -> Look:
    """Read without the columns chosen for another header."""
    unsaid = replace(reading, text_column=None, gold_column=None, id_column=None, columns=None)
    if met is None or reading.text_column or reading.gold_column:
        try:
            return _look(services, draft, unsaid)
        except UnknownColumn as error:
            met = error
    first = _look(services, draft, replace(unsaid, text_column="#1"))
    return replace(first, text_index=None, problem=met)


def _look(services: Services, draft: Draft, reading: Reading) -> Look:
    with _opened(services, draft, reading) as (table, file):
        header = table.header
        check_columns(replace(reading, columns=None), header)
        rows = tuple(islice(table, FIRST_ROWS))
        sheets = sheet_names(file) if header.format == "xlsx" else ()
    return Look(
        header=header,
        text_index=header.text_index,
        gold_index=header.gold_index,
        id_index=id_index(header, reading),
        rows=rows,
        sheets=sheets,
    )


def count(services: Services, draft: Draft, reading: Reading, *, long_tokens: int, multi_label: bool) -> Profile:
    """Count over the whole file. Raises the reader's errors."""
    with _opened(services, draft, reading) as (table, _):
        check_columns(reading, table.header)
        return profile_table(table, long_tokens=long_tokens, joiner=LABEL_JOINER if multi_label else None)


def first_texts(services: Services, draft: Draft, reading: Reading) -> tuple[Header, list[Row]]:
    """Return the first rows with a text among the leading rows. Raises the reader's errors."""
    with _opened(services, draft, reading) as (table, _):
        check_columns(reading, table.header)
        ahead = islice(table, _LOOKED_AT_ROWS)
        return table.header, list(islice((row for row in ahead if row.problem is None), FIRST_ROWS))


def check_columns(reading: Reading, header: Header) -> None:
    """Raise :class:`~yeban.errors.InvalidRequest` if the chosen columns belong to another header."""
    if reading.columns not in {None, fingerprint(header.columns)}:
        raise InvalidRequest(
            msg("With these settings, the file has different columns. Choose the columns again."),
            field="columns",
        )
    for name, index in (("text_column", header.text_index), ("gold_column", header.gold_index)):
        wanted = getattr(reading, name)
        if wanted is not None and wanted.startswith("#") and index is not None and wanted != f"#{index + 1}":
            raise InvalidRequest(
                msg(
                    "The column number %(name)s is also the name of another column. Rename that column in the file.",
                    name=wanted,
                ),
                field=name,
            )


def longest_read(services: Services, model: str) -> int:
    """Tokens that the model reads of a text, as reported by its live workers."""
    told = [
        loaded["max_tokens"]
        for worker in live_workers(services.database)
        for loaded in worker.models
        if loaded.get("name") == model and isinstance(loaded.get("max_tokens"), int)
    ]
    return min(told, default=DEFAULT_MAX_TOKENS)


@contextmanager
def _opened(services: Services, draft: Draft, reading: Reading) -> Iterator[tuple[Table, Any]]:
    """Open the draft as a table. Costs as much as an upload, so it is admitted as one."""
    columns = {"text_column": reading.text_column, "gold_column": reading.gold_column}
    options = read_options(services.settings, {**reading.options, **columns})
    with (
        services.uploads.admit(),
        open_draft(services.database, draft) as file,
        open_table(file, draft.name, options) as table,
    ):
        yield table, file


def _number(index: int | None) -> str | None:
    return None if index is None else f"#{index + 1}"


def id_index(header: Header, reading: Reading) -> int | None:
    """The identifier column: the chosen one, else one with a well-known name. Display only."""
    number = (reading.id_column or "").removeprefix("#")
    if number.isascii() and number.isdigit() and 1 <= int(number[:6]) <= len(header.columns):
        return int(number) - 1
    if reading.id_column is not None:
        return None
    plain = [unicodedata.normalize("NFKC", name).strip().casefold() for name in header.columns]
    return next((plain.index(known) for known in _ID_COLUMNS if known in plain), None)
