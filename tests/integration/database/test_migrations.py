from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from yeban.database import migrations
from yeban.database.engine import SCHEMA_REVISION, Database
from yeban.database.migrations import migrate

_ADVISORY_LOCKS = text(
    "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
    " WHERE locktype = 'advisory' AND datname = current_database()"
)


def test_no_lock_outlives_the_migration(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a pooler in transaction mode the session lives on, and its locks would with it."""
    left: list[int] = []

    class Watched(Database):
        def close(self) -> None:
            with database.begin() as connection:
                left.append(connection.scalar(_ADVISORY_LOCKS) or 0)
            super().close()

    monkeypatch.setattr(migrations, "Database", Watched)

    migrate(database.engine.url.render_as_string(hide_password=False))

    assert left == [0]


def test_several_may_migrate_at_once(database: Database) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    migrate(url, "base")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, [url] * 4))

    assert database.schema_revision() == SCHEMA_REVISION
