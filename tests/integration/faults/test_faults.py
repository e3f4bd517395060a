"""Jobs that go through a disaster: each must end with exactly one result a row."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
import redis
from sqlalchemy import text

from tests.fixtures.waiting import wait_until
from yeban.accounts.viewer import UNRESTRICTED
from yeban.database import engine
from yeban.database.tables.states import JobState
from yeban.errors import ServiceUnavailable
from yeban.jobs import control
from yeban.runtime.servers import open_servers
from yeban.settings import load_settings

COMPLETED = JobState.COMPLETED
#: More texts than there are, however often some are scored again.
ALL = 1_000_000


def assert_one_result_a_row(work, job, *, errors: int = 0):
    rows = work.results(job)
    assert [row_no for row_no, _ in rows] == list(range(1, job.progress.rows + 1))
    assert sum(status == "error" for _, status in rows) == errors
    progress = work.view(job).progress
    assert (progress.done, progress.ok, progress.errors) == (len(rows), len(rows) - errors, errors)


def test_a_job_is_tagged_by_a_real_worker(work, submit, start_worker, await_state):
    job = submit(500, chunk_rows=16)
    worker = start_worker()
    await_state(job, COMPLETED)
    assert_one_result_a_row(work, job)
    assert worker.stop() == 0


def test_kill_9_of_a_worker_in_mid_group_loses_and_doubles_nothing(
    work, submit, start_worker, await_claim, await_state
):
    job = submit(200, chunk_rows=8)
    first = start_worker(allowed=0)
    await_claim()
    first.kill()
    assert work.column("SELECT count(*) FROM chunk WHERE state = 'leased'")[0] > 0
    start_worker()
    await_state(job, COMPLETED)
    assert_one_result_a_row(work, job)


def test_a_worker_told_to_stop_finishes_the_slice_in_the_engine_and_gives_the_rest_back(
    work, submit, start_worker, await_state
):
    job = submit(64, chunk_rows=8, refine=False)
    first = start_worker(allowed=12, heavy=True, YEBAN_LEASE_S="60", YEBAN_DRAIN_S="120")
    wait_until(lambda: work.view(job).progress.done > 0, what="the first results")
    first.await_calls(2)  # four of the second slice's eight rows are left to be scored
    first.process.terminate()
    first.await_stopping()
    first.allow(ALL)
    assert first.await_end() == 0
    assert work.view(job).progress.done == 16, "the rest of the slice, and not of the group"
    assert work.column("SELECT count(*) FROM chunk WHERE state = 'leased'") == [0]
    assert work.column("SELECT max(attempt) FROM chunk WHERE state = 'queued'") == [0]
    assert work.column("SELECT count(*) FROM worker") == [0]
    start_worker()
    await_state(job, COMPLETED)
    assert_one_result_a_row(work, job)


def test_a_worker_told_to_stop_breaks_off_a_slice_that_outlasts_the_drain(work, submit, start_worker, await_state):
    job = submit(200, chunk_rows=200)
    # A minute's work, given up after a second, a minute before the process would be ended the hard way.
    first = start_worker(per_text_s=0.3, heavy=True, YEBAN_DRAIN_S="60", FAKE_ABANDON_AT="0.02", YEBAN_LEASE_S="60")
    first.await_calls(1)
    assert first.stop() == 0
    assert work.column("SELECT state || attempt FROM chunk") == ["queued0"]
    start_worker()
    await_state(job, COMPLETED)
    assert_one_result_a_row(work, job)


def test_a_slow_group_that_makes_progress_is_not_stuck_and_keeps_its_leases(work, submit, start_worker, await_state):
    job = submit(18, chunk_rows=18)
    # Its one slice takes half as long again as the deadline and the lease, which a machine may stand still for.
    slow = start_worker(per_text_s=0.5, heavy=True, YEBAN_GROUP_DEADLINE_S="6", YEBAN_LEASE_S="6")
    await_state(job, COMPLETED)
    assert_one_result_a_row(work, job)
    assert work.column("SELECT max(attempt) FROM chunk") == [1]
    assert slow.stop() == 0


def test_kill_9_between_slices_costs_only_the_slice_in_the_engine(work, submit, start_worker, await_state):
    job = submit(32, chunk_rows=8, refine=False)
    first = start_worker(allowed=12, heavy=True, YEBAN_LEASE_S="60")
    wait_until(lambda: work.view(job).progress.done > 0, what="the first slice's results")
    first.await_calls(2)
    first.kill()
    stored = work.column("SELECT id FROM chunk WHERE state = 'done'")
    assert len(stored) == 1
    work.let_leases_run_out()
    start_worker()
    await_state(job, COMPLETED)
    assert set(work.column("SELECT attempt FROM chunk WHERE id = ANY(:ids)", ids=stored)) == {1}
    assert_one_result_a_row(work, job)


def test_a_cancel_takes_hold_before_a_slow_group_is_through(work, submit, start_worker, await_state):
    job = submit(64, chunk_rows=8, refine=False)
    worker = start_worker(allowed=12, heavy=True, YEBAN_LEASE_S="60")
    wait_until(lambda: work.view(job).progress.done > 0, what="the first results")
    worker.await_calls(2)
    control.cancel(work.database, job.id, viewer=UNRESTRICTED)
    worker.allow(ALL)
    cancelled = await_state(job, JobState.CANCELLED)
    assert cancelled.progress.done == len(work.results(job)) <= 32


def test_heartbeats_tell_how_the_caches_do(work, start_worker):
    start_worker()

    def told():
        return work.column("SELECT cache FROM worker")

    (cache,) = wait_until(told, what="a heartbeat")
    assert {store: set(layers) for store, layers in cache.items()} == {
        "labels": {"memory", "redis"},
        "texts": {"memory"},
        "pairs": {"memory", "redis"},
    }
    assert cache["pairs"]["redis"]["hits"] == 0


def test_a_worker_that_stood_still_past_its_lease_cannot_mix_in(work, submit, start_worker, await_state):
    job = submit(64, chunk_rows=8)
    frozen = start_worker(allowed=0)
    # Not earlier: standing still within a transaction, it would lose its connection and give up by itself.
    frozen.await_calls(1)
    frozen.send(signal.SIGSTOP)
    start_worker()
    await_state(job, COMPLETED)
    frozen.allow(ALL)
    frozen.send(signal.SIGCONT)
    frozen.await_log("lease was lost")
    assert frozen.stop() == 0
    assert_one_result_a_row(work, job)


def test_a_process_that_stands_still_in_a_transaction_loses_its_locks(work, monkeypatch):
    monkeypatch.setattr(engine, "_IDLE_IN_TRANSACTION_MS", 300)
    frozen = engine.Database(work.database.engine.url.render_as_string(hide_password=False))
    job = work.job(4)

    def hold_a_row_lock_and_stand_still() -> None:
        with frozen.begin() as connection:
            connection.execute(text("UPDATE job SET error = '{}'"))
            control.cancel(work.database, job.id, viewer=UNRESTRICTED)  # waits for that lock
            connection.execute(text("SELECT 1"))

    with pytest.raises(ServiceUnavailable):
        hold_a_row_lock_and_stand_still()
    frozen.close()
    assert work.view(job).state is JobState.CANCELLED


def test_a_poison_row_that_kills_its_worker_costs_only_itself(work, submit, start_worker, await_state):
    job = submit(["fine,甲", "CRASH,甲", "fine,甲", "fine,甲"], chunk_rows=2)
    workers = [start_worker(YEBAN_LEASE_S="60")]

    def ended():
        if workers[-1].process.poll() is not None:  # what the supervisor does in production
            work.let_leases_run_out()
            workers.append(start_worker(YEBAN_LEASE_S="60"))
        return work.view(job).state is JobState.COMPLETED_WITH_ERRORS

    wait_until(ended, timeout_s=300, what="the job's end")
    assert_one_result_a_row(work, job, errors=1)
    assert work.column("SELECT row_no FROM result WHERE status = 'error'") == [2]


def test_a_stuck_group_ends_its_process_and_its_work_is_done_elsewhere(
    work, submit, start_worker, await_claim, await_state
):
    job = submit(8, chunk_rows=8)
    stuck = start_worker(per_text_s=60.0, YEBAN_GROUP_DEADLINE_S="1")
    await_claim()
    assert stuck.await_end() == 70
    start_worker()
    await_state(job, COMPLETED)
    assert_one_result_a_row(work, job)


def test_flushing_redis_in_the_middle_loses_nothing(work, submit, start_worker, await_state, redis_url):
    job = submit(400, chunk_rows=8, refine=False)
    worker = start_worker(allowed=64, YEBAN_LEASE_S="60")
    wait_until(lambda: work.view(job).progress.done > 0, what="the first results")
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    worker.allow(ALL)
    await_state(job, COMPLETED)
    assert_one_result_a_row(work, job)


@pytest.fixture
def own_folder(fast_folder):
    """A data directory that the servers' account can reach, gone after the test."""
    folder = Path(tempfile.mkdtemp(prefix="yeban-test-", dir=fast_folder))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def test_kill_9_of_valkey_in_the_middle_loses_nothing(work, start_worker, await_state, own_folder):
    job = work.job(1_000, chunk_rows=8)
    database_url = work.database.engine.url.render_as_string(hide_password=False)
    with open_servers(load_settings(data_dir=own_folder, database_url=database_url)) as endpoints:
        worker = start_worker(per_text_s=0.008, redis_url=endpoints.redis_url)
        wait_until(lambda: work.view(job).progress.done > 0, what="the first results")
        for _ in range(2):
            before = work.view(job).progress.done
            _kill_server(endpoints.redis_url)
            wait_until(lambda seen=before: work.view(job).progress.done > seen, what="progress after the restart")
        await_state(job, COMPLETED)
        assert worker.process.poll() is None, "the worker must outlive its broker"
        assert worker.stop() == 0
    assert_one_result_a_row(work, job)


def test_without_redis_nothing_is_lost_and_work_goes_on_when_it_is_back(work, sender, sweep, start_worker, await_state):
    sender.away = True
    job = work.job(32, chunk_rows=8)
    sweep()
    assert work.view(job).state is JobState.QUEUED
    start_worker()
    await_state(job, COMPLETED)
    assert_one_result_a_row(work, job)


def test_a_worker_that_begins_while_the_database_is_away_waits_for_it(work, submit, start_worker, await_state):
    job = submit(32, chunk_rows=8)
    name = work.database.engine.url.database
    work.database.close()
    with work.unreachable(name):
        worker = start_worker()
        worker.await_log("waiting for the database")
    await_state(job, COMPLETED)
    assert worker.process.poll() is None
    assert_one_result_a_row(work, job)


def test_a_small_job_behind_a_huge_one_ends_soon(work, submit, start_worker, await_state):
    # Three quarters of a minute of work at least, of which the small job waits for a second.
    huge = submit(40_000, chunk_rows=128)
    start_worker(per_text_s=0.001)
    wait_until(lambda: work.view(huge).progress.done > 0, what="the huge job's first results")
    small = submit(50, chunk_rows=128)
    done_before = work.view(huge).progress.done
    await_state(small, COMPLETED)
    huge_now = work.view(huge)
    assert huge_now.state is JobState.RUNNING
    assert huge_now.progress.done - done_before < 20_000
    assert_one_result_a_row(work, small)
    control.cancel(work.database, huge.id, viewer=UNRESTRICTED)


def test_cancel_pause_and_resume_while_workers_run(work, submit, start_worker, await_state):
    job = submit(600, chunk_rows=8, refine=False)
    worker = start_worker(allowed=40, YEBAN_LEASE_S="60")
    wait_until(lambda: work.view(job).progress.done > 0, what="the first results")
    control.pause(work.database, job.id, viewer=UNRESTRICTED)
    worker.allow(100)
    wait_until(lambda: not work.column("SELECT id FROM chunk WHERE state = 'leased'"), what="the last claimed chunk")
    held = work.view(job)
    assert 0 < held.progress.done < 600
    assert held.state is JobState.PAUSED
    control.resume(work.database, job.id, viewer=UNRESTRICTED)
    worker.allow(200)
    wait_until(lambda: work.view(job).progress.done > held.progress.done, what="progress after resume")
    control.cancel(work.database, job.id, viewer=UNRESTRICTED)
    worker.allow(ALL)
    cancelled = await_state(job, JobState.CANCELLED)
    assert cancelled.progress.done == len(work.results(job)) < 600
    control.resume(work.database, job.id, viewer=UNRESTRICTED)
    await_state(job, COMPLETED)
    assert_one_result_a_row(work, job)


def test_two_workers_share_a_job(work, submit, start_worker, await_state):
    workers = [start_worker(allowed=0, YEBAN_LEASE_S="60"), start_worker(allowed=0, YEBAN_LEASE_S="60")]
    wait_until(lambda: work.column("SELECT count(*) FROM worker") == [2], what="two live workers")
    job = submit(2_000, chunk_rows=16)
    holders = "SELECT count(DISTINCT worker_id) FROM chunk WHERE state = 'leased'"
    wait_until(lambda: work.column(holders) == [2], what="chunks of both workers")
    for worker in workers:
        worker.allow(ALL)
    await_state(job, COMPLETED)
    assert_one_result_a_row(work, job)


def _kill_server(redis_url: str) -> None:
    """Kill -9 the Redis server behind ``redis_url`` once it answers."""

    def pid() -> int | None:
        try:
            with redis.Redis.from_url(redis_url) as client:
                return client.info("server")["process_id"]
        except redis.ConnectionError:
            return None

    os.kill(wait_until(pid, what="a running Valkey"), signal.SIGKILL)
