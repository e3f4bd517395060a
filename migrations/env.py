"""Runs migrations on the connection that :mod:`yeban.database.engine` hands over, or on ``YEBAN_DATABASE_URL``."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from yeban.database.engine import Database
from yeban.database.tables import Base
from yeban.errors import ConfigurationError
from yeban.settings import get_settings


def _run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


if (given := context.config.attributes.get("connection")) is not None:
    _run(given)
else:
    url = get_settings().database_url
    if url is None:
        raise ConfigurationError("Set YEBAN_DATABASE_URL, or run `yeban migrate`.")
    with Database(url).begin() as opened:
        _run(opened)
