"""Drafts: uploaded files that wait, for a day at most, until a person has said how they are to be read.

A file is kept in parts in the database, so that any web process can serve it and none needs a shared disk.
"""

from __future__ import annotations

import io
import logging
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, cast

from sqlalchemy import Connection, Row, text

from yeban.accounts.viewer import VISIBLE, Viewer
from yeban.database.engine import Database
from yeban.errors import Conflict, NotFound

log = logging.getLogger(__name__)

#: How long a draft is kept that nobody makes a job of.
MAX_AGE_S = 86_400.0
#: Most drafts of an owner at a time.
MAX_DRAFTS = 20
#: A file's bytes are kept in parts of this size; the last may be smaller.
PART_BYTES = 1 << 20

_KEPT_PARTS = 4  # in memory, by whoever reads a draft: an archive is read here and there
_BATCH_PARTS = 64


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What is known of a draft without reading its file; ``name`` is safe to show, ``sha256`` that of all its bytes."""

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
    """Store ``file``, read from where it stands, in one transaction and in memory that does not grow with it.

    Raises :class:`~yeban.errors.Conflict` where the owner would have more than :data:`MAX_DRAFTS` drafts with it, or
    drafts of more than ``most_bytes`` together.
    """
    with database.begin() as connection:
        _check_room(connection, viewer.name, MAX_DRAFTS - 1, None if most_bytes is None else most_bytes - size_bytes)
        row = connection.execute(
            _INSERT,
            {"owner": viewer.name, "team": viewer.team, "name": name, "sha256": sha256, "size_bytes": size_bytes},
        ).one()
        for part_no, content in enumerate(_parts(file)):
            connection.execute(_INSERT_PART, {"draft": row.internal_id, "part": part_no, "content": content})
        # Others of the owner's may have been stored meanwhile. Only now, for a large file takes long, and they would
        # have had to wait.
        connection.execute(_LOCK, {"owner": viewer.name})
        _check_room(connection, viewer.name, MAX_DRAFTS, most_bytes)
    log.info("draft kept", extra={"draft": row.internal_id, "bytes": size_bytes})
    return _draft(row)


def get_draft(database: Database, public_id: uuid.UUID, *, viewer: Viewer, max_age_s: float = MAX_AGE_S) -> Draft:
    """One draft. Raises :class:`~yeban.errors.NotFound` for someone else's, and for one whose time is over."""
    with database.begin() as connection:
        row = connection.execute(_SELECT, {"id": public_id, "max_age_s": max_age_s, **viewer.parameters}).one_or_none()
    if row is None:
        raise _gone()
    return _draft(row)


def list_drafts(database: Database, *, viewer: Viewer, max_age_s: float = MAX_AGE_S) -> list[Draft]:
    """The drafts that wait, the newest first; of an admin's view the newest :data:`MAX_DRAFTS`."""
    with database.begin() as connection:
        values = {"max_age_s": max_age_s, "limit": MAX_DRAFTS, **viewer.parameters}
        return [_draft(row) for row in connection.execute(_LIST, values)]


def open_draft(database: Database, draft: Draft) -> BinaryIO:
    """The draft's file, for reading from any place; it holds a few MiB and no connection.

    Reading raises :class:`~yeban.errors.NotFound` once the draft is deleted.
    """
    return cast("BinaryIO", io.BufferedReader(_DraftFile(database, draft), buffer_size=1 << 16))


def delete_draft(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> bool:
    """Delete a draft with its file; whether there was one that is the viewer's."""
    with database.begin() as connection:
        return connection.execute(_DELETE, {"id": public_id, **viewer.parameters}).rowcount > 0


def delete_old_drafts(
    database: Database, *, max_age_s: float = MAX_AGE_S, wanted: Callable[[], bool] = lambda: True
) -> int:
    """Delete the drafts that were made more than ``max_age_s`` seconds ago; returns how many.

    Any number of processes may be at it. Each transaction is small; it ends early once ``wanted()`` is false.
    """
    gone = 0
    while wanted():
        with database.begin() as connection:
            draft_id = connection.scalar(_OLDEST, {"max_age_s": max_age_s})
            if draft_id is None:
                break
            batch = {"draft": draft_id, "batch": _BATCH_PARTS}
            if connection.execute(_DELETE_PARTS, batch).rowcount < _BATCH_PARTS:
                gone += connection.execute(_DELETE_EMPTY, {"draft": draft_id}).rowcount
    if gone:
        log.info("old drafts deleted", extra={"drafts": gone})
    return gone


class _DraftFile(io.RawIOBase):
    """A draft's bytes, fetched part by part as they are read."""

    def __init__(self, database: Database, draft: Draft) -> None:
        self._database = database
        self._draft = draft
        self._position = 0
        self._kept: OrderedDict[int, memoryview] = OrderedDict()

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
        self._kept.clear()
        super().close()

    def _part(self, part_no: int) -> memoryview:
        part = self._kept.get(part_no)
        if part is None:
            with self._database.begin() as connection:
                content = connection.scalar(_SELECT_PART, {"draft": self._draft.internal_id, "part": part_no})
            if content is None:
                raise _gone()
            part = self._kept[part_no] = memoryview(content)
            if len(self._kept) > _KEPT_PARTS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(part_no)
        return part


def _parts(file: BinaryIO) -> Iterator[bytes]:
    while part := file.read(PART_BYTES):
        yield part


def _check_room(connection: Connection, owner: str, most: int, most_bytes: int | None) -> None:
    """Raise ``Conflict`` where the owner's drafts are more than that, those of this transaction among them."""
    kept = connection.execute(_KEPT, {"owner": owner}).one()
    if kept.drafts > most:
        raise Conflict(
            f"{MAX_DRAFTS} uploaded files wait already; start or discard one first. None waits longer than a day.",
            limit=MAX_DRAFTS,
        )
    if most_bytes is not None and kept.bytes > most_bytes:
        raise Conflict(
            "The uploaded files that wait take too much room together with this one; start or discard one first. "
            "None waits longer than a day."
        )


def _draft(row: Row[Any]) -> Draft:
    return Draft(**row._mapping)


def _gone() -> NotFound:
    return NotFound(
        "There is no such upload, or it became a job, was discarded, or is older than a day. Upload the file again."
    )


_SHOWN = "id AS internal_id, public_id AS id, name, sha256, size_bytes, created_at"
_INSERT = text(
    "INSERT INTO draft (owner, team, name, sha256, size_bytes)"  # noqa: S608  # a constant
    f" VALUES (:owner, :team, :name, :sha256, :size_bytes) RETURNING {_SHOWN}"
)
_INSERT_PART = text("INSERT INTO draft_part (draft_id, part_no, content) VALUES (:draft, :part, :content)")
_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('drafts of ' || :owner))")
_KEPT = text("SELECT count(*) AS drafts, coalesce(sum(size_bytes), 0) AS bytes FROM draft WHERE owner = :owner")
_SELECT = text(
    f"SELECT {_SHOWN} FROM draft WHERE public_id = :id"  # noqa: S608  # constants, and the condition of yeban.accounts.viewer
    f" AND created_at > now() - make_interval(secs => :max_age_s) AND {VISIBLE}"
)
_LIST = text(
    f"SELECT {_SHOWN} FROM draft"  # noqa: S608  # constants, and the condition of yeban.accounts.viewer
    f" WHERE created_at > now() - make_interval(secs => :max_age_s) AND {VISIBLE} ORDER BY draft.id DESC LIMIT :limit"
)
_SELECT_PART = text("SELECT content FROM draft_part WHERE draft_id = :draft AND part_no = :part")
_DELETE = text(f"DELETE FROM draft WHERE public_id = :id AND {VISIBLE}")  # noqa: S608  # the condition of yeban.accounts.viewer
_OLDEST = text(
    "SELECT id FROM draft WHERE created_at <= now() - make_interval(secs => :max_age_s)"
    " ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
)
_DELETE_PARTS = text(
    "DELETE FROM draft_part USING ("
    "SELECT part_no FROM draft_part WHERE draft_id = :draft ORDER BY part_no LIMIT :batch"
    ") AS batch WHERE draft_id = :draft AND draft_part.part_no = batch.part_no"
)
_DELETE_EMPTY = text("DELETE FROM draft WHERE id = :draft")
