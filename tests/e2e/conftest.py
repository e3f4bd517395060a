"""The ``yeban`` command as a person runs it: real processes, real servers, the real model."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
_TIMEOUT_S = 300.0


class Yeban:
    """Runs ``yeban`` on one data directory, from a working directory of its own."""

    def __init__(self, data_dir: Path, work_dir: Path) -> None:
        self.data_dir = data_dir
        self.work_dir = work_dir
        kept = {name: value for name, value in os.environ.items() if not name.startswith("YEBAN_")}
        self._environment = {**kept, "YEBAN_DATA_DIR": str(data_dir)}

    def run(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(arguments),
            cwd=self.work_dir,
            env=self._environment | environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )

    def json(self, *arguments: str | Path, **environment: str) -> Any:
        """What a successful command prints with ``--json``: one object and nothing else."""
        ended = self.run(*arguments, "--json", **environment)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    @contextmanager
    def start(self, *arguments: str | Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """Start a command in a process group of its own, as a shell does; its output goes to files."""
        with (self.work_dir / "stdout").open("w") as out, (self.work_dir / "stderr").open("w") as err:
            process = subprocess.Popen(
                self._command(arguments),
                cwd=self.work_dir,
                env=self._environment | environment,
                stdout=out,
                stderr=err,
                text=True,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            self.await_end_of_all()

    def await_end_of_all(self) -> None:
        """Wait until no process is left; that of a command may be gone a moment before the last of its children."""
        wait_until(lambda: not self.processes(), what="the end of every process")

    def said(self, stream: str) -> str:
        return (self.work_dir / stream).read_text(encoding="utf-8")

    def running_url(self) -> str | None:
        try:
            return str(json.loads((self.data_dir / "stack.json").read_text())["url"])
        except (OSError, ValueError):
            return None

    def processes(self) -> list[str]:
        """Every process that has to do with the data directory, by its command line."""
        mark = os.fsencode(self.data_dir)
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes()
                places = command + (folder / "environ").read_bytes() + os.fsencode((folder / "cwd").readlink())
            except OSError:  # ended meanwhile, or another user's
                continue
            if mark in places and int(folder.name) != os.getpid():
                found.append(command.replace(b"\0", b" ").decode(errors="replace"))
        return found

    @staticmethod
    def _command(arguments: tuple[str | Path, ...]) -> list[str]:
        return [sys.executable, "-P", "-m", "yeban.cli", *map(str, arguments)]


@pytest.fixture(scope="session")
def make_yeban(
    model_dir: Path, fast_folder: Path | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Yeban]]:
    """Make a ``yeban`` with a fresh data directory in which the model is built already."""
    made: list[Path] = []

    def make() -> Yeban:
        # Not under pytest's base folder: that one is closed to the account the servers run as under root.
        data_dir = Path(tempfile.mkdtemp(prefix="yeban-e2e-", dir=fast_folder))
        made.append(data_dir)
        data_dir.chmod(0o711)
        (data_dir / "models").symlink_to(model_dir)
        return Yeban(data_dir, tmp_path_factory.mktemp("work"))

    yield make
    for folder in made:
        shutil.rmtree(folder)


@pytest.fixture
def yeban(make_yeban: Callable[[], Yeban]) -> Yeban:
    return make_yeban()


@pytest.fixture(scope="package")
def up(make_yeban: Callable[[], Yeban]) -> Iterator[Yeban]:
    """``yeban up``, running, one for all of these tests; when it is stopped, it ends well and leaves nothing behind."""
    running = make_yeban()
    with running.start("up", "--port", "0", YEBAN_WEBHOOK_PRIVATE_ADDRESSES="true") as process:
        wait_until(
            lambda: process.poll() is not None or re.search(r"ready: http://\S+", running.said("stderr")),
            timeout_s=300,
            what="a ready server",
        )
        assert process.poll() is None, running.said("stderr")
        yield running
        process.send_signal(signal.SIGTERM)
        assert process.wait(180) == 0, running.said("stderr")
        running.await_end_of_all()
