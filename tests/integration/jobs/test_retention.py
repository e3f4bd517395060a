import threading

import pytest

from yeban.accounts.viewer import UNRESTRICTED, Viewer
from yeban.database.tables.states import JobState
from yeban.errors import Conflict, NotFound, msg
from yeban.jobs import control, retention, views
from yeban.results import corrections, refinement_data
from yeban.results import rows as results

TABLES = ("row", "chunk", "result", "embedding", "refined", "correction")


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(retention, "_BATCH_ROWS", 3)
    monkeypatch.setattr(retention, "_BATCH_EMBEDDINGS", 2)


def rows_of(work, job):
    """How many rows each table has of the job, itself included."""
    held = {
        table: work.column(f'SELECT count(*) FROM "{table}" WHERE job_id = :job', job=job.internal_id)[0]  # noqa: S608
        for table in TABLES
    }
    return held | {"job": work.column("SELECT count(*) FROM job WHERE id = :job", job=job.internal_id)[0]}


@pytest.fixture
def refined(work, ended):
    """A job of 180 rows with results, embeddings, refined rows and a correction."""
    corrections.correct(work.database, ended.id, {7: ["甲"]}, viewer=UNRESTRICTED)
    assert all(rows_of(work, ended).values())
    return ended


def test_a_deleted_job_is_gone_for_everyone_at_once(work, refined):
    retention.delete_job(work.database, refined.id, viewer=UNRESTRICTED)
    for call in (
        lambda: views.get_job(work.database, refined.id, viewer=UNRESTRICTED),
        lambda: control.resume(work.database, refined.id, viewer=UNRESTRICTED),
        lambda: refinement_data.ask_again(work.database, refined.id, viewer=UNRESTRICTED),
        lambda: corrections.correct(work.database, refined.id, {1: []}, viewer=UNRESTRICTED),
        lambda: retention.delete_job(work.database, refined.id, viewer=UNRESTRICTED),
    ):
        with pytest.raises(NotFound):
            call()
    assert views.list_jobs(work.database, viewer=UNRESTRICTED).jobs == ()


def test_what_a_deleted_job_held_is_removed_after_the_grace_and_nothing_else(work, refined):
    other = work.completed(10)
    before = rows_of(work, other)
    retention.delete_job(work.database, refined.id, viewer=UNRESTRICTED)
    assert retention.purge(work.database) == 0
    assert rows_of(work, refined)["row"] == 180, "downloads that have begun can end"
    assert retention.purge(work.database, grace_s=0) == 1
    assert not any(rows_of(work, refined).values())
    assert rows_of(work, other) == before


def test_a_clock_that_is_set_back_does_not_keep_a_deleted_job(work, refined):
    retention.delete_job(work.database, refined.id, viewer=UNRESTRICTED)
    work.execute("UPDATE job SET deleted_at = now() + interval '10 minutes'")
    assert retention.purge(work.database) == 0
    work.execute("UPDATE job SET deleted_at = now() + interval '50 minutes'")
    assert retention.purge(work.database) == 1


def test_a_purge_that_is_broken_off_is_taken_up_again(work, refined):
    retention.delete_job(work.database, refined.id, viewer=UNRESTRICTED)
    steps = iter([True, True, True, False])
    assert retention.purge(work.database, grace_s=0, wanted=lambda: next(steps)) == 0
    assert 0 < rows_of(work, refined)["row"] < 180
    assert retention.purge(work.database, grace_s=0) == 1
    assert not any(rows_of(work, refined).values())


def test_purges_at_once_remove_each_job_once(work):
    jobs = [work.completed(20) for _ in range(4)]
    for job in jobs:
        retention.delete_job(work.database, job.id, viewer=UNRESTRICTED)
    gone: list[int] = []
    barrier = threading.Barrier(3)

    def purge():
        barrier.wait()
        gone.append(retention.purge(work.database, grace_s=0))

    threads = [threading.Thread(target=purge) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(gone) == 3
    assert sum(gone) == 4
    assert work.column('SELECT count(*) FROM "row"') == [0]


def test_a_worker_that_finishes_while_its_job_is_purged_leaves_nothing_behind(work):
    job = work.job(8)
    held = work.claim(work.chunk_ids(job))
    control.fail_job(work.database, job.internal_id, msg("no model"))
    retention.delete_job(work.database, job.id, viewer=UNRESTRICTED)
    steps = iter([True, False])
    retention.purge(work.database, grace_s=0, wanted=lambda: next(steps))
    work.finish(held)
    assert retention.purge(work.database, grace_s=0) == 1
    assert not any(rows_of(work, job).values())


@pytest.mark.parametrize("stop", [None, control.pause, control.cancel])
def test_a_job_that_may_go_on_cannot_be_deleted(work, stop):
    job = work.job(4)
    work.claim(work.chunk_ids(job))
    if stop is not None:
        stop(work.database, job.id, viewer=UNRESTRICTED)
    with pytest.raises(Conflict, match="Cancel it first"):
        retention.delete_job(work.database, job.id, viewer=UNRESTRICTED)
    assert rows_of(work, job)["row"] == 4


def test_someone_else_cannot_delete_a_job(work):
    job = work.completed(4)
    with pytest.raises(NotFound):
        retention.delete_job(work.database, job.id, viewer=Viewer(name="somebody"))


def test_the_key_of_a_deleted_job_is_free_again(work):
    first = work.completed(4, idempotency_key="k")
    retention.delete_job(work.database, first.id, viewer=UNRESTRICTED)
    second = work.job(4, idempotency_key="k")
    assert second.id != first.id
    assert views.get_job(work.database, second.id, viewer=UNRESTRICTED).state is JobState.QUEUED


def test_old_ended_jobs_are_deleted_and_young_or_open_ones_kept(work):
    old, young, stopped = work.completed(4), work.completed(4), work.job(4)
    running = work.job(4)
    control.cancel(work.database, stopped.id, viewer=UNRESTRICTED)
    work.execute("UPDATE job SET created_at = now() - interval '40 days'")
    work.execute(
        "UPDATE job SET ended_at = now() - interval '31 days' WHERE public_id = ANY(:ids)", ids=[old.id, stopped.id]
    )
    assert retention.delete_old_jobs(work.database, 30) == 2
    assert {job.id for job in views.list_jobs(work.database, viewer=UNRESTRICTED).jobs} == {young.id, running.id}


def test_forgotten_embeddings_leave_the_job_and_its_refined_rows(work, refined):
    assert retention.forget_embeddings(work.database, 30) == 0
    work.execute("UPDATE job SET ended_at = now() - interval '31 days'")
    assert retention.forget_embeddings(work.database, 30) == 4
    held = rows_of(work, refined)
    assert (held["embedding"], held["refined"], held["result"]) == (0, 180, 180)
    assert not work.view(refined).embedded
    with pytest.raises(Conflict, match="kept no embeddings"):
        refinement_data.ask_again(work.database, refined.id, viewer=UNRESTRICTED)


def test_a_job_whose_embeddings_are_half_forgotten_cannot_be_refined_and_lose_what_it_has(work, refined):
    work.execute("UPDATE job SET ended_at = now() - interval '31 days'")
    steps = iter([True, False])
    assert retention.forget_embeddings(work.database, 30, wanted=lambda: next(steps)) == 2
    with pytest.raises(Conflict, match="kept no embeddings"):
        refinement_data.ask_again(work.database, refined.id, viewer=UNRESTRICTED)
    assert rows_of(work, refined)["refined"] == 180


def test_embeddings_are_not_forgotten_under_a_refinement(work, refined):
    refinement_data.ask_again(work.database, refined.id, viewer=UNRESTRICTED)
    work.execute("UPDATE job SET ended_at = now() - interval '31 days'")
    assert retention.forget_embeddings(work.database, 30) == 0


def test_a_download_of_a_job_that_is_removed_meanwhile_does_not_pass_for_all_of_it(work, refined, monkeypatch):
    monkeypatch.setattr(results, "_PAGE_ROWS", 50)
    rows = results.stream(work.database, refined)
    assert next(rows).row_no == 1
    retention.delete_job(work.database, refined.id, viewer=UNRESTRICTED)
    retention.purge(work.database, grace_s=0)
    with pytest.raises(NotFound, match="deleted while its results were being read"):
        list(rows)
