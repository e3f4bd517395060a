import uuid

from yeban.accounts.viewer import UNRESTRICTED
from yeban.chunks import hints, workers
from yeban.chunks.workers import WorkerInfo
from yeban.jobs import control


def _owners(work, chunk_ids):
    """The job of each chunk, in order."""
    return [work.column("SELECT job_id FROM chunk WHERE id = :id", id=chunk_id)[0] for chunk_id in chunk_ids]


def test_only_a_window_is_hinted(work, sender):
    work.job(100, chunk_rows=1)
    assert hints.top_up(work.database, sender) == hints.MIN_WINDOW
    assert hints.top_up(work.database, sender) == 0


def test_the_window_grows_with_the_live_workers(work, sender):
    work.job(200, chunk_rows=1)
    for _ in range(2):
        workers.beat(work.database, WorkerInfo(id=uuid.uuid4(), role="bulk", host="h", pid=1, models=[], window=16))
    assert hints.top_up(work.database, sender) == 64


def test_finished_chunks_make_room(work, sender):
    work.job(100, chunk_rows=1)
    hints.top_up(work.database, sender)
    work.finish(work.claim(sender.hinted[:5]))
    assert hints.top_up(work.database, sender) == 5


def test_a_small_job_gets_its_share_at_once(work, sender):
    big = work.job(1000, chunk_rows=1)
    hints.top_up(work.database, sender)
    small = work.job(50, chunk_rows=10)
    work.finish(work.claim(sender.hinted[:6]))
    sender.hinted.clear()
    hints.top_up(work.database, sender)
    owners = _owners(work, sender.hinted)
    assert owners.count(small.internal_id) == 5
    assert owners.count(big.internal_id) == 1


def test_two_equal_jobs_share_the_window_equally(work, sender):
    one, two = work.job(100, chunk_rows=1), work.job(100, chunk_rows=1)
    hints.top_up(work.database, sender)
    owners = _owners(work, sender.hinted)
    assert owners.count(one.internal_id) == owners.count(two.internal_id) == hints.MIN_WINDOW // 2


def test_a_paused_jobs_hints_do_not_hold_the_window(work, sender):
    paused = work.job(100, chunk_rows=1)
    hints.top_up(work.database, sender)
    control.pause(work.database, paused.id, viewer=UNRESTRICTED)
    other = work.job(100, chunk_rows=1)
    sender.hinted.clear()
    hints.top_up(work.database, sender)
    assert set(_owners(work, sender.hinted)) == {other.internal_id}


def test_a_resumed_job_is_hinted_at_once(work, sender):
    job = work.job(3, chunk_rows=1)
    hints.top_up(work.database, sender)
    control.pause(work.database, job.id, viewer=UNRESTRICTED)
    assert work.claim(sender.hinted) == []
    control.resume(work.database, job.id, viewer=UNRESTRICTED)
    sender.hinted.clear()
    assert hints.top_up(work.database, sender) == 3


def test_a_failed_send_is_no_error_and_is_made_up_for(work, sender):
    work.job(3, chunk_rows=1)
    sender.away = True
    assert hints.top_up(work.database, sender) == 0
    sender.away = False
    assert hints.top_up(work.database, sender) == 3
