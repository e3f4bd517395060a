"""Saved label sets: named, in versions that are added and never changed, so that what was used can be looked up.

Each function owns its transaction. What is someone else's is as if it were not there.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import IntegrityError

from yeban.accounts.viewer import VISIBLE, Viewer
from yeban.database.engine import Database
from yeban.errors import Conflict, InvalidLabels, InvalidRequest, NotFound, TooLarge, phrase
from yeban.labels import MAX_EXAMPLES, MAX_HINT_CHARS, Label, LabelSet

_UNIQUE_NAME = "uq_label_set_owner_name"


@dataclass(frozen=True, kw_only=True)
class Version:
    """What a set says as of one version; ``version`` counts from 1."""

    version: int
    label_set: LabelSet
    author: str  # name of an account; "" where there are none
    made_at: datetime


@dataclass(frozen=True, kw_only=True)
class SavedSet:
    """A set with one of its versions; ``newest`` is the number of the last one."""

    id: uuid.UUID
    name: str
    owner: str
    created_at: datetime
    newest: int
    content: Version


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A set as lists have it, without what its labels say."""

    id: uuid.UUID
    name: str
    owner: str
    created_at: datetime
    newest: int
    labels: int
    first_labels: tuple[str, ...]
    author: str
    made_at: datetime


@dataclass(frozen=True, kw_only=True)
class Past:
    """A version as a history has it."""

    version: int
    labels: int
    author: str
    made_at: datetime


@dataclass(frozen=True, kw_only=True)
class Page:
    """Newest first; ``next_before`` is the cursor of the following page, if there is one."""

    sets: tuple[Listed, ...]
    next_before: int | None


def create(database: Database, name: str, label_set: LabelSet, *, viewer: Viewer) -> SavedSet:
    """Save a new set as version 1.

    Raises ``InvalidRequest`` for the name, ``Conflict`` where the owner has a set of that name, and what
    :func:`tidied` raises.
    """
    name, label_set = tidied_name(name), tidied(label_set)
    with database.begin() as connection:
        row = _unless_taken(
            connection, _CREATE, {"name": name, "owner": viewer.name, "team": viewer.team}, name=name
        ).one()
        _add(connection, row.id, 1, label_set, viewer)
        return _find(connection, row.public_id, None, viewer)


def get_set(database: Database, public_id: uuid.UUID, *, viewer: Viewer, version: int | None = None) -> SavedSet:
    """One set, with its last version or another. Raises ``NotFound``, also for someone else's and a deleted one."""
    with database.begin() as connection:
        return _find(connection, public_id, version, viewer)


def list_sets(database: Database, *, viewer: Viewer, before: int | None = None, limit: int = 50) -> Page:
    """A page of sets, newest first; ``before`` is an earlier page's cursor."""
    with database.begin() as connection:
        rows = connection.execute(_LIST, {**viewer.parameters, "before": before, "limit": limit + 1}).all()
    listed = tuple(
        Listed(
            id=row.public_id,
            name=row.name,
            owner=row.owner,
            created_at=row.created_at,
            newest=row.version,
            labels=row.labels,
            first_labels=tuple(row.first_labels),
            author=row.author,
            made_at=row.made_at,
        )
        for row in rows[:limit]
    )
    return Page(sets=listed, next_before=rows[limit - 1].id if len(rows) > limit else None)


def list_versions(
    database: Database, public_id: uuid.UUID, *, viewer: Viewer, before: int | None = None, limit: int = 50
) -> list[Past]:
    """Up to ``limit`` versions under ``before``, the last one first. Raises ``NotFound``."""
    with database.begin() as connection:
        found = _find(connection, public_id, None, viewer)
        rows = connection.execute(_HISTORY, {"id": found.id, "before": before, "limit": limit}).all()
    return [Past(version=row.version, labels=row.labels, author=row.author, made_at=row.made_at) for row in rows]


def save(
    database: Database,
    public_id: uuid.UUID,
    label_set: LabelSet,
    *,
    base: int,
    viewer: Viewer,
    name: str | None = None,
) -> SavedSet:
    """Add a version that was made from version ``base``, and rename the set where a name is given.

    What says the same as the last version adds none. Raises ``NotFound``; ``Conflict`` if another version was added
    since ``base``, with ``version`` in its context; and what :func:`create` raises.
    """
    label_set = tidied(label_set)
    with database.begin() as connection:
        internal_id = _lock(connection, public_id, viewer)
        now = _find(connection, public_id, None, viewer)
        if base != now.newest:
            raise Conflict(
                f"Version {now.newest} of “{now.name}” was saved meanwhile"
                f"{f' by {now.content.author}' if now.content.author else ''}; yours was made from version {base}.",
                version=now.newest,
            )
        if name is not None:
            _rename(connection, internal_id, tidied_name(name))
        if label_set != now.content.label_set:
            _add(connection, internal_id, now.newest + 1, label_set, viewer)
        return _find(connection, public_id, None, viewer)


def restore(database: Database, public_id: uuid.UUID, version: int, *, base: int, viewer: Viewer) -> SavedSet:
    """Add a version that says what ``version`` said. Raises what :func:`save` raises."""
    old = get_set(database, public_id, version=version, viewer=viewer)
    return save(database, public_id, old.content.label_set, base=base, viewer=viewer)


def rename(database: Database, public_id: uuid.UUID, name: str, *, viewer: Viewer) -> None:
    """Give a set another name. Raises ``NotFound``, ``InvalidRequest``, and ``Conflict`` where the name is taken."""
    name = tidied_name(name)
    with database.begin() as connection:
        _rename(connection, _lock(connection, public_id, viewer), name)


def delete(database: Database, public_id: uuid.UUID, *, viewer: Viewer) -> None:
    """Show a set no more; its name is free again. Jobs keep what they were made with. Raises ``NotFound``.

    It is removed a little later: see :func:`remove_deleted`.
    """
    with database.begin() as connection:
        internal_id = _lock(connection, public_id, viewer)
        connection.execute(text("UPDATE label_set SET deleted_at = now() WHERE id = :id"), {"id": internal_id})


def remove_deleted(database: Database) -> int:
    """Remove the sets that were deleted, with their versions: examples may be texts of tickets. Returns how many."""
    with database.begin() as connection:
        return connection.execute(text("DELETE FROM label_set WHERE deleted_at IS NOT NULL")).rowcount


def _lock(connection: Connection, public_id: uuid.UUID, viewer: Viewer) -> int:
    """The key of a set that nobody else changes until the transaction ends."""
    found: int | None = connection.scalar(_LOCK, {"id": public_id, **viewer.parameters})
    if found is None:
        raise _not_found(public_id)
    return found


def _find(connection: Connection, public_id: uuid.UUID, version: int | None, viewer: Viewer) -> SavedSet:
    # PostgreSQL's integers end there, and so do versions.
    if version is not None and not 1 <= version < 2**31:
        raise _no_version(public_id, version)
    row = connection.execute(_GET, {"id": public_id, "version": version, **viewer.parameters}).one_or_none()
    if row is None:
        raise _not_found(public_id)
    if row.version is None:
        raise _no_version(public_id, version)
    return _saved(row)


def _saved(row: Row[Any]) -> SavedSet:
    content = Version(
        version=row.version,
        label_set=LabelSet.from_json(row.content),
        author=row.author,
        made_at=row.made_at,
    )
    return SavedSet(
        id=row.public_id,
        name=row.name,
        owner=row.owner,
        created_at=row.created_at,
        newest=row.newest,
        content=content,
    )


def _add(connection: Connection, internal_id: int, version: int, label_set: LabelSet, viewer: Viewer) -> None:
    connection.execute(
        _ADD, {"id": internal_id, "version": version, "content": json.dumps(label_set.to_json()), "author": viewer.name}
    )


def _rename(connection: Connection, internal_id: int, name: str) -> None:
    _unless_taken(connection, _RENAME, {"id": internal_id, "name": name}, name=name)


def _unless_taken(connection: Connection, statement: Any, parameters: dict[str, Any], *, name: str) -> Any:
    try:
        return connection.execute(statement, parameters)
    except IntegrityError as error:
        if _UNIQUE_NAME not in str(error.orig):
            raise
        raise Conflict(f"There is a label set “{name}” already; choose another name.", name=name) from None


def _not_found(public_id: uuid.UUID) -> NotFound:
    return NotFound(f"There is no label set {public_id}; it may have been deleted.", label_set=str(public_id))


def _no_version(public_id: uuid.UUID, version: int | None) -> NotFound:
    return NotFound(f"The label set {public_id} has no version {version}.", label_set=str(public_id))


_LOCK = text(
    "SELECT id FROM label_set"  # noqa: S608  # a constant
    f" WHERE public_id = :id AND {VISIBLE} AND deleted_at IS NULL FOR UPDATE"
)

_GET = text(f"""
    SELECT public_id, name, owner, created_at, newest, version, content, author, made_at
    FROM label_set
    CROSS JOIN LATERAL (
        SELECT max(version) AS newest FROM label_set_version WHERE label_set_id = label_set.id
    ) AS last
    LEFT JOIN label_set_version ON label_set_id = label_set.id
        AND version = coalesce(CAST(:version AS integer), newest)
    WHERE public_id = :id AND {VISIBLE} AND deleted_at IS NULL
""")  # noqa: S608  # a constant

_LIST = text(f"""
    SELECT label_set.id, public_id, name, owner, created_at, version, author, made_at,
        jsonb_array_length(content -> 'labels') AS labels,
        jsonb_path_query_array(content, '$.labels[0 to 5].name') AS first_labels
    FROM label_set
    CROSS JOIN LATERAL (
        SELECT * FROM label_set_version WHERE label_set_id = label_set.id ORDER BY version DESC LIMIT 1
    ) AS last
    WHERE {VISIBLE} AND deleted_at IS NULL AND (CAST(:before AS bigint) IS NULL OR label_set.id < :before)
    ORDER BY label_set.id DESC LIMIT :limit
""")  # noqa: S608  # a constant

_HISTORY = text("""
    SELECT version, author, made_at, jsonb_array_length(content -> 'labels') AS labels
    FROM label_set JOIN label_set_version ON label_set_id = label_set.id
    WHERE public_id = :id AND (CAST(:before AS bigint) IS NULL OR version < :before)
    ORDER BY version DESC LIMIT :limit
""")

_CREATE = text("INSERT INTO label_set (owner, team, name) VALUES (:owner, :team, :name) RETURNING id, public_id")
_RENAME = text("UPDATE label_set SET name = :name WHERE id = :id")
_ADD = text(
    "INSERT INTO label_set_version (label_set_id, version, content, author)"
    " VALUES (:id, :version, CAST(:content AS jsonb), :author)"
)


MAX_NAME_CHARS = 100
#: Of a set's names, descriptions and examples together.
MAX_SET_CHARS = 300_000


def tidied_name(name: str) -> str:
    """A set's name on one line. Raises ``InvalidRequest``: it has 1 to :data:`MAX_NAME_CHARS` characters."""
    name = _on_one_line(name)
    if not 1 <= len(name) <= MAX_NAME_CHARS or "\x00" in name:
        raise InvalidRequest(f"A label set's name has 1 to {MAX_NAME_CHARS} characters, and no NUL.", field="name")
    return name


def tidied(label_set: LabelSet) -> LabelSet:
    """As it is stored and can be edited: every string on one line, blank examples dropped.

    Raises ``InvalidLabels`` that names the label whose description or example is too long or has a NUL, or that has
    over :data:`~yeban.labels.MAX_EXAMPLES` examples; and ``TooLarge`` over :data:`MAX_SET_CHARS`.
    """
    labels = tuple(map(_tidied_label, label_set.labels))
    chars = sum(len(part) for label in labels for part in (label.name, label.description, *label.examples))
    if chars > MAX_SET_CHARS:
        raise TooLarge(
            f"The label set has {chars} characters; the limit is {MAX_SET_CHARS}. Leave out some examples.",
            limit=MAX_SET_CHARS,
        )
    # Checked anew: names may be equal on one line.
    return replace(label_set, labels=labels, template=" ".join(label_set.template.splitlines()))


def _tidied_label(label: Label) -> Label:
    name = _on_one_line(label.name)
    examples = tuple(line for line in map(_on_one_line, label.examples) if line)
    if len(examples) > MAX_EXAMPLES:
        raise InvalidLabels(
            f"The label “{name}” has {len(examples)} examples; the limit is {MAX_EXAMPLES}.",
            label=name,
            limit=MAX_EXAMPLES,
        )
    description = _on_one_line(label.description)
    texts = [(phrase("The description"), description), *((phrase("An example"), example) for example in examples)]
    for what, value in texts:
        if len(value) > MAX_HINT_CHARS:
            raise InvalidLabels(
                f"{what} of the label “{name}” has {len(value)} characters; the limit is {MAX_HINT_CHARS}.",
                label=name,
                limit=MAX_HINT_CHARS,
            )
        if "\x00" in value:
            raise InvalidLabels(f"{what} of the label “{name}” holds a NUL character.", label=name)
    return Label(name=name, description=description, examples=examples)


def _on_one_line(value: str) -> str:
    return " ".join(filter(None, (line.strip() for line in value.splitlines())))
