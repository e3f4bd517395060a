from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.waiting import wait_until
from yeban.settings import Settings

_REPOSITORY = Path(__file__).resolve().parents[4]

# Imports come before the change of user: the interpreter's folders may be closed to that user.
_OWNER_SCRIPT = """
import json, os, sys
import psycopg, redis, sqlalchemy.dialects.postgresql.psycopg
import yeban.runtime.process, yeban.runtime.servers, yeban.errors
from pathlib import Path
from yeban.settings import Settings

orders = json.loads(sys.argv[1])
sys.executable = orders["python"]
if orders["uid"] is not None:
    os.setgroups([])
    os.setgid(orders["gid"])
    os.setuid(orders["uid"])
if orders["watch"]:
    yeban.runtime.process.WATCH = True
settings = Settings(data_dir=Path(orders["data_dir"]), database_url=None, redis_url=None)
try:
    with yeban.runtime.servers.open_servers(settings) as endpoints:
        print(json.dumps({"database_url": endpoints.database_url, "redis_url": endpoints.redis_url}), flush=True)
        sys.stdin.read()
except KeyboardInterrupt:
    pass
except yeban.errors.YebanError as error:
    print(json.dumps({"error": error.detail, "code": error.code}), flush=True)
"""


@dataclass(frozen=True)
class Owner:
    """Another process that runs the servers of a data directory; ``said`` is what it printed when it was ready."""

    process: subprocess.Popen[str]
    said: dict[str, Any]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def interrupt_group(self) -> None:
        """What a terminal does on Ctrl-C."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(120)

    def finish(self) -> None:
        self.process.communicate(timeout=120)


def _processes_of(data_dir: Path) -> set[int]:
    """Process ids of everything that holds a lock of this data directory's servers open: all their processes."""
    locks = {str(data_dir / "postgres.lock"), str(data_dir / "valkey.lock")}
    found = set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if any(str(fd.readlink()) in locks for fd in (process / "fd").iterdir()):
                    found.add(int(process.name))
            except OSError:
                continue
    return found


@pytest.fixture
def processes(data_dir: Path) -> Callable[[], set[int]]:
    """Call it for the process ids of all server processes of ``data_dir``."""
    return lambda: _processes_of(data_dir)


@contextlib.contextmanager
def _data_dir(parent: Path | None) -> Iterator[Path]:
    base = Path(tempfile.mkdtemp(prefix="yeban-test-", dir=parent))
    # Any user can enter, unlike the folders above tmp_path.
    base.chmod(0o711)
    yield base / "data"
    try:
        wait_until(lambda: not _processes_of(base / "data"), what="the end of the servers")
    finally:
        for left_behind in _processes_of(base / "data"):
            os.kill(left_behind, signal.SIGKILL)
        shutil.rmtree(base)


@pytest.fixture
def data_dir(fast_folder: Path | None) -> Iterator[Path]:
    """A data directory to be made."""
    with _data_dir(fast_folder) as path:
        yield path


@pytest.fixture
def data_dir_on_disk() -> Iterator[Path]:
    """The same where programs may be executed; file systems in memory are often mounted without that."""
    with _data_dir(None) as path:
        yield path


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    return Settings(data_dir=data_dir, database_url=None, redis_url=None)


@pytest.fixture
def start_owner(data_dir: Path) -> Iterator[Callable[..., Owner]]:
    started: list[subprocess.Popen[str]] = []

    def start(
        *, uid: int | None = None, gid: int | None = None, watch: bool = False, python: str = sys.executable
    ) -> Owner:
        orders = {"data_dir": str(data_dir), "uid": uid, "gid": gid, "watch": watch, "python": python}
        process = subprocess.Popen(
            [sys.executable, "-c", _OWNER_SCRIPT, json.dumps(orders)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_REPOSITORY,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout is not None
        return Owner(process, json.loads(process.stdout.readline()))

    yield start
    for process in started:
        process.kill()
        process.communicate()
