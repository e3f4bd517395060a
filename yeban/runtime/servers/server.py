"""One server process: started under guard, watched until it answers, stopped with patience first and force last."""

from __future__ import annotations

import contextlib
import fcntl
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
from pathlib import Path
from typing import ClassVar

from yeban.errors import ConfigurationError, ServiceUnavailable, msg
from yeban.runtime.servers.places import Places

log = logging.getLogger(__name__)

# Only Linux can send a process a signal when its parent dies; elsewhere the guard stays and watches a pipe.
WATCH = not sys.platform.startswith("linux")

_GUARD = Path(__file__).with_name("guard.py")
_POLL_S = 0.02
_START_S = 60.0
# A server that answers "still recovering" is at work; cutting it short would only make it begin again.
_RECOVERY_S = 1800.0
_PREDECESSOR_S = 30.0
_MAX_LOG_BYTES = 8 * 1024 * 1024
_QUOTED_LINES = 12


class NotYet(Exception):
    """The server does not answer yet; ``recovering`` says that it is busy reading its data."""

    def __init__(self, detail: str, *, recovering: bool = False) -> None:
        super().__init__(detail)
        self.recovering = recovering


class Stopped(Exception):
    """The owner gave up while the server was starting."""


class Server(ABC):
    """A server under ``places``. ``start`` and restarts must be called from one thread that outlives the server.

    (The kernel sends the death signal when the *thread* that started the process ends.)
    """

    title: ClassVar[str]
    name: ClassVar[str]
    death_signal: ClassVar[signal.Signals]
    # How to ask it to stop, and how many seconds to give it, before SIGKILL.
    stop_steps: ClassVar[tuple[tuple[signal.Signals, float], ...]]

    def __init__(self, places: Places) -> None:
        self.places = places
        self.log = places.logs / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @abstractmethod
    def prepare(self, lock: int, cancelled: threading.Event) -> None:
        """Bring the data into a state the server can start from; programs run for that are given ``lock``.

        No process of an earlier run is left by now.
        """

    @abstractmethod
    def command(self) -> list[str]:
        """The server's command line, an absolute path first."""

    @abstractmethod
    def probe(self) -> None:
        """Connect once; raises :class:`NotYet` until the server is of use."""

    @property
    def pid(self) -> int | None:
        """Process id while the server runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self, cancelled: threading.Event) -> None:
        """Start and wait until it answers.

        Raises :class:`ServiceUnavailable` with the end of the server's log, :class:`Stopped` when ``cancelled`` is set.
        """
        lock = os.open(self.places.data_dir / f"{self.name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._await_predecessor(lock, cancelled)
            self.trim_log()
            self._log_start = self.log.stat().st_size if self.log.exists() else 0
            self.prepare(lock, cancelled)
            self._process = self.launch(self.command(), lock, death_signal=self.death_signal)
        finally:
            # The server inherited it: it stays taken until the server's last process is gone.
            os.close(lock)
        try:
            self._await_answer(cancelled)
        except BaseException:
            self.stop()
            raise
        log.info("%s is ready (process %d).", self.title, self._process.pid)

    def stop(self) -> None:
        """Stop in good order if it runs; returns when the process is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        for number, patience_s in self.stop_steps:
            process.send_signal(number)
            try:
                process.wait(patience_s)
            except subprocess.TimeoutExpired:
                log.warning("%s did not stop within %g s of %s.", self.title, patience_s, number.name)
            else:
                break
        else:
            # The group, so that a guard that stayed does not shield its server.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdin:
            process.stdin.close()

    def launch(self, argv: list[str], lock: int, *, death_signal: signal.Signals) -> subprocess.Popen[bytes]:
        """Run ``argv`` as the servers' account, its output in the log, ended by ``death_signal`` when we die.

        It inherits ``lock``.
        """
        account = self.places.account
        orders = {
            "argv": argv,
            "parent": os.getpid(),
            "death_signal": int(death_signal),
            "uid": account.uid if account else None,
            "gid": account.gid if account else None,
            "watch": WATCH,
        }
        environment = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}
        if libraries := os.environ.get("LD_LIBRARY_PATH"):
            environment["LD_LIBRARY_PATH"] = libraries
        with self.log.open("ab") as output:
            # A session of its own: Ctrl-C in a terminal is for us, and we then stop the servers in order.
            return subprocess.Popen(
                [sys.executable, "-I", "-S", str(_GUARD), json.dumps(orders)],
                stdin=subprocess.PIPE if WATCH else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=environment,
                pass_fds=(lock,),
                start_new_session=True,
            )

    def failure(self, what: str) -> ServiceUnavailable:
        """An error that quotes what the server has logged since its last start."""
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            file.seek(max(self._log_start, self.log.stat().st_size - 64 * 1024))
            lines = file.read().decode("utf-8", "replace").splitlines()[-_QUOTED_LINES:]
            said = "\n".join(f"  {line}" for line in lines if line.strip())
            if said:
                return ServiceUnavailable(
                    msg("%(what)s Its log (%(log)s) ends:\n%(said)s", what=what, log=self.log, said=said),
                    log=str(self.log),
                )
        return ServiceUnavailable(
            msg("%(what)s Its log (%(log)s) is empty.", what=what, log=self.log), log=str(self.log)
        )

    def trim_log(self) -> None:
        """Keep the log bounded: past its limit it becomes ``.1``, in place of the one before. Safe while in use."""
        with contextlib.suppress(FileNotFoundError):
            if self.log.stat().st_size > _MAX_LOG_BYTES:
                # The server appends, so emptying the file under it loses nothing but what was just copied.
                shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
                os.truncate(self.log, 0)
                self._log_start = 0

    def _await_predecessor(self, lock: int, cancelled: threading.Event) -> None:
        deadline = time.monotonic() + _PREDECESSOR_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise ConfigurationError(
                        msg(
                            "A %(title)s process of an earlier run still uses %(path)s and has not ended within "
                            "%(predecessor_s)s s. Find it with `lsof %(data_dir)s/%(name)s.lock` and stop it.",
                            title=self.title,
                            path=self.places.home / self.name,
                            predecessor_s=format(_PREDECESSOR_S, "g"),
                            data_dir=self.places.data_dir,
                            name=self.name,
                        )
                    ) from None
                _pause(cancelled)
            else:
                return

    def _await_answer(self, cancelled: threading.Event) -> None:
        began = time.monotonic()
        while True:
            if self.pid is None:
                raise self.failure(f"The bundled {self.title} ended while starting.")
            try:
                self.probe()
            except NotYet as error:
                limit_s = _RECOVERY_S if error.recovering else _START_S
                if time.monotonic() - began > limit_s:
                    raise self.failure(
                        f"The bundled {self.title} did not answer within {limit_s:g} s ({error})."
                    ) from error
                _pause(cancelled)
            else:
                return


def _pause(cancelled: threading.Event) -> None:
    if cancelled.wait(_POLL_S):
        raise Stopped
