from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from tests.fixtures.waiting import wait_until
from yeban.errors import ConfigurationError, ServiceUnavailable
from yeban.runtime import supervisor
from yeban.runtime.process import SupervisedProcess
from yeban.runtime.programs import EXIT_MISCONFIGURED, EXIT_RECYCLED
from yeban.runtime.supervisor import Supervisor


class ShellProcess(SupervisedProcess):
    """A shell script; ``starts`` has the time of each start."""

    title = "The script"
    stop_steps = ((signal.SIGTERM, 60.0),)
    recycled_status = EXIT_RECYCLED
    hopeless_status = EXIT_MISCONFIGURED

    def __init__(self, log: Path, script: str) -> None:
        super().__init__(log)
        self._script = script
        self.starts: list[float] = []

    def start(self, cancelled: threading.Event) -> None:
        self.starts.append(time.monotonic())
        self.mark_log()
        self._process = self.launch(["/bin/sh", "-c", self._script], environment=dict(os.environ))


@contextmanager
def supervised(*processes: SupervisedProcess) -> Iterator[Supervisor]:
    running = Supervisor(processes)
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_POLL_S", 0.001)
    monkeypatch.setattr(supervisor, "_FIRST_PAUSE_S", 0.0001)
    monkeypatch.setattr(supervisor, "_WINDOW_S", 3600.0)


def test_a_process_that_keeps_ending_is_never_given_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    process = ShellProcess(tmp_path / "log", "echo out of luck; exit 1")

    with supervised(process) as running:
        wait_until(lambda: len(process.starts) > 8, what="the restarts")
        running.check()
        with pytest.raises(
            ServiceUnavailable, match=r"The script keeps exiting\. Its log .* ends with:\n  out of luck"
        ):
            running.check(starting=True)

    levels = [record.levelno for record in caplog.records if "ended" in record.message]
    assert levels[:5] == [logging.ERROR] * 5
    assert levels[5] == logging.CRITICAL


def test_restarts_wait_twice_as_long_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_FIRST_PAUSE_S", 0.01)
    process = ShellProcess(tmp_path / "log", "exit 1")

    with supervised(process):
        wait_until(lambda: len(process.starts) > 5, what="the restarts")

    pauses = [later - earlier for earlier, later in pairwise(process.starts[1:])]
    assert all(pause >= 0.01 * 2**deaths for deaths, pause in enumerate(pauses, 1))


def test_a_process_that_a_restart_does_not_help_is_reported(tmp_path: Path) -> None:
    process = ShellProcess(tmp_path / "log", f"echo YEBAN_PORT is taken; exit {EXIT_MISCONFIGURED}")

    with supervised(process) as running:

        def failure() -> str | None:
            try:
                running.check()
            except ConfigurationError as error:
                return error.detail
            return None

        told = wait_until(failure, what="the failure")

    assert "The script cannot start" in told
    assert "YEBAN_PORT is taken" in told
    assert len(process.starts) == 1


def test_a_process_that_asks_for_a_restart_does_not_count_as_dead(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    process = ShellProcess(tmp_path / "log", f"exit {EXIT_RECYCLED}")

    with supervised(process) as running:
        wait_until(lambda: len(process.starts) > 8, what="the restarts")
        running.check(starting=True)

    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_all_processes_stop_at_the_same_time(tmp_path: Path) -> None:
    """Each waits for the other to be asked: one after the other, they would be killed."""
    marks = [tmp_path / "first", tmp_path / "second"]
    processes = [
        ShellProcess(
            tmp_path / f"{mark.name}.log",
            f"trap 'touch {mark}; while [ ! -e {other} ]; do sleep 0.01; done; echo in order; exit' TERM;"
            " echo ready; while :; do sleep 0.01; done",
        )
        for mark, other in zip(marks, reversed(marks), strict=True)
    ]

    with supervised(*processes):
        wait_until(lambda: all("ready" in process.log.read_text() for process in processes), what="the scripts")

    assert all("in order" in process.log.read_text() for process in processes)
