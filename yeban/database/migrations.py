"""Migrations: bringing a database to the schema this code is written for. The only user of Alembic."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from yeban.database.engine import Database, database_problem
from yeban.errors import InvalidRequest, ServiceUnavailable, msg

_MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
# Two processes that migrate at once wait for one another on this key.
_LOCK = 0x59454241


def migrate(url: str, revision: str = "head") -> None:
    """Bring the schema to ``revision``, up or down; safe to run from several processes at once.

    Raises ``InvalidRequest`` for a revision that there is not, and ``ServiceUnavailable``.
    """
    database = Database(url, pool_size=1)
    try:
        with database.engine.connect() as connection:
            # Held by the transaction that migrates: behind a pooler, a session and its lock may outlive this program.
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            config = alembic_config()
            config.attributes["connection"] = connection
            if revision == "base" or revision.startswith("-"):
                command.downgrade(config, revision)
            else:
                command.upgrade(config, revision)
            connection.commit()
    except CommandError as error:
        raise InvalidRequest(
            msg("The schema cannot go to revision %(revision)s: %(error)s.", revision=repr(revision), error=error)
        ) from error
    except DBAPIError as error:
        raise ServiceUnavailable(database_problem(error.orig)) from error
    finally:
        database.close()


def alembic_config() -> Config:
    """Alembic's configuration, made in code so that it works from an installed package."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config
