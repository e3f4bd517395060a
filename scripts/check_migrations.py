"""Migrations on a real, empty PostgreSQL: up, no drift from the models, down to nothing, and up again."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import text

from yeban.database.engine import SCHEMA_REVISION, Database
from yeban.database.migrations import alembic_config, migrate
from yeban.runtime.servers import open_servers
from yeban.settings import load_settings

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"


def main() -> int:
    """Return 0 if the migrations are sound."""
    heads = ScriptDirectory.from_config(alembic_config()).get_heads()
    if heads != [SCHEMA_REVISION]:
        print(f"There must be one migration head, and yeban.database.engine.SCHEMA_REVISION must name it: {heads}")
        return 1
    with tempfile.TemporaryDirectory(prefix="yeban-migrations-") as folder:
        Path(folder).chmod(0o711)
        with open_servers(load_settings(data_dir=Path(folder))) as endpoints:
            migrate(endpoints.database_url)
            database = Database(endpoints.database_url)
            with database.engine.connect() as connection:
                config = alembic_config()
                config.attributes["connection"] = connection
                command.check(config)
            migrate(endpoints.database_url, "base")
            with database.begin() as connection:
                left = list(connection.scalars(text(_TABLES)))
            migrate(endpoints.database_url)
            database.close()
    if left:
        print(f"The downgrade left tables behind: {left}")
        return 1
    print("Migrations: upgrade, check, downgrade, upgrade: sound.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
