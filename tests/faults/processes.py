"""The programs of a run: each is started again when it ends, and none outlives the run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.background import Background
from tests.fixtures.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
_GUARD = ROOT / "yeban" / "runtime" / "guard.py"
_POLL_S = 0.05
_BACKOFF_S = 0.3
_STOP_S = 120.0


@dataclass
class Program:
    """One program that is to run all the time."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    pids: list[int] = field(default_factory=list)  # of every process so far
    statuses: list[int] = field(default_factory=list)  # of those that have ended

    @property
    def pid(self) -> int:
        """The process id; waits where it is being started again."""
        return wait_until(self._running_pid, timeout_s=120, what=f"a running {self.name}")

    def send(self, number: signal.Signals, pid: int | None = None) -> None:
        """Send a signal, if the process is still there."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid or self.pid, number)

    def await_end_of(self, pid: int, *, timeout_s: float = 120.0) -> None:
        """Wait until the process ``pid`` of this program has ended."""
        wait_until(lambda: self._running_pid() != pid, timeout_s=timeout_s, what=f"the end of {self.name} {pid}")

    def _running_pid(self) -> int | None:
        process = self.process
        return process.pid if process is not None and process.returncode is None else None


class Programs:
    """Starts programs and starts them again, on one thread, since their death signal is tied to it."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self._programs = programs
        self._stopping = threading.Event()
        self._thread = Background(self._run, name="programs")
        self._exits: dict[str, int] = {}

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> dict[str, int]:
        """SIGTERM to all, SIGKILL to what does not follow; returns the exit statuses by name.

        Raises what kept programs from being started again, if anything did.
        """
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.wait(2 * _STOP_S)
        return self._exits

    def _run(self) -> None:
        due = {program.name: 0.0 for program in self._programs}
        try:
            while not self._stopping.wait(_POLL_S):
                for program in self._programs:
                    process = program.process
                    if process is not None and process.returncode is None and process.poll() is not None:
                        program.statuses.append(process.returncode)
                        due[program.name] = time.monotonic() + _BACKOFF_S
                    if (process is None or process.returncode is not None) and time.monotonic() >= due[program.name]:
                        _launch(program)
        finally:
            self._stop_all()

    def _stop_all(self) -> None:
        running = [program for program in self._programs if program.process and program.process.poll() is None]
        for program in running:
            assert program.process is not None
            program.process.send_signal(signal.SIGCONT)
            program.process.terminate()
        deadline = time.monotonic() + _STOP_S
        for program in running:
            assert program.process is not None
            try:
                self._exits[program.name] = program.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                program.process.kill()
                self._exits[program.name] = program.process.wait()


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler for a signal: one that is just starting has none, and would be ended by it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return False
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) & 1 << (number - 1))


def _launch(program: Program) -> None:
    orders = {
        "argv": list(program.command),
        "parent": os.getpid(),
        "death_signal": int(signal.SIGKILL),
        "uid": None,
        "gid": None,
        "watch": False,
    }
    with program.log.open("ab") as output:
        program.process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_GUARD), json.dumps(orders)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(program.environment),
            cwd=ROOT,
            start_new_session=True,
        )
    program.pids.append(program.process.pid)
