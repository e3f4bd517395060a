"""The database: its connections, its transactions, and COPY."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, Connection, Engine, create_engine, func, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from yeban.errors import ConfigurationError, Message, ServiceUnavailable, msg

log = logging.getLogger(__name__)

#: The migration that this code is written for.
SCHEMA_REVISION = "0005"

#: Libpq's options of every connection: how soon a server that cannot be reached, or has gone away, is noticed.
REACHING = {"connect_timeout": 5, "keepalives_idle": 15, "keepalives_interval": 5, "tcp_user_timeout": 30_000}

# A connection that was lost is told of as an "SSL error" too.
_TLS_TROUBLE = re.compile(r"certificate|does not support SSL", re.IGNORECASE)
# What a server says, in English as most are set up, to a login or a database that it does not have.
_REFUSED = re.compile(r"authentication failed|no password supplied|no pg_hba.conf entry|FATAL: .* does not exist")
_IDLE_IN_TRANSACTION_MS = 10_000
#: What each way of using TLS that was asked for leaves unchecked.
_UNVERIFIED = {"allow": "certificate", "prefer": "certificate", "require": "certificate", "verify-ca": "host name"}


class Database:
    """A pool of connections to one PostgreSQL database."""

    def __init__(self, url: str, *, pool_size: int = 5) -> None:
        """``url`` is an SQLAlchemy or libpq URL; the driver is always psycopg 3.

        Raises :class:`~yeban.errors.ConfigurationError` for a URL that is none.
        """
        self.engine = _engine(parse_database_url(url), pool_size)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: committed on leaving, rolled back by an exception.

        Raises :class:`~yeban.errors.ServiceUnavailable` when the server cannot be reached, goes away, or has no room.
        """
        try:
            with self.engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            if error.connection_invalidated or isinstance(error.orig, psycopg.OperationalError):
                raise _unavailable(error.orig) from error
            raise
        except psycopg.OperationalError as error:  # COPY speaks to the driver directly
            raise _unavailable(error) from error
        except PoolTimeout as error:
            raise ServiceUnavailable(
                msg("Every database connection of this process is busy; try again soon.")
            ) from error

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
                msg(
                    "The database's schema is %(found)s, and this version needs %(schema_revision)s: run "
                    "`yeban migrate` with the newest version in use.",
                    found=found or "empty",
                    schema_revision=SCHEMA_REVISION,
                )
            )

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def lock_name(connection: Connection, name: str) -> None:
    """Wait for the advisory lock ``name`` and hold it until the transaction ends."""
    connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


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


def parse_database_url(text_url: str) -> URL:
    """The URL with verification of the server wherever a CA is named; a warning is logged where less is asked for.

    Raises :class:`~yeban.errors.ConfigurationError` for what is no URL of PostgreSQL, without quoting it: it has a
    password.
    """
    try:
        url = make_url(text_url)
        backend = url.get_backend_name()
        if backend in {"postgresql", "postgres"}:
            # libpq's own judgement of the options' names.
            make_conninfo(**{name: str(value) for name, value in url.query.items()})
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            msg("YEBAN_DATABASE_URL is not a database URL (postgresql://user:password@host:5432/name).")
        ) from None
    except psycopg.ProgrammingError as error:
        raise ConfigurationError(msg("YEBAN_DATABASE_URL: %(reason)s.", reason=reason_of(error))) from None
    if backend not in {"postgresql", "postgres"}:
        raise ConfigurationError(
            msg(
                "YEBAN_DATABASE_URL names %(backend)s; only PostgreSQL (postgresql://…) is supported.",
                backend=repr(backend),
            )
        )
    if "@" in (url.host or ""):
        raise ConfigurationError(msg("YEBAN_DATABASE_URL: an @ in the password is written as %%40."))
    if "sslrootcert" in url.query and "sslmode" not in url.query:
        url = url.update_query_dict({"sslmode": "verify-full"})
    mode = url.query.get("sslmode")
    if mode in _UNVERIFIED:
        log.warning(
            "the database may be anyone: sslmode=%s does not check its %s; verify-full does", mode, _UNVERIFIED[mode]
        )
    return url


def _engine(url: URL, pool_size: int) -> Engine:
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        hide_parameters=True,  # an error that is logged must not carry ticket text along
        pool_timeout=10,
        connect_args={
            **REACHING,
            # A process that stands still in mid-transaction must not keep its locks from everyone else.
            "options": f"-c idle_in_transaction_session_timeout={_IDLE_IN_TRANSACTION_MS}",
        },
    )


def database_problem(error: BaseException | None) -> Message:
    """One sentence for a lost or failed connection; of TLS it says what a person has to look at."""
    if (trouble := _tls_trouble(error)) is not None:
        return msg(
            "The database cannot be trusted: %(trouble)s. Check YEBAN_DATABASE_URL and the server's certificate.",
            trouble=trouble,
        )
    if isinstance(error, psycopg.errors.DiskFull):
        return msg("The disk of the database is full. Nothing was stored; make room and try again.")
    return msg("The database did not answer: %(reason)s.", reason=reason_of(error))


def _unavailable(error: BaseException | None) -> ServiceUnavailable:
    # Whoever waits for the database has to know where waiting does not help.
    lasting = _tls_trouble(error) is not None or _REFUSED.search(str(error or "")) is not None
    return ServiceUnavailable(database_problem(error), **({"lasting": True} if lasting else {}))


def _tls_trouble(error: BaseException | None) -> str | None:
    lines = [line.strip() for line in str(error or "").splitlines() if _TLS_TROUBLE.search(line)]
    return lines[0].rstrip(".") if lines else None


def reason_of(error: BaseException | None) -> str:
    """The first line of what the driver said."""
    lines = str(error or "").strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
