import threading

import pytest

from yeban.database.tables.states import JobState
from yeban.errors import Conflict, InvalidRequest, InvalidTable
from yeban.jobs.creation import NewJob, find_replay
from yeban.labels import LabelSet


def test_a_job_has_its_rows_and_chunks_that_cover_them_exactly(work):
    job = work.job(10, chunk_rows=4)
    with_ranges = work.column(
        "SELECT first_row || '-' || last_row FROM chunk WHERE job_id = :job ORDER BY first_row", job=job.internal_id
    )
    assert with_ranges == ["1-4", "5-8", "9-10"]
    assert job.state is JobState.QUEUED
    assert job.progress.rows == 10
    assert work.column('SELECT text FROM "row" ORDER BY row_no') == [f"row {n}" for n in range(1, 11)]


def test_every_cell_is_kept_even_with_nul_and_quotes(work):
    job = work.job(['"a\x00b ""c""",x'])
    assert work.column('SELECT cells FROM "row" WHERE job_id = :job', job=job.internal_id) == [['a\x00b "c"', "x"]]


def test_a_table_that_breaks_off_leaves_nothing_behind(work):
    with pytest.raises(InvalidTable):
        work.job(["good,甲"] * 5_000 + ['"never closed'])
    assert work.column("SELECT count(*) FROM job") == [0]
    assert work.column('SELECT count(*) FROM "row"') == [0]


def test_the_same_key_and_request_make_one_job(work):
    first = work.job(3, idempotency_key="k")
    second = work.job(3, idempotency_key="k")
    assert second.id == first.id
    assert work.column("SELECT count(*) FROM job") == [1]


def test_the_same_key_with_another_request_is_refused(work):
    work.job(3, idempotency_key="k")
    with pytest.raises(Conflict, match="idempotency key"):
        work.job(3, idempotency_key="k", label_set=LabelSet.of("甲,乙,丙"))


def test_find_replay_answers_before_the_file_is_read(work):
    job = work.job(3, idempotency_key="k")
    new = NewJob(
        label_set=LabelSet.of("甲,乙"),
        model="e5-small",
        source_name="made.csv",
        source_sha256="0" * 64,
        chunk_rows=4,
        owner="",
        team="",
        idempotency_key="k",
    )
    found = find_replay(work.database, new, new.request_sha256({}))
    assert found is not None
    assert (found.public_id, found.replayed) == (job.id, True)


def test_one_key_sent_twice_at_the_same_time_makes_one_job(work):
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(work.job(2_000, idempotency_key="same").id)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert len(set(made)) == 1
    assert work.column("SELECT count(*) FROM job") == [1]


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_a_key_of_a_bad_length_is_refused(work, key):
    with pytest.raises(InvalidRequest, match="200 characters"):
        work.job(1, idempotency_key=key)
