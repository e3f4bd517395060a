import threading

from yeban.accounts.viewer import UNRESTRICTED
from yeban.chunks import leases
from yeban.database.tables.states import JobState
from yeban.jobs import control


def test_a_claim_takes_the_chunk_and_starts_the_job(work):
    job = work.job(10)
    taken = work.claim(work.chunk_ids(job))
    assert [(lease.first_row, lease.last_row, lease.attempt) for lease in taken] == [(1, 4, 1), (5, 8, 1), (9, 10, 1)]
    assert work.view(job).state is JobState.RUNNING


def test_a_claimed_chunk_is_not_claimed_again(work):
    ids = work.chunk_ids(work.job(10))
    assert len(work.claim(ids)) == 3
    assert work.claim(ids) == []


def test_many_claimers_at_once_share_the_chunks_without_overlap(work):
    ids = work.chunk_ids(work.job(400, chunk_rows=4))
    taken: list[int] = []
    lock = threading.Lock()

    def claim(order: list[int]) -> None:
        for start in range(0, len(order), 7):
            mine = work.claim(order[start : start + 7])
            with lock:
                taken.extend(lease.chunk_id for lease in mine)

    threads = [threading.Thread(target=claim, args=(order,)) for order in (ids, ids[::-1], ids[50:] + ids[:50], ids)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == ids


def test_chunks_of_a_paused_or_cancelled_job_are_not_claimed(work):
    paused, cancelled = work.job(4), work.job(4)
    control.pause(work.database, paused.id, viewer=UNRESTRICTED)
    control.cancel(work.database, cancelled.id, viewer=UNRESTRICTED)
    assert work.claim(work.chunk_ids(paused) + work.chunk_ids(cancelled)) == []


def test_a_released_chunk_may_be_claimed_again_as_a_first_attempt(work):
    ids = work.chunk_ids(work.job(4))
    leases.release(work.database, work.claim(ids))
    assert [lease.attempt for lease in work.claim(ids)] == [1]


def test_a_deferred_chunk_waits(work):
    ids = work.chunk_ids(work.job(4))
    leases.release(work.database, work.claim(ids), delay_s=600)
    assert work.claim(ids) == []


def test_renewal_extends_only_leases_still_held(work, sweep):
    ids = work.chunk_ids(work.job(8))
    (kept,) = work.claim(ids[:1])
    (lost,) = work.claim(ids[1:])
    work.let_leases_run_out()
    leases.renew(work.database, [kept.token], lease_s=60)
    assert sweep().lost_leases == 1
    assert work.column("SELECT id FROM chunk WHERE state = 'leased'") == [kept.chunk_id]
    leases.renew(work.database, [lost.token], lease_s=60)
    assert work.column("SELECT state FROM chunk WHERE id = :id", id=lost.chunk_id) == ["queued"]


def test_the_first_worker_pins_the_model_for_all(work):
    job = work.job(4)
    assert leases.pin_model(work.database, job.internal_id, "one") == "one"
    assert leases.pin_model(work.database, job.internal_id, "two") == "one"


def test_only_leases_of_active_jobs_are_kept_and_the_others_are_given_back_untried(work):
    active, paused, cancelled = work.job(8), work.job(4), work.job(4)
    taken = work.claim([chunk_id for job in (active, paused, cancelled) for chunk_id in work.chunk_ids(job)])
    control.pause(work.database, paused.id, viewer=UNRESTRICTED)
    control.cancel(work.database, cancelled.id, viewer=UNRESTRICTED)

    kept = leases.keep_wanted(work.database, taken)

    assert {lease.chunk_id for lease in kept} == set(work.chunk_ids(active))
    assert work.column("SELECT state FROM chunk WHERE job_id = :id", id=paused.internal_id) == ["queued"]
    assert work.column("SELECT attempt FROM chunk WHERE state = 'queued'") == [0, 0]
    control.resume(work.database, paused.id, viewer=UNRESTRICTED)
    assert [lease.attempt for lease in work.claim(work.chunk_ids(paused))] == [1]


def test_a_lease_that_was_lost_is_not_kept_and_not_given_back(work, sweep):
    ids = work.chunk_ids(work.job(4))
    lost = work.claim(ids)
    work.let_leases_run_out()
    sweep()
    (now,) = work.claim(ids)

    assert leases.keep_wanted(work.database, lost) == []
    assert leases.keep_wanted(work.database, [now]) == [now]


def _reclaimed(work, sweep):
    """A lease that was lost, and the one under which its chunk was claimed again."""
    ids = work.chunk_ids(work.job(4))
    (stale,) = work.claim(ids)
    work.let_leases_run_out()
    sweep()
    (live,) = work.claim(ids)
    return stale, live


def test_beside_a_live_lease_a_lost_one_of_the_same_chunk_is_not_wanted(work, sweep):
    stale, live = _reclaimed(work, sweep)
    assert leases.keep_wanted(work.database, [stale, live]) == [live]


def test_giving_a_lost_lease_back_beside_another_chunks_leaves_its_chunk_alone(work, sweep):
    first, second = work.chunk_ids(work.job(8))
    (stale,) = work.claim([first])
    work.let_leases_run_out()
    sweep()
    _, other = work.claim([first, second])
    leases.release(work.database, [stale, other])
    assert work.column("SELECT state FROM chunk ORDER BY id") == ["leased", "queued"]
