"""A supervised process: it dies with its owner, logs to a file, and is asked to stop before it is killed."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from yeban.errors import Message, ServiceUnavailable, YebanError, msg

log = logging.getLogger(__name__)

# Only Linux can signal a process when its parent dies; elsewhere the guard stays and watches a pipe.
WATCH = not sys.platform.startswith("linux")

_GUARD = Path(__file__).with_name("guard.py")
_MAX_LOG_BYTES = 8 * 1024 * 1024
_QUOTED_BYTES = 64 * 1024
_QUOTED_LINES = 12


class SupervisedProcess(ABC):
    """A process with a log. Call ``start`` from one thread that outlives the process.

    The kernel sends the death signal when the *thread* that started the process ends.
    """

    title: str
    death_signal: signal.Signals = signal.SIGTERM
    #: Signals to stop the process, each with the seconds it may take, before SIGKILL.
    stop_steps: Sequence[tuple[signal.Signals, float]]
    #: Exit statuses of a process that wants a restart, and of one that a restart does not help.
    recycled_status: int | None = None
    hopeless_status: int | None = None

    def __init__(self, log: Path) -> None:
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._asked_at: float | None = None

    @abstractmethod
    def start(self, cancelled: threading.Event) -> None:
        """Start the process. Raises ``Stopped`` when ``cancelled`` is set before it is ready."""

    @property
    def pid(self) -> int | None:
        """Process id while the process runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def exit_status(self) -> int | None:
        """Exit status of a process that ended on its own."""
        return None if self._process is None else self._process.poll()

    def ask_to_stop(self) -> None:
        """Send the first stop signal, so that several processes can stop at the same time."""
        if self._process is not None and self._asked_at is None:
            self._asked_at = time.monotonic()
            self._process.send_signal(self.stop_steps[0][0])

    def stop(self) -> None:
        """Stop the process if it runs; returns when it is gone."""
        self.ask_to_stop()
        process, self._process = self._process, None
        asked_at, self._asked_at = self._asked_at or 0.0, None
        if process is None:
            return
        for step, (number, stop_timeout_s) in enumerate(self.stop_steps):
            if step:
                process.send_signal(number)
            else:
                stop_timeout_s = max(0.1, asked_at + stop_timeout_s - time.monotonic())  # noqa: PLW2901
            try:
                process.wait(stop_timeout_s)
            except subprocess.TimeoutExpired:
                log.warning("%s did not stop within %.3g s of %s", self.title, stop_timeout_s, number.name)
            else:
                break
        else:
            # The group, so that a guard that stayed does not shield its process.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdin:
            process.stdin.close()

    def launch(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        death_signal: signal.Signals | None = None,
        user: tuple[int, int] | None = None,
        lock: int | None = None,
        cwd: str | None = None,
    ) -> subprocess.Popen[bytes]:
        """Run ``argv`` as ``user`` (uid, gid), its output in the log. It gets ``death_signal`` when this process dies.

        It inherits the file descriptor ``lock``.
        """
        orders = {
            "argv": argv,
            "parent": os.getpid(),
            "death_signal": int(death_signal or self.death_signal),
            "uid": user and user[0],
            "gid": user and user[1],
            "watch": WATCH,
        }
        with self.log.open("ab") as output:
            # Its own session: Ctrl-C in a terminal must reach the owner alone, which stops its processes in order.
            return subprocess.Popen(
                [sys.executable, "-I", "-S", str(_GUARD), json.dumps(orders)],
                stdin=subprocess.PIPE if WATCH else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=environment,
                pass_fds=() if lock is None else (lock,),
                start_new_session=True,
            )

    def quote_log(self) -> Message:
        """A sentence with the log's last lines since the process started."""
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            file.seek(max(self._log_start, self.log.stat().st_size - _QUOTED_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()[-_QUOTED_LINES:]
            if quoted := "\n".join(f"  {line}" for line in lines if line.strip()):
                return msg("Its log (%(log)s) ends with:\n%(lines)s", log=self.log, lines=quoted)
        return msg("Its log (%(log)s) is empty.", log=self.log)

    def failure(self, problem: Message, kind: type[YebanError] = ServiceUnavailable) -> YebanError:
        """An error that quotes the log."""
        return kind(msg("%(problem)s %(log)s", problem=problem, log=self.quote_log()), log=str(self.log))

    def mark_log(self) -> None:
        """Begin a new run in the log: errors quote only what follows."""
        self.trim_log()
        self._log_start = self.log.stat().st_size if self.log.exists() else 0

    def trim_log(self) -> None:
        """Move a log over its limit to ``.1``. Safe while the process writes to it."""
        with contextlib.suppress(FileNotFoundError):
            if self.log.stat().st_size > _MAX_LOG_BYTES:
                # The process appends, so truncating the file loses only what it wrote during the copy.
                shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
                os.truncate(self.log, 0)
                self._log_start = 0


class Stopped(Exception):
    """The owner stopped the process while it was starting."""
