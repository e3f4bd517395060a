"""Real worker processes on real servers, and the means to hurt them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fixtures.waiting import wait_until
from yeban.chunks import hints
from yeban.database.tables.states import JobState
from yeban.messaging.queues import TaskSender
from yeban.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[3]

# Short times, so that what takes half a minute in production takes a second here.
TIMES = {
    "YEBAN_LEASE_S": "1.5",
    "YEBAN_HEARTBEAT_S": "0.3",
    "YEBAN_SWEEP_INTERVAL_S": "0.3",
    "YEBAN_HINT_TTL_S": "3",
    "YEBAN_GROUP_CHUNKS": "4",
    "YEBAN_BULK_NICE": "0",  # or whatever else the machine does comes before them
}


class WorkerUnderTest:
    """One ``tests.fixtures.fake_worker`` process."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, allowance: Path) -> None:
        self.process = process
        self.log = log
        self._allowance = allowance

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def allow(self, texts: int) -> None:
        """Let the engine of one that was started with ``allowed`` score so many texts in all."""
        draft = self._allowance.with_suffix(".new")
        draft.write_text(str(texts), encoding="ascii")
        draft.replace(self._allowance)

    def await_log(self, words: str, *, times: int = 1) -> None:
        """Wait until it has said something so often."""
        wait_until(lambda: self.log.read_bytes().count(words.encode()) >= times, what=f"“{words}” in the log")

    def await_calls(self, calls: int) -> None:
        """Wait until so many calls of the engine have begun."""
        self.await_log("the engine begins a call", times=calls)

    def await_stopping(self) -> None:
        """Wait until it knows that it is to stop."""
        self.await_log("nothing more is begun")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(60)

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        self.process.terminate()
        return self.await_end()

    def await_end(self) -> int:
        """Wait for its end by itself; returns the exit status."""
        return self.process.wait(180)


@pytest.fixture
def start_worker(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Callable[..., WorkerUnderTest]]:
    """Start a worker whose engine takes ``per_text_s`` a text; with ``heavy`` a chunk is a slice of its own.

    After ``allowed`` texts the engine waits until it is allowed more. What must come before it is through is done
    meanwhile: then no machine is too slow for it, or too fast. The job is not to be refined then, or what is scored
    would wait for its embeddings until the engine is free.
    """
    started: list[WorkerUnderTest] = []

    def start(
        role: str = "bulk",
        *,
        per_text_s: float = 0.0,
        allowed: int | None = None,
        heavy: bool = False,
        redis_url: str = redis_url,
        **settings: str,
    ) -> WorkerUnderTest:
        text_tokens = 100_000 if heavy else 1
        log = tmp_path / f"{role}-{len(started)}.log"
        environment = os.environ | TIMES | settings
        allowance = tmp_path / f"{role}-{len(started)}.allowance"
        environment |= {"YEBAN_DATABASE_URL": database_url, "YEBAN_REDIS_URL": redis_url}
        environment = {"YEBAN_LOG_LEVEL": "INFO"} | environment
        if allowed is not None:
            allowance.write_text(str(allowed), encoding="ascii")
            environment["FAKE_ALLOWANCE"] = str(allowance)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.fixtures.fake_worker", role, str(per_text_s), str(text_tokens)],
                env=environment,
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        started.append(WorkerUnderTest(process, log, allowance))
        return started[-1]

    yield start
    for worker in started:
        if worker.process.poll() is None:
            worker.process.send_signal(signal.SIGCONT)
            worker.kill()


@pytest.fixture
def settings() -> Settings:
    return load_settings()


@pytest.fixture
def submit(work, settings, redis_url):
    """Create a job and hint it, as the web does."""
    sender = TaskSender.connect("tests", settings, redis_url)

    def submit(*args, **options):
        job = work.job(*args, **options)
        hints.top_up(work.database, sender)
        return job

    return submit


@pytest.fixture
def await_state(work):
    def await_state(job, *states: JobState, timeout_s: float = 180.0):
        return wait_until(
            lambda: (view := work.view(job)).state in states and view,
            timeout_s=timeout_s,
            what=f"job in {' or '.join(states)}",
        )

    return await_state


@pytest.fixture
def await_claim(work):
    """Wait until a worker holds a chunk."""

    def await_claim():
        wait_until(lambda: work.column("SELECT id FROM chunk WHERE state = 'leased'"), what="a claimed chunk")

    return await_claim
