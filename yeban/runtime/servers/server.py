"""A bundled server: its process with a lock and a start that waits for an answer."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import subprocess
import threading
import time
from abc import abstractmethod
from typing import ClassVar

from yeban.errors import ConfigurationError, msg
from yeban.runtime.process import Stopped, SupervisedProcess
from yeban.runtime.servers.places import Places

log = logging.getLogger(__name__)

_POLL_S = 0.02
_START_S = 60.0
# A recovering server must not be stopped: it would begin again.
_RECOVERY_S = 1800.0
_PREDECESSOR_S = 30.0


class NotYet(Exception):
    """The server does not answer yet. ``recovering`` is true while it reads its data."""

    def __init__(self, detail: str, *, recovering: bool = False) -> None:
        super().__init__(detail)
        self.recovering = recovering


class Server(SupervisedProcess):
    """A server under ``places``."""

    name: ClassVar[str]

    def __init__(self, places: Places) -> None:
        super().__init__(places.logs / f"{self.name}.log")
        self.places = places

    @abstractmethod
    def prepare(self, lock: int, cancelled: threading.Event) -> None:
        """Prepare the data for a start. Programs that run for it inherit ``lock``.

        No process of an earlier run is left.
        """

    @abstractmethod
    def command(self) -> list[str]:
        """The server's command line, an absolute path first."""

    @abstractmethod
    def probe(self) -> None:
        """Connect once. Raises :class:`NotYet` until the server is usable."""

    def start(self, cancelled: threading.Event) -> None:
        """Start and wait until it answers.

        Raises :class:`ServiceUnavailable` with the end of the server's log, :class:`Stopped` when ``cancelled`` is set.
        """
        lock = os.open(self.places.data_dir / f"{self.name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._await_predecessor(lock, cancelled)
            self.mark_log()
            self.prepare(lock, cancelled)
            self._process = self.launch_server(self.command(), lock)
        finally:
            # The server inherited the lock: it is free once the server's last process is gone.
            os.close(lock)
        try:
            self._await_answer(cancelled)
        except BaseException:
            self.stop()
            raise
        log.info("%s is ready (process %d).", self.title, self._process.pid)

    def launch_server(
        self, argv: list[str], lock: int, death_signal: signal.Signals | None = None
    ) -> subprocess.Popen[bytes]:
        """Run ``argv`` as the servers' account. It inherits ``lock``."""
        environment = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}
        if libraries := os.environ.get("LD_LIBRARY_PATH"):
            environment["LD_LIBRARY_PATH"] = libraries
        account = self.places.account
        user = (account.uid, account.gid) if account else None
        return self.launch(argv, environment=environment, death_signal=death_signal, user=user, lock=lock, cwd="/")

    def _await_predecessor(self, lock: int, cancelled: threading.Event) -> None:
        deadline = time.monotonic() + _PREDECESSOR_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise ConfigurationError(
                        msg(
                            "A %(title)s process from an earlier run still uses %(path)s and did not exit "
                            "within %(predecessor_s)s s. Find it with `lsof %(data_dir)s/%(name)s.lock` and "
                            "stop it.",
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
                raise self.failure(msg("The bundled %(server)s exited during startup.", server=self.title))
            try:
                self.probe()
            except NotYet as error:
                limit_s = _RECOVERY_S if error.recovering else _START_S
                if time.monotonic() - began > limit_s:
                    raise self.failure(
                        msg(
                            "The bundled %(server)s did not answer within %(limit_s)s s (%(error)s).",
                            server=self.title,
                            limit_s=int(limit_s),
                            error=error,
                        )
                    ) from error
                _pause(cancelled)
            else:
                return


def _pause(cancelled: threading.Event) -> None:
    if cancelled.wait(_POLL_S):
        raise Stopped
