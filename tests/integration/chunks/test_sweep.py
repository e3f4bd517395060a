import threading

from yeban.chunks import outcomes
from yeban.database.tables.states import JobState


def _lose(work, sweep, times, ids=None):
    for _ in range(times):
        claimed = work.claim(ids or work.column("SELECT id FROM chunk WHERE state = 'queued'"))
        assert claimed
        work.let_leases_run_out()
        sweep()


def test_a_lost_lease_is_claimable_again(work, sweep):
    job = work.job(4)
    ids = work.chunk_ids(job)
    work.claim(ids)
    work.let_leases_run_out()
    assert sweep().lost_leases == 1
    assert [lease.attempt for lease in work.claim(ids)] == [2]


def test_a_chunk_that_keeps_losing_its_worker_is_halved(work, sweep):
    job = work.job(4)
    _lose(work, sweep, outcomes.MAX_LOST_LEASES, work.chunk_ids(job))
    ranges = work.column("SELECT first_row || '-' || last_row FROM chunk ORDER BY first_row")
    assert ranges == ["1-2", "3-4"]


def test_a_row_that_keeps_killing_its_worker_becomes_an_error_and_the_job_ends(work, sweep):
    job = work.job(1)
    _lose(work, sweep, outcomes.MAX_LOST_LEASES_ROW)
    assert work.results(job) == [(1, "error")]
    assert work.view(job).state is JobState.COMPLETED_WITH_ERRORS


def test_lost_hints_are_sent_again(work, sweep, sender):
    job = work.job(8)
    sweep()
    assert sender.hinted == work.chunk_ids(job)
    sender.hinted.clear()
    sweep()
    assert sender.hinted == []
    work.execute("UPDATE chunk SET hinted_at = now() - interval '31 s'")
    assert sweep().lost_hints == 2
    assert sender.hinted == work.chunk_ids(job)


def test_a_job_whose_end_message_was_lost_is_ended(work, finish_scored):
    job = work.job(4)
    work.finish(work.claim(work.chunk_ids(job)))
    assert finish_scored() == 1
    assert work.view(job).state is JobState.COMPLETED


def test_a_job_left_in_finishing_by_a_dead_worker_is_ended(work, sweep):
    job = work.job(4)
    work.finish(work.claim(work.chunk_ids(job)))
    work.execute("UPDATE job SET state = 'finishing'")
    sweep()
    assert work.view(job).state is JobState.COMPLETED


def test_sweepers_at_once_do_each_thing_once(work, sweep):
    jobs = [work.job(40, chunk_rows=1) for _ in range(3)]
    for job in jobs[:2]:
        work.finish(work.claim(work.chunk_ids(job)))
    work.claim(work.chunk_ids(jobs[2]))
    work.let_leases_run_out()
    swept = []
    barrier = threading.Barrier(4)

    def run() -> None:
        barrier.wait()
        swept.append(sweep())

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(swept) == 4
    assert sum(one.lost_leases for one in swept) == 40
    assert [work.view(job).state for job in jobs] == [JobState.COMPLETED, JobState.COMPLETED, JobState.RUNNING]
    assert work.column("SELECT DISTINCT attempt FROM chunk WHERE job_id = :job", job=jobs[2].internal_id) == [1]


def test_what_a_clock_gave_that_was_set_back_since_does_not_last(work, sweep, sender, finish_scored):
    leased, hinted, ended = work.job(4), work.job(4), work.job(4)
    work.claim(work.chunk_ids(leased))
    work.finish(work.claim(work.chunk_ids(ended)))
    work.execute("UPDATE chunk SET lease_until = now() + interval '2 hours' WHERE state = 'leased'")
    work.execute(
        "UPDATE chunk SET hinted_at = now() + interval '2 hours', not_before = now() + interval '2 hours'"
        " WHERE job_id = :job",
        job=hinted.internal_id,
    )
    work.execute(
        "UPDATE job SET state = 'finishing', ender_token = gen_random_uuid(), ender_until = now() + interval '2 hours'"
        " WHERE id = :job",
        job=ended.internal_id,
    )
    swept = sweep()
    assert (swept.lost_leases, swept.lost_hints) == (1, 1)
    assert set(sender.hinted) == {*work.chunk_ids(leased), *work.chunk_ids(hinted)}
    assert work.view(ended).state is JobState.COMPLETED
    assert len(work.claim(work.chunk_ids(hinted))) == 1


def test_a_lease_hint_and_end_that_are_under_way_are_left_alone(work, sweep):
    leased, hinted, ended = work.job(4), work.job(4), work.job(4)
    work.claim(work.chunk_ids(leased), lease_s=600)
    work.execute("UPDATE chunk SET hinted_at = now() WHERE job_id = :job", job=hinted.internal_id)
    work.finish(work.claim(work.chunk_ids(ended)))
    work.execute(
        "UPDATE job SET state = 'finishing', ender_token = gen_random_uuid(), ender_until = now() + interval '1 minute'"
        " WHERE id = :job",
        job=ended.internal_id,
    )
    swept = sweep()
    assert (swept.lost_leases, swept.lost_hints) == (0, 0)
    assert work.view(ended).state is JobState.FINISHING
