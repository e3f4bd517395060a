"""Database connections, transactions, locks and COPY."""

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

#: Schema revision this code requires.
SCHEMA_REVISION = "0006"

#: Libpq options of every connection: detect an unreachable or vanished server within half a minute.
REACHING = {"connect_timeout": 5, "keepalives_idle": 15, "keepalives_interval": 5, "tcp_user_timeout": 30_000}

# Not "SSL error": a lost connection is reported with these words too.
_TLS_TROUBLE = re.compile(r"certificate|does not support SSL", re.IGNORECASE)
# Messages, in English as on most servers, for an unknown login or database.
_REFUSED = re.compile(r"authentication failed|no password supplied|no pg_hba.conf entry|FATAL: .* does not exist")
_IDLE_IN_TRANSACTION_MS = 10_000
#: The part of the server's identity that each sslmode leaves unchecked.
_UNVERIFIED = {"allow": "certificate", "prefer": "certificate", "require": "certificate", "verify-ca": "host name"}


class Database:
    """A pool of connections to one PostgreSQL database."""

    def __init__(self, url: str, *, pool_size: int = 5) -> None:
        """``url`` is an SQLAlchemy or libpq URL; the driver is always psycopg 3.

        Raises :class:`~yeban.errors.ConfigurationError` for an invalid URL.
        """
        self.engine = _engine(parse_database_url(url), pool_size)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Run one transaction: commit on leaving, roll back on an exception.

        Raises :class:`~yeban.errors.ServiceUnavailable` if the server is unreachable, goes away, or its disk is full.
        """
        try:
            with self.engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            if error.connection_invalidated or isinstance(error.orig, psycopg.OperationalError):
                raise _unavailable(error.orig) from error
            raise
        except psycopg.OperationalError as error:  # from COPY, which uses the driver directly
            raise _unavailable(error) from error
        except PoolTimeout as error:
            raise ServiceUnavailable(
                msg("All database connections of this process are busy. Try again soon.")
            ) from error

    def ping(self) -> None:
        """Make one round trip. Raises :class:`~yeban.errors.ServiceUnavailable`."""
        with self.begin() as connection:
            connection.execute(text("SELECT 1"))

    def schema_revision(self) -> str | None:
        """Return the revision of the schema, ``None`` for an empty database."""
        with self.begin() as connection:
            if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
                return None
            found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
            return found

    def check_schema(self) -> None:
        """Raise :class:`~yeban.errors.ConfigurationError` unless the schema is at :data:`SCHEMA_REVISION`."""
        found = self.schema_revision()
        if found != SCHEMA_REVISION:
            raise ConfigurationError(
                msg(
                    "The database schema is %(found)s, but this version needs %(schema_revision)s. Run "
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
    """Load ``rows`` by COPY within the transaction of ``connection``. Returns the number of rows."""
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
    """Parse a PostgreSQL URL and verify the server if it names a CA.

    Logs a warning if the URL asks for less than full verification. Raises :class:`~yeban.errors.ConfigurationError` for
    an invalid URL, without quoting it: it may have a password.
    """
    try:
        url = make_url(text_url)
        backend = url.get_backend_name()
        if backend in {"postgresql", "postgres"}:
            # Let libpq check the names of the options.
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
                "YEBAN_DATABASE_URL uses %(backend)s, but only PostgreSQL (postgresql://…) is supported.",
                backend=repr(backend),
            )
        )
    if "@" in (url.host or ""):
        raise ConfigurationError(msg("YEBAN_DATABASE_URL: write an @ in the password as %%40."))
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
        hide_parameters=True,  # keeps ticket text out of logged errors
        pool_timeout=10,
        connect_args={
            **REACHING,
            # A process that hangs within a transaction must not hold its locks for ever.
            "options": f"-c idle_in_transaction_session_timeout={_IDLE_IN_TRANSACTION_MS}",
        },
    )


def database_problem(error: BaseException | None) -> Message:
    """Describe a lost or failed connection in one sentence, with advice for a TLS failure."""
    if (trouble := _tls_trouble(error)) is not None:
        return msg(
            "Cannot make a trusted TLS connection to the database: %(trouble)s. Check YEBAN_DATABASE_URL and "
            "the server's certificate.",
            trouble=trouble,
        )
    if isinstance(error, psycopg.errors.DiskFull):
        return msg("The database disk is full, so nothing was saved. Free some space and try again.")
    return msg("The database did not answer: %(reason)s.", reason=reason_of(error))


def _unavailable(error: BaseException | None) -> ServiceUnavailable:
    # Callers that retry must know when retrying does not help.
    lasting = _tls_trouble(error) is not None or _REFUSED.search(str(error or "")) is not None
    return ServiceUnavailable(database_problem(error), **({"lasting": True} if lasting else {}))


def _tls_trouble(error: BaseException | None) -> str | None:
    lines = [line.strip() for line in str(error or "").splitlines() if _TLS_TROUBLE.search(line)]
    return lines[0].rstrip(".") if lines else None


def reason_of(error: BaseException | None) -> str:
    """First line of the driver's error message."""
    lines = str(error or "").strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
