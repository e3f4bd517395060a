"""Drafts: uploaded files that wait for a day at most until a person makes a job of them.

A file is stored in parts in the database: any web process can serve it without a shared disk.
"""

from __future__ import annotations

import io
import logging
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, BinaryIO, cast

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select

from yeban.accounts.viewer import Viewer, visible
from yeban.database import tables
from yeban.database.engine import Database, lock_name
from yeban.database.tables import DraftPart
from yeban.errors import Conflict, NotFound, msg

log = logging.getLogger(__name__)

#: Age at which a draft is deleted.
MAX_AGE = timedelta(days=1)
#: Maximum number of drafts of one owner.
MAX_DRAFTS = 20
#: Size of a stored part in bytes; the last part of a file may be smaller.
PART_BYTES = 1 << 20

_CACHED_PARTS = 4  # per reader: an archive is not read in order
_BATCH_PARTS = 64

_COLUMNS = (
    tables.Draft.id.label("internal_id"),
    tables.Draft.public_id.label("id"),
    tables.Draft.name,
    tables.Draft.sha256,
    tables.Draft.size_bytes,
    tables.Draft.created_at,
)
_IS_OLD = tables.Draft.created_at <= func.now() - MAX_AGE


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A draft without its content. ``name`` is safe to show; ``sha256`` covers the whole file."""

    internal_id: int
    id: uuid.UUID
    name: str
    sha256: str
    size_bytes: int
    created_at: datetime


def store_draft(
    database: Database,
    file: BinaryIO,
    *,
    name: str,
    sha256: str,
    size_bytes: int,
    viewer: Viewer,
    most_bytes: int | None = None,
) -> Draft:
    """Store ``file`` from its current position, in one transaction and constant memory.

    ``viewer`` becomes the owner. Raises :class:`~yeban.errors.Conflict` if their drafts would exceed
    :data:`MAX_DRAFTS`, or ``most_bytes`` in total.
    """
    with database.begin() as connection:
        _check_room(connection, viewer.name, MAX_DRAFTS - 1, None if most_bytes is None else most_bytes - size_bytes)
        row = connection.execute(
            insert(tables.Draft)
            .values(owner=viewer.name, team=viewer.team, name=name, sha256=sha256, size_bytes=size_bytes)
            .returning(*_COLUMNS)
        ).one()
        for part_no, content in enumerate(iter(partial(file.read, PART_BYTES), b"")):
            connection.execute(insert(DraftPart).values(draft_id=row.internal_id, part_no=part_no, content=content))
        # Check again for drafts stored meanwhile. Locking earlier would block the owner for as long as the upload.
        lock_name(connection, f"drafts of {viewer.name}")
        _check_room(connection, viewer.name, MAX_DRAFTS, most_bytes)
    log.info("draft kept", extra={"draft": row.internal_id, "bytes": size_bytes})
    return _draft(row)


def get_draft(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> Draft:
    """Return a draft. Raises :class:`~yeban.errors.NotFound`, also for another owner's or an expired one."""
    with database.begin() as connection:
        row = connection.execute(
            select(*_COLUMNS).where(tables.Draft.public_id == public_id, ~_IS_OLD, _visible(viewer))
        ).one_or_none()
    if row is None:
        raise _gone()
    return _draft(row)


def list_drafts(database: Database, *, viewer: Viewer) -> list[Draft]:
    """The drafts ``viewer`` may see, newest first, at most :data:`MAX_DRAFTS`."""
    with database.begin() as connection:
        rows = connection.execute(
            select(*_COLUMNS).where(~_IS_OLD, _visible(viewer)).order_by(tables.Draft.id.desc()).limit(MAX_DRAFTS)
        )
        return [_draft(row) for row in rows]


def open_draft(database: Database, draft: Draft) -> BinaryIO:
    """Open the draft's file as a seekable stream that holds a few MiB and no connection.

    Reading raises :class:`~yeban.errors.NotFound` once the draft is deleted.
    """
    return cast("BinaryIO", io.BufferedReader(_DraftFile(database, draft), buffer_size=1 << 16))


def delete_draft(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> bool:
    """Delete a draft with its file. Returns whether ``viewer`` had such a draft."""
    with database.begin() as connection:
        deleted = connection.execute(delete(tables.Draft).where(tables.Draft.public_id == public_id, _visible(viewer)))
        return deleted.rowcount > 0


def delete_old_drafts(database: Database, *, wanted: Callable[[], bool] = lambda: True) -> int:
    """Delete drafts older than :data:`MAX_AGE`. Returns the number deleted.

    Works in small transactions, safe in any number of processes; stops early once ``wanted()`` is false.
    """
    deleted = 0
    while wanted():
        with database.begin() as connection:
            draft_id = connection.scalar(
                select(tables.Draft.id)
                .where(_IS_OLD)
                .order_by(tables.Draft.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            if draft_id is None:
                break
            of_draft = DraftPart.draft_id == draft_id
            batch = select(DraftPart.part_no).where(of_draft).order_by(DraftPart.part_no).limit(_BATCH_PARTS)
            parts = connection.execute(delete(DraftPart).where(of_draft, DraftPart.part_no.in_(batch))).rowcount
            if parts < _BATCH_PARTS:
                deleted += connection.execute(delete(tables.Draft).where(tables.Draft.id == draft_id)).rowcount
    if deleted:
        log.info("old drafts deleted", extra={"drafts": deleted})
    return deleted


class _DraftFile(io.RawIOBase):
    """The bytes of a draft, fetched part by part on demand."""

    def __init__(self, database: Database, draft: Draft) -> None:
        self._database = database
        self._draft = draft
        self._position = 0
        self._parts: OrderedDict[int, memoryview] = OrderedDict()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._draft.size_bytes}[whence]
        if start + offset < 0:
            raise ValueError("a place before the file's beginning")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        left = self._draft.size_bytes - self._position
        if left <= 0 or not view:
            return 0
        part_no, begin = divmod(self._position, PART_BYTES)
        found = self._part(part_no)[begin : begin + min(len(view), left)]
        view[: len(found)] = found
        self._position += len(found)
        return len(found)

    def close(self) -> None:
        self._parts.clear()
        super().close()

    def _part(self, part_no: int) -> memoryview:
        part = self._parts.get(part_no)
        if part is None:
            with self._database.begin() as connection:
                content = connection.scalar(
                    select(DraftPart.content).where(
                        DraftPart.draft_id == self._draft.internal_id, DraftPart.part_no == part_no
                    )
                )
            if content is None:
                raise _gone()
            part = self._parts[part_no] = memoryview(content)
            if len(self._parts) > _CACHED_PARTS:
                self._parts.popitem(last=False)
        self._parts.move_to_end(part_no)
        return part


def _check_room(connection: Connection, owner: str, most: int, most_bytes: int | None) -> None:
    """Raise ``Conflict`` if the owner's drafts, this transaction's included, exceed ``most`` or ``most_bytes``."""
    count, size_bytes = connection.execute(
        select(func.count(), func.coalesce(func.sum(tables.Draft.size_bytes), 0)).where(tables.Draft.owner == owner)
    ).one()
    if count > most:
        raise Conflict(
            msg(
                "%(max_drafts)s uploaded files are already waiting. Start or discard one first. Uploads are "
                "kept for one day.",
                max_drafts=MAX_DRAFTS,
            ),
            limit=MAX_DRAFTS,
        )
    if most_bytes is not None and size_bytes > most_bytes:
        raise Conflict(
            msg(
                "Together with this file, the uploaded files that are waiting take up too much space. Start "
                "or discard one first. Uploads are kept for one day."
            )
        )


def _visible(viewer: Viewer) -> ColumnElement[bool]:
    return visible(viewer, owner=tables.Draft.owner, team=tables.Draft.team)


def _draft(row: Row[*tuple[Any, ...]]) -> Draft:
    return Draft(**row._mapping)


def _gone() -> NotFound:
    return NotFound(
        msg(
            "This upload is no longer available: it became a job, was discarded, or is more than a day old. "
            "Upload the file again."
        )
    )
