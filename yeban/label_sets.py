"""Saved label sets: named, versioned; versions are added and never changed.

Each function owns its transaction. A set that the viewer may not see is reported as missing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, ColumnElement, Connection, and_, cast, func, insert, literal, select, update
from sqlalchemy import delete as delete_from
from sqlalchemy.dialects.postgresql import JSONPATH
from sqlalchemy.exc import IntegrityError

from yeban.accounts.viewer import Viewer, visible
from yeban.database.engine import Database
from yeban.database.tables import LabelSetVersion, SavedLabelSet
from yeban.errors import Conflict, InvalidRequest, NotFound, msg
from yeban.labels import LabelSet, one_line

MAX_NAME_CHARS = 100

_MAX_VERSION = 2**31 - 1  # of PostgreSQL's integer
_UNIQUE_NAME = "uq_label_set_owner_name"

_OF_SET = LabelSetVersion.label_set_id == SavedLabelSet.id
_NEWEST = select(func.max(LabelSetVersion.version)).where(_OF_SET).correlate(SavedLabelSet).scalar_subquery()
_SET_COLUMNS = (
    SavedLabelSet.public_id.label("id"),
    SavedLabelSet.name,
    SavedLabelSet.owner,
    SavedLabelSet.created_at,
    _NEWEST.label("newest"),
)
_VERSION_COLUMNS = (LabelSetVersion.version, LabelSetVersion.author, LabelSetVersion.made_at)
_LABEL_COUNT = func.jsonb_array_length(LabelSetVersion.content["labels"]).label("labels")
_FIRST_LABELS = func.jsonb_path_query_array(LabelSetVersion.content, cast("$.labels[0 to 5].name", JSONPATH))


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a set; ``version`` counts from 1."""

    version: int
    label_set: LabelSet
    author: str  # name of an account; "" without accounts
    made_at: datetime


@dataclass(frozen=True, kw_only=True)
class SavedSet:
    """A set with one of its versions; ``newest`` is the number of the latest."""

    id: uuid.UUID
    name: str
    owner: str
    created_at: datetime
    newest: int
    content: Version


@dataclass(frozen=True, kw_only=True)
class SetSummary:
    """A set in a list: its newest version without descriptions and examples."""

    internal_id: int
    id: uuid.UUID
    name: str
    owner: str
    created_at: datetime
    newest: int
    labels: int
    first_labels: list[str]  # up to six
    author: str
    made_at: datetime


@dataclass(frozen=True, kw_only=True)
class VersionSummary:
    """A version in a history."""

    version: int
    labels: int
    author: str
    made_at: datetime


@dataclass(frozen=True, kw_only=True)
class SetPage:
    """A page of sets, newest first; ``next_before`` is the cursor of the next page, ``None`` on the last."""

    sets: tuple[SetSummary, ...]
    next_before: int | None


def create(database: Database, name: str, label_set: LabelSet, *, viewer: Viewer) -> SavedSet:
    """Save a new set as version 1.

    Raises ``InvalidRequest`` for an invalid name, ``Conflict`` if the owner has a set of that name, and the errors of
    :meth:`~yeban.labels.LabelSet.normalized`.
    """
    name, label_set = _normalized_name(name), label_set.normalized()
    with database.begin() as connection, _unique_name(name):
        row = connection.execute(
            insert(SavedLabelSet)
            .values(owner=viewer.name, team=viewer.team, name=name)
            .returning(SavedLabelSet.id, SavedLabelSet.public_id)
        ).one()
        _add(connection, row.id, 1, label_set, viewer)
        return _find(connection, row.public_id, None, viewer)


def get_set(database: Database, public_id: uuid.UUID, *, viewer: Viewer, version: int | None = None) -> SavedSet:
    """Return a set with one version, by default the newest. Raises ``NotFound``, also for a deleted set."""
    with database.begin() as connection:
        return _find(connection, public_id, version, viewer)


def list_sets(database: Database, *, viewer: Viewer, before: int | None = None, limit: int = 50) -> SetPage:
    """A page of sets, newest first; ``before`` is the cursor of an earlier page."""
    statement = (
        select(
            SavedLabelSet.id.label("internal_id"),
            *_SET_COLUMNS,
            _LABEL_COUNT,
            _FIRST_LABELS.label("first_labels"),
            LabelSetVersion.author,
            LabelSetVersion.made_at,
        )
        .select_from(SavedLabelSet)
        .join(LabelSetVersion, and_(_OF_SET, LabelSetVersion.version == _NEWEST))
        .where(_visible(viewer))
        .order_by(SavedLabelSet.id.desc())
        .limit(limit + 1)
    )
    if before is not None:
        statement = statement.where(SavedLabelSet.id < before)
    with database.begin() as connection:
        rows = connection.execute(statement).all()
    sets = tuple(SetSummary(**row._mapping) for row in rows[:limit])
    return SetPage(sets=sets, next_before=sets[-1].internal_id if len(rows) > limit else None)


def list_versions(
    database: Database, public_id: uuid.UUID, *, viewer: Viewer, before: int | None = None, limit: int = 50
) -> list[VersionSummary]:
    """Up to ``limit`` versions below ``before``, newest first. Raises ``NotFound``."""
    statement = select(*_VERSION_COLUMNS, _LABEL_COUNT).order_by(LabelSetVersion.version.desc()).limit(limit)
    if before is not None:
        statement = statement.where(LabelSetVersion.version < literal(before, BigInteger))
    with database.begin() as connection:
        internal_id = _internal_id(connection, public_id, viewer)
        rows = connection.execute(statement.where(LabelSetVersion.label_set_id == internal_id))
        return [VersionSummary(**row._mapping) for row in rows]


def save(
    database: Database,
    public_id: uuid.UUID,
    label_set: LabelSet,
    *,
    base: int,
    viewer: Viewer,
    name: str | None = None,
) -> SavedSet:
    """Add a version made from version ``base``, and rename the set if a name is given.

    Adds no version if nothing changed. Raises ``NotFound``; ``Conflict``, with the newest ``version`` in its context,
    if another version was added since ``base``; and the errors of :func:`create`.
    """
    label_set = label_set.normalized()
    with database.begin() as connection:
        internal_id = _internal_id(connection, public_id, viewer, lock=True)
        now = _find(connection, public_id, None, viewer)
        if base != now.newest:
            raise Conflict(
                msg(
                    "%(author)s has since saved version %(newest)s of “%(now)s”; your changes are based on "
                    "version %(base)s.",
                    newest=now.newest,
                    now=now.name,
                    author=now.content.author,
                    base=base,
                )
                if now.content.author
                else msg(
                    "Version %(newest)s of “%(now)s” has since been saved; your changes are based on version %(base)s.",
                    newest=now.newest,
                    now=now.name,
                    base=base,
                ),
                version=now.newest,
            )
        if name is not None:
            _rename(connection, internal_id, _normalized_name(name))
        if label_set != now.content.label_set:
            _add(connection, internal_id, now.newest + 1, label_set, viewer)
        return _find(connection, public_id, None, viewer)


def restore(database: Database, public_id: uuid.UUID, version: int, *, base: int, viewer: Viewer) -> SavedSet:
    """Add a copy of ``version`` as the newest version. Raises the errors of :func:`save`."""
    old = get_set(database, public_id, version=version, viewer=viewer)
    return save(database, public_id, old.content.label_set, base=base, viewer=viewer)


def rename(database: Database, public_id: uuid.UUID, name: str, *, viewer: Viewer) -> None:
    """Rename a set. Raises ``NotFound``, ``InvalidRequest``, and ``Conflict`` if the name is taken."""
    name = _normalized_name(name)
    with database.begin() as connection:
        _rename(connection, _internal_id(connection, public_id, viewer, lock=True), name)


def delete(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> None:
    """Hide a set and free its name; jobs keep their own copy. Raises ``NotFound``.

    :func:`remove_deleted` removes it later.
    """
    with database.begin() as connection:
        internal_id = _internal_id(connection, public_id, viewer, lock=True)
        connection.execute(update(SavedLabelSet).where(SavedLabelSet.id == internal_id).values(deleted_at=func.now()))


def remove_deleted(database: Database) -> int:
    """Remove deleted sets with their versions, whose examples may be texts of tickets. Returns the number removed."""
    with database.begin() as connection:
        return connection.execute(delete_from(SavedLabelSet).where(SavedLabelSet.deleted_at.is_not(None))).rowcount


def _visible(viewer: Viewer) -> ColumnElement[bool]:
    return and_(visible(viewer, owner=SavedLabelSet.owner, team=SavedLabelSet.team), SavedLabelSet.deleted_at.is_(None))


def _internal_id(connection: Connection, public_id: uuid.UUID, viewer: Viewer, *, lock: bool = False) -> int:
    """The key of a set; with ``lock``, its row stays locked until the transaction ends. Raises ``NotFound``."""
    statement = select(SavedLabelSet.id).where(SavedLabelSet.public_id == public_id, _visible(viewer))
    found = connection.scalar(statement.with_for_update() if lock else statement)
    if found is None:
        raise _not_found(public_id)
    return found


def _find(connection: Connection, public_id: uuid.UUID, version: int | None, viewer: Viewer) -> SavedSet:
    if version is not None and not 1 <= version <= _MAX_VERSION:
        raise _no_version(public_id, version)
    row = connection.execute(
        select(*_SET_COLUMNS, *_VERSION_COLUMNS, LabelSetVersion.content)
        .select_from(SavedLabelSet)
        .outerjoin(LabelSetVersion, and_(_OF_SET, LabelSetVersion.version == (_NEWEST if version is None else version)))
        .where(SavedLabelSet.public_id == public_id, _visible(viewer))
    ).one_or_none()
    if row is None:
        raise _not_found(public_id)
    if row.version is None:
        raise _no_version(public_id, version)
    content = Version(
        version=row.version, label_set=LabelSet.from_json(row.content), author=row.author, made_at=row.made_at
    )
    return SavedSet(
        id=row.id, name=row.name, owner=row.owner, created_at=row.created_at, newest=row.newest, content=content
    )


def _add(connection: Connection, internal_id: int, version: int, label_set: LabelSet, viewer: Viewer) -> None:
    connection.execute(
        insert(LabelSetVersion).values(
            label_set_id=internal_id, version=version, content=label_set.to_json(), author=viewer.name
        )
    )


def _rename(connection: Connection, internal_id: int, name: str) -> None:
    with _unique_name(name):
        connection.execute(update(SavedLabelSet).where(SavedLabelSet.id == internal_id).values(name=name))


@contextmanager
def _unique_name(name: str) -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        if _UNIQUE_NAME not in str(error.orig):
            raise
        raise Conflict(
            msg("The label set “%(name)s” already exists. Choose another name.", name=name), name=name
        ) from None


def _not_found(public_id: uuid.UUID) -> NotFound:
    return NotFound(
        msg("The label set %(public_id)s does not exist; it may have been deleted.", public_id=public_id),
        label_set=str(public_id),
    )


def _no_version(public_id: uuid.UUID, version: int | None) -> NotFound:
    return NotFound(
        msg("The label set %(public_id)s has no version %(version)s.", public_id=public_id, version=version),
        label_set=str(public_id),
    )


def _normalized_name(name: str) -> str:
    """Join the name into one line. Raises ``InvalidRequest`` unless it has 1 to :data:`MAX_NAME_CHARS` characters."""
    name = one_line(name)
    if not 1 <= len(name) <= MAX_NAME_CHARS or "\x00" in name:
        raise InvalidRequest(
            msg(
                "The name of a label set must have 1 to %(max_name_chars)s characters, and no NUL.",
                max_name_chars=MAX_NAME_CHARS,
            ),
            field="name",
        )
    return name
