"""How long a job would take, told from jobs that ended."""

from __future__ import annotations

import pytest

from yeban.jobs.estimate import FEWEST_ROWS, FIXED_S, LOOKED_AT_JOBS, Estimate, estimate
from yeban.labels import LabelSet


@pytest.fixture
def ended(work):
    """A completed job that took a number of seconds; further columns of the job may be set."""

    def make(
        seconds: float, *, rows: int = 100, labels: str = "甲,乙", model: str = "e5-small", **columns: str
    ) -> None:
        job = work.completed(rows, chunk_rows=100, label_set=LabelSet.of(labels), model=model)
        work.execute(
            "UPDATE job SET running_at = ended_at - make_interval(secs => :s),"
            " queued_at = ended_at - make_interval(secs => :s) WHERE id = :id",
            s=seconds,
            id=job.internal_id,
        )
        for name, value in columns.items():
            work.execute(f"UPDATE job SET {name} = {value} WHERE id = :id", id=job.internal_id)  # noqa: S608

    return make


def _of(work, rows: int = 1000, labels: int = 2, model: str = "e5-small") -> Estimate | None:
    return estimate(work.database, model=model, rows=rows, labels=labels)


def test_nothing_measured_is_no_estimate(work, ended):
    assert _of(work) is None
    ended(10, model="another")
    ended(10, rows=FEWEST_ROWS - 1)
    assert _of(work) is None


def test_one_job_gives_its_pace_with_room_on_both_sides(work, ended):
    ended(FIXED_S + 10)  # 10 rows a second
    found = _of(work)
    assert found.low_s == pytest.approx((FIXED_S + 100) / 2, rel=0.01)
    assert found.high_s == pytest.approx((FIXED_S + 100) * 2, rel=0.01)
    assert (found.jobs, found.rows_ahead) == (1, 0)


def test_jobs_that_agree_give_a_narrower_range(work, ended):
    for seconds in (10, 10, 11, 10, 9):
        ended(seconds + FIXED_S)
    found = _of(work)
    assert found.low_s < FIXED_S + 100 < found.high_s
    assert found.high_s / found.low_s < 2
    assert found.jobs == 5


def test_a_job_that_was_refined_once_more_is_measured_by_its_first_run(work, ended):
    ended(FIXED_S + 10, finishing_at="now() + interval '1 day'")
    assert _of(work).high_s == pytest.approx((FIXED_S + 100) * 2, rel=0.01)


def test_the_newest_of_each_size_are_looked_at(work, ended):
    ended(FIXED_S + 10)
    for _ in range(LOOKED_AT_JOBS + 1):
        ended(5, rows=2)
    assert _of(work).jobs == 1


@pytest.mark.parametrize(
    "columns",
    [
        {"state": "'cancelled'"},
        {"paused_at": "now()"},
        {"queued_at": "now()"},
        {"ended_at": "now() - interval '31 days'", "running_at": "now() - interval '31 days 10 seconds'"},
        {"running_at": "NULL"},
        {"running_at": "ended_at"},
    ],
    ids=str,
)
def test_jobs_that_tell_no_pace_are_left_out(work, ended, columns):
    ended(10, **columns)
    assert _of(work) is None


def test_jobs_with_about_as_many_labels_are_preferred(work, ended):
    ended(FIXED_S + 10, labels="甲,乙,丙,丁")
    ended(100, labels="甲,乙,丙,丁,戊,己,庚,辛,壬,癸")
    found = _of(work, labels=2)
    assert (found.jobs, found.low_s) == (1, pytest.approx((FIXED_S + 100) / 2, rel=0.01))


def test_without_such_jobs_the_range_covers_both_kinds_of_models(work, ended):
    ended(FIXED_S + 10, labels="甲,乙")  # as many rows a second with 20 labels, or a tenth of them
    found = _of(work, labels=20)
    assert found.low_s < FIXED_S + 100
    assert found.high_s > FIXED_S + 1000
    assert found.jobs == 1


def test_rows_that_are_queued_count_but_no_job_holds_up_more_than_our_own_length(work, ended):
    ended(FIXED_S + 10)
    work.job(50)
    running = work.job(40, chunk_rows=10)
    work.finish(work.claim(work.chunk_ids(running)[:1]))
    paused = work.job(500)
    work.execute("UPDATE job SET state = 'paused' WHERE id = :id", id=paused.internal_id)
    assert _of(work).rows_ahead == 80
    assert _of(work, rows=45).rows_ahead == 75
    assert _of(work).high_s == pytest.approx((FIXED_S + 108) * 2, rel=0.01)
