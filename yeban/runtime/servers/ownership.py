"""Ownership of a data directory: a lock for the life of its process, and a file with the URLs of its servers.

The file counts only while the process that wrote it holds the lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from yeban.errors import ConfigurationError, msg

_LOCK = "servers.lock"
_STATE = "servers.json"
# Readers hold the lock for an instant; an owner must wait for them.
_PATIENCE_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Started:
    """URLs of the servers that an owner started; None for others."""

    database_url: str | None
    redis_url: str | None


@dataclass(frozen=True, kw_only=True)
class Ownership:
    """The right of this process to run servers in ``data_dir``."""

    data_dir: Path

    def publish(self, started: Started) -> None:
        """Write the URLs for other processes of this user."""
        facts = {"pid": os.getpid(), "database_url": started.database_url, "redis_url": started.redis_url}
        draft = self.data_dir / f"{_STATE}.new"
        draft.write_text(json.dumps(facts), encoding="utf-8")
        draft.chmod(0o600)
        draft.replace(self.data_dir / _STATE)

    def retract(self) -> None:
        """Remove the file of :meth:`publish`."""
        (self.data_dir / _STATE).unlink(missing_ok=True)


@contextlib.contextmanager
def own(data_dir: Path) -> Iterator[Ownership]:
    """Own ``data_dir`` (created if missing) until the block ends or the process dies.

    Raises :class:`ConfigurationError` with the process id of another owner.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = os.open(data_dir / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(
            msg(
                "Cannot use the data directory %(data_dir)s: %(reason)s. Make it writable to the user "
                "running Yeban, or set YEBAN_DATA_DIR to another path.",
                data_dir=data_dir,
                reason=error.strerror,
            )
        ) from error
    _held.add(lock)
    try:
        if not _acquire(lock, _PATIENCE_S):
            pid = _read_pid(lock)
            raise ConfigurationError(
                msg(
                    "Process %(pid)s already uses the bundled servers in %(data_dir)s. Stop it first, or set "
                    "YEBAN_DATA_DIR to another folder.",
                    data_dir=data_dir,
                    pid=pid,
                ),
                pid=pid,
            )
        # State first, process id second: a reader must never pair an old state with the new owner.
        (data_dir / _STATE).unlink(missing_ok=True)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield Ownership(data_dir=data_dir)
    finally:
        # A forked child has closed its copy already; the parent is still the owner.
        if lock in _held:
            _held.remove(lock)
            os.close(lock)


def published(data_dir: Path) -> Started | None:
    """URLs published by the live owner of ``data_dir``; None without an owner, or until its servers are ready."""
    try:
        lock = os.open(data_dir / _LOCK, os.O_RDONLY)
    except OSError:
        return None
    try:
        if _acquire(lock, 0.0, shared=True):
            return None
        state = json.loads((data_dir / _STATE).read_text(encoding="utf-8"))
        if state["pid"] != _read_pid(lock):
            return None
        return Started(database_url=state["database_url"], redis_url=state["redis_url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    finally:
        os.close(lock)


def _acquire(lock: int, stop_timeout_s: float, *, shared: bool = False) -> bool:
    deadline = time.monotonic() + stop_timeout_s
    while True:
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        else:
            return True


def _read_pid(lock: int) -> int | None:
    text = os.pread(lock, 32, 0).strip()
    return int(text) if text.isdigit() else None


def _let_go_in_child() -> None:
    while _held:
        os.close(_held.pop())


# A forked child inherits the lock and must not hold it after its parent has died.
_held: set[int] = set()
os.register_at_fork(after_in_child=_let_go_in_child)
