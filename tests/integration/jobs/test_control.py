import threading
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from tests.fixtures.jobs import Work
from tests.fixtures.waiting import wait_until
from yeban.accounts.viewer import UNRESTRICTED, Viewer
from yeban.chunks import leases
from yeban.database.engine import Database
from yeban.database.tables.states import JobState
from yeban.errors import Conflict, InvalidRequest, NotFound, msg
from yeban.jobs import control, views
from yeban.results.completion import finish_job


def test_cancel_is_immediate_when_nothing_is_claimed(work):
    job = work.job(4)
    control.cancel(work.database, job.id, viewer=UNRESTRICTED)
    view = work.view(job)
    assert view.state is JobState.CANCELLED
    assert "ended_at" in view.times


@pytest.fixture
def late_claim(work):
    """Claim chunks, and be stopped just before the commit until the block ends."""

    @contextmanager
    def late_claim(chunk_ids):
        reached, go_on = threading.Event(), threading.Event()
        database = Database(work.database.engine.url.render_as_string(hide_password=False))

        @event.listens_for(database.engine, "commit")
        def stop_once(_connection):
            reached.set()
            go_on.wait(120)

        def claim():
            held.extend(leases.claim(database, chunk_ids, worker_id=uuid.uuid4(), lease_s=60))

        held = []
        claiming = threading.Thread(target=claim)
        claiming.start()
        assert reached.wait(120)
        try:
            yield held
        finally:
            go_on.set()
            claiming.join(120)
            database.close()

    return late_claim


def test_no_result_is_added_to_a_job_once_it_is_cancelled(work, sweep, late_claim):
    job = work.job(8)
    first, second = work.chunk_ids(job)
    work.finish(work.claim([first]))
    cancelling = threading.Thread(target=control.cancel, args=[work.database, job.id], kwargs={"viewer": UNRESTRICTED})
    with late_claim([second]) as held:
        cancelling.start()
        waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        wait_until(lambda: work.column(waits) == [1], what="a cancel that waits for the claim")
    cancelling.join(120)
    sweep()
    assert work.view(job).state is JobState.CANCELLING
    work.finish(held)
    sweep()
    assert work.view(job).state is JobState.CANCELLED
    assert len(work.results(job)) == 8


def test_claims_of_one_job_do_not_wait_for_one_another(work, late_claim):
    job = work.job(12)
    first, second, third = work.chunk_ids(job)
    work.claim([first])
    with late_claim([second]) as held:
        assert [lease.chunk_id for lease in work.claim([second, third])] == [third]
    assert [lease.chunk_id for lease in held] == [second]


def test_cancel_waits_for_claimed_chunks_and_keeps_their_results(work, sweep):
    job = work.job(8)
    held = work.claim(work.chunk_ids(job)[:1])
    control.cancel(work.database, job.id, viewer=UNRESTRICTED)
    assert work.view(job).state is JobState.CANCELLING
    work.finish(held)
    sweep()
    assert work.view(job).state is JobState.CANCELLED
    assert len(work.results(job)) == 4


def test_resume_runs_only_what_is_missing(work):
    job = work.job(8)
    ids = work.chunk_ids(job)
    work.finish(work.claim(ids[:1]))
    control.cancel(work.database, job.id, viewer=UNRESTRICTED)
    control.resume(work.database, job.id, viewer=UNRESTRICTED)
    rest = work.claim(ids)
    assert [lease.chunk_id for lease in rest] == ids[1:]
    work.finish(rest)
    finish_job(work.database, job.internal_id)
    assert work.view(job).state is JobState.COMPLETED
    assert len(work.results(job)) == 8


def test_a_paused_job_lets_claimed_chunks_finish_and_goes_on_when_resumed(work, sweep, finish_scored):
    job = work.job(4)
    held = work.claim(work.chunk_ids(job))
    control.pause(work.database, job.id, viewer=UNRESTRICTED)
    work.finish(held)
    sweep()
    assert work.view(job).state is JobState.PAUSED
    control.resume(work.database, job.id, viewer=UNRESTRICTED)
    assert finish_scored() == 1
    assert work.view(job).state is JobState.COMPLETED


def test_asking_twice_is_harmless(work):
    job = work.job(4)
    for verb in (control.pause, control.pause, control.resume, control.resume, control.cancel, control.cancel):
        verb(work.database, job.id, viewer=UNRESTRICTED)
    assert work.view(job).state is JobState.CANCELLED


def test_a_completed_job_cannot_be_changed(work):
    job = work.job(4)
    work.finish(work.claim(work.chunk_ids(job)))
    finish_job(work.database, job.internal_id)
    for verb, word in ((control.pause, "paused"), (control.cancel, "cancelled"), (control.resume, "resumed")):
        with pytest.raises(Conflict, match=f"completed cannot be {word}"):
            verb(work.database, job.id, viewer=UNRESTRICTED)


def test_someone_elses_job_is_not_found(work):
    job = work.job(4)
    for verb in (control.pause, control.cancel, control.resume):
        with pytest.raises(NotFound):
            verb(work.database, job.id, viewer=Viewer(name="mallory"))
        with pytest.raises(NotFound):
            verb(work.database, uuid.uuid4(), viewer=UNRESTRICTED)


def test_a_failed_job_keeps_its_reason_and_may_be_resumed(work):
    job = work.job(4)
    control.fail_job(work.database, job.internal_id, msg("no model"))
    view = work.view(job)
    assert (view.state, view.error) == (JobState.FAILED, msg("no model"))
    control.resume(work.database, job.id, viewer=UNRESTRICTED)
    assert (work.view(job).state, work.view(job).error) == (JobState.QUEUED, None)


def test_a_scheduled_job_waits_for_its_time(work, sweep, sender):
    job = work.job(4, start_at=datetime.now(UTC) + timedelta(hours=1))
    sweep()
    assert (work.view(job).state, sender.hinted) == (JobState.SCHEDULED, [])
    work.execute("UPDATE job SET start_at = now()")
    assert sweep().started == 1
    assert sender.hinted == work.chunk_ids(job)


def test_a_job_that_is_late_expires(work, sweep):
    job = work.job(4, expires_at=datetime.now(UTC) + timedelta(hours=1))
    work.execute("UPDATE job SET expires_at = now()")
    assert sweep().expired_jobs == 1
    assert work.view(job).state is JobState.EXPIRED


@pytest.mark.parametrize(
    "times",
    [
        {"start_at": datetime(2030, 1, 1)},  # noqa: DTZ001  # without a zone on purpose
        {"expires_at": datetime.now(UTC) - timedelta(seconds=1)},
        {"start_at": datetime.now(UTC) + timedelta(2), "expires_at": datetime.now(UTC) + timedelta(1)},
    ],
)
def test_impossible_times_are_refused(work, times):
    with pytest.raises(InvalidRequest):
        work.job(1, **times)


def test_jobs_are_listed_newest_first_in_pages(work):
    made = [work.job(1).id for _ in range(5)]
    first = views.list_jobs(work.database, limit=2, viewer=UNRESTRICTED)
    second = views.list_jobs(work.database, limit=2, before=first.next_before, viewer=UNRESTRICTED)
    third = views.list_jobs(work.database, limit=2, before=second.next_before, viewer=UNRESTRICTED)
    assert [view.id for page in (first, second, third) for view in page.jobs] == made[::-1]
    assert third.next_before is None
    control.cancel(work.database, made[1], viewer=UNRESTRICTED)
    assert [
        view.id for view in views.list_jobs(work.database, states=[JobState.CANCELLED], viewer=UNRESTRICTED).jobs
    ] == [made[1]]


def test_after_resume_only_what_was_done_since_counts_for_the_rate(work):
    job = work.job(100, chunk_rows=10)
    work.finish(work.claim(work.chunk_ids(job)[:4]))
    control.pause(work.database, job.id, viewer=UNRESTRICTED)
    control.resume(work.database, job.id, viewer=UNRESTRICTED)
    work.claim(work.chunk_ids(job)[4:5])
    assert work.view(job).progress.rows_per_s is None


def test_a_resumed_job_has_all_its_attempts_again(work, sweep):
    job = work.job(1)
    for _ in range(3):
        work.claim(work.chunk_ids(job))
        work.let_leases_run_out()
        sweep()
    control.fail_job(work.database, job.internal_id, msg("no model"))
    control.resume(work.database, job.id, viewer=UNRESTRICTED)
    assert [lease.attempt for lease in work.claim(work.chunk_ids(job))] == [1]


class _Standing:
    """A transaction in place of a database: ``now()`` is the same in all that is done, however long that takes."""

    def __init__(self, connection):
        self._connection = connection

    @contextmanager
    def begin(self):
        yield self._connection


@pytest.fixture
def taken_up(work):
    """The progress of a job whose present run began so many seconds ago."""

    def progress(job, seconds, *, since_queued=None, since_last_chunk=None):
        with work.database.begin() as connection:
            now = Work(_Standing(connection))
            now.execute(
                "UPDATE job SET running_at = now() - make_interval(secs => :s),"
                " queued_at = now() - make_interval(secs => :queued_s)",
                s=seconds,
                queued_s=since_queued or seconds,
            )
            if since_last_chunk is not None:
                now.execute(
                    "UPDATE chunk SET finished_at = now() - make_interval(secs => :s) WHERE state = 'done'",
                    s=since_last_chunk,
                )
            return now.view(job).progress

    return progress


def test_the_rate_and_eta_come_from_the_last_window(work, taken_up):
    job = work.job(100, chunk_rows=10)
    assert work.view(job).progress.rows_per_s is None
    work.finish(work.claim(work.chunk_ids(job)[:4]))
    progress = taken_up(job, 20)
    assert (progress.rows_per_s, progress.eta_s) == (pytest.approx(2.0), pytest.approx(30.0))
    work.execute("UPDATE chunk SET finished_at = now() - interval '5 minutes' WHERE state = 'done'")
    assert work.view(job).progress.rows_per_s is None


@pytest.mark.parametrize(("chunks", "running_s"), [(4, 5), (2, 20)])
def test_the_end_is_not_told_before_the_rate_is_steady(work, taken_up, chunks, running_s):
    job = work.job(100, chunk_rows=10)
    work.finish(work.claim(work.chunk_ids(job)[:chunks]))
    progress = taken_up(job, running_s)
    assert (progress.rows_per_s, progress.eta_s) == (pytest.approx(10 * chunks / running_s), None)


def test_the_end_of_a_slow_job_is_told_by_all_it_did_since_it_was_taken_up(work, taken_up):
    job = work.job(100, chunk_rows=10)
    work.finish(work.claim(work.chunk_ids(job)[:4]))
    progress = taken_up(job, 400, since_queued=500, since_last_chunk=100)
    assert (progress.rows_per_s, progress.eta_s) == (None, pytest.approx(600))


def test_jobs_are_found_by_a_part_of_their_files_name(work):
    made = [work.job(1) for _ in range(3)]
    for job, name in zip(made, ("Tickets 十一月.csv", "tickets_100%.csv", "other.xlsx"), strict=True):
        work.execute("UPDATE job SET source_name = :name WHERE id = :id", name=name, id=job.internal_id)

    def found(name: str) -> list[int]:
        page = views.list_jobs(work.database, name=name, viewer=UNRESTRICTED).jobs
        return sorted(made.index(job) for job in made if job.id in {view.id for view in page})

    assert [found(name) for name in ("", "TICKET", "十一", "_", "%", "none")] == [[0, 1, 2], [0, 1], [0], [1], [1], []]
