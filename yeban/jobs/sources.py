"""Which jobs a file became."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from yeban.accounts.viewer import OPEN, VISIBLE, Viewer
from yeban.database.engine import Database


@dataclass(frozen=True, kw_only=True)
class EarlierJob:
    """A job of the same bytes."""

    id: uuid.UUID
    name: str
    created_at: datetime


def latest_job_of(database: Database, sha256: str, *, viewer: Viewer = OPEN) -> EarlierJob | None:
    """The viewer's latest job of a file with this checksum, if there is one."""
    with database.begin() as connection:
        row = connection.execute(_OF_FILE, {"sha256": sha256, **viewer.parameters}).one_or_none()
    return None if row is None else EarlierJob(**row._mapping)


def job_of_key(database: Database, key: str, *, owner: str) -> uuid.UUID | None:
    """The job that ``owner`` made under this idempotency key, if it is still there."""
    with database.begin() as connection:
        found: uuid.UUID | None = connection.scalar(_OF_KEY, {"owner": owner, "key": key})
    return found


_OF_FILE = text(
    "SELECT public_id AS id, source_name AS name, created_at FROM job"  # noqa: S608  # the condition of yeban.accounts.viewer
    f" WHERE source_sha256 = :sha256 AND deleted_at IS NULL AND {VISIBLE} ORDER BY id DESC LIMIT 1"
)
_OF_KEY = text("SELECT public_id FROM job WHERE owner = :owner AND idempotency_key = :key AND deleted_at IS NULL")
