"""The database: its connections, its transactions, and COPY."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from yeban.errors import ConfigurationError, ServiceUnavailable

#: The migration that this code is written for.
SCHEMA_REVISION = "0004"

_CONNECT_TIMEOUT_S = 5
_IDLE_IN_TRANSACTION_MS = 10_000


class Database:
    """A pool of connections to one PostgreSQL database."""

    def __init__(self, url: str, *, pool_size: int = 5) -> None:
        """``url`` is an SQLAlchemy or libpq URL; the driver is always psycopg 3."""
        self.engine = _engine(url, pool_size)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: committed on leaving, rolled back by an exception.

        Raises :class:`~yeban.errors.ServiceUnavailable` when the server cannot be reached or goes away.
        """
        try:
            with self.engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            if error.connection_invalidated or isinstance(error.orig, psycopg.OperationalError):
                raise ServiceUnavailable(f"The database did not answer: {reason_of(error.orig)}.") from error
            raise
        except psycopg.OperationalError as error:  # COPY speaks to the driver directly
            raise ServiceUnavailable(f"The database did not answer: {reason_of(error)}.") from error
        except PoolTimeout as error:
            raise ServiceUnavailable("Every database connection of this process is busy; try again soon.") from error

    def ping(self) -> None:
        """One round trip. Raises :class:`~yeban.errors.ServiceUnavailable`."""
        with self.begin() as connection:
            connection.execute(text("SELECT 1"))

    def schema_revision(self) -> str | None:
        """The migration the schema is at; ``None`` for a database without one."""
        with self.begin() as connection:
            if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
                return None
            found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
            return found

    def check_schema(self) -> None:
        """Raise :class:`~yeban.errors.ConfigurationError` if the schema is not the one this code is written for."""
        found = self.schema_revision()
        if found != SCHEMA_REVISION:
            raise ConfigurationError(
                f"The database's schema is {found or 'empty'}, and this version needs {SCHEMA_REVISION}: "
                "run `yeban migrate` with the newest version in use."
            )

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def copy_rows(connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Load ``rows`` by COPY inside ``connection``'s transaction; returns how many.

    Far faster than INSERT, and an error anywhere undoes all of it.
    """
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    count = 0
    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
            count += 1
    return count


def _engine(url: str, pool_size: int) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError("YEBAN_DATABASE_URL is not a database URL (postgresql://user@host/name).") from error
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        raise ConfigurationError(
            f"YEBAN_DATABASE_URL names {parsed.get_backend_name()!r}; only PostgreSQL (postgresql://…) is supported."
        )
    return create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        hide_parameters=True,  # an error that is logged must not carry ticket text along
        pool_timeout=10,
        connect_args={
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "keepalives_idle": 15,
            "keepalives_interval": 5,
            "tcp_user_timeout": 30_000,
            # A process that stands still in mid-transaction must not keep its locks from everyone else.
            "options": f"-c idle_in_transaction_session_timeout={_IDLE_IN_TRANSACTION_MS}",
        },
    )


def reason_of(error: BaseException | None) -> str:
    """The first line of what the driver said."""
    lines = str(error or "").strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
