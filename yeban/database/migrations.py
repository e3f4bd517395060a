"""Migrations of the schema. The only user of Alembic."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from yeban.database.engine import Database, database_problem, lock_name
from yeban.errors import InvalidRequest, ServiceUnavailable, msg

_MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


def migrate(url: str, revision: str = "head") -> None:
    """Upgrade or downgrade the schema to ``revision``. Safe to run from several processes at once.

    Raises ``InvalidRequest`` for an unknown revision, and ``ServiceUnavailable``.
    """
    database = Database(url, pool_size=1)
    try:
        with database.engine.connect() as connection:
            # A transaction lock: behind a pooler, a session and its locks may outlive this program.
            lock_name(connection, "migrations")
            config = alembic_config()
            config.attributes["connection"] = connection
            if revision == "base" or revision.startswith("-"):
                command.downgrade(config, revision)
            else:
                command.upgrade(config, revision)
            connection.commit()
    except CommandError as error:
        raise InvalidRequest(
            msg("Cannot migrate the schema to revision %(revision)s: %(error)s.", revision=repr(revision), error=error)
        ) from error
    except DBAPIError as error:
        raise ServiceUnavailable(database_problem(error.orig)) from error
    finally:
        database.close()


def alembic_config() -> Config:
    """Build Alembic's configuration in code: it works from an installed package."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config
