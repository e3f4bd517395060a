"""A worker that has grown too large ends in order, and its work is done by the next."""

from __future__ import annotations

from pathlib import Path

from tests.fixtures.waiting import wait_until
from yeban.database.tables.states import JobState
from yeban.runtime.programs import EXIT_RECYCLED


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(float(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def _limit(work, start_worker) -> str:
    """Somewhat over what a worker of these tests takes."""
    worker = start_worker()
    wait_until(lambda: work.column("SELECT id FROM worker"), what="a heartbeat")
    taken = _resident_mb(worker.process.pid)
    worker.kill()
    work.execute("DELETE FROM worker")
    return str(round(taken) + 100)


def test_a_worker_over_its_memory_limit_ends_in_order_and_loses_nothing(work, submit, start_worker, await_state):
    limit = _limit(work, start_worker)
    job = submit(["fine,甲"] * 16 + ["GROW,甲"] + ["fine,甲"] * 47, chunk_rows=8, refine=False)
    # The row that makes it grow is in the third slice of the first group, and so among the first five where a second
    # group takes turns with it; the sixth waits until it was found out.
    grown = start_worker(allowed=40, heavy=True, YEBAN_MAX_RSS_MB=limit, YEBAN_LEASE_S="60", YEBAN_DRAIN_S="120")
    grown.await_stopping()
    grown.allow(1_000_000)
    assert grown.await_end() == EXIT_RECYCLED
    assert work.column("SELECT count(*) FROM chunk WHERE state = 'leased'") == [0]
    assert work.column("SELECT max(attempt) FROM chunk WHERE state = 'queued'") == [0], "given back untried"
    assert work.column("SELECT count(*) FROM worker") == [0]
    assert 0 < work.view(job).progress.done < 64
    start_worker()
    await_state(job, JobState.COMPLETED)
    assert [row_no for row_no, _ in work.results(job)] == list(range(1, 65))


def test_a_worker_does_not_start_under_a_limit_that_its_model_exceeds(start_worker):
    worker = start_worker(YEBAN_MAX_RSS_MB="100")
    assert worker.await_end() != 0
    assert "ConfigurationError: YEBAN_MAX_RSS_MB=100" in worker.log.read_text(encoding="utf-8")
