"""How labels and scores are distributed, while a job runs and at its end."""

from __future__ import annotations

import pytest

from yeban.accounts.viewer import UNRESTRICTED
from yeban.labels import LabelSet
from yeban.results.corrections import correct
from yeban.results.distribution import BINS, LOOKED_AT_ROWS, distribution


def _scores(**bins: int) -> tuple[int, ...]:
    return tuple(bins.get(f"b{place}", 0) for place in range(BINS))


def test_while_a_job_runs_it_is_of_the_rows_that_are_done(work):
    job = work.job(["a,甲", ",乙", "c,乙", "d,甲", "e,甲"], chunk_rows=3)
    assert distribution(work.database, job).rows == 0
    work.finish(work.claim(work.chunk_ids(job)[:1]))
    found = distribution(work.database, work.view(job))
    assert (found.rows, found.whole, found.labels) == (3, False, {"甲": 2, "乙": 0})
    assert (found.abstained, found.errors) == (0, 1)
    assert found.scores == _scores(b18=2)


def test_at_the_end_it_is_of_all_rows_and_of_what_holds(work):
    job = work.completed(["a,甲", ",乙", "c,乙", "d,甲"])
    correct(work.database, job.id, {1: ["乙"], 3: []}, viewer=UNRESTRICTED)
    found = distribution(work.database, work.view(job))
    assert (found.rows, found.whole, found.labels) == (4, True, {"甲": 1, "乙": 1})
    assert (found.abstained, found.errors) == (1, 1)
    assert found.scores == _scores(b18=1)


@pytest.mark.parametrize(
    ("score", "place"), [(0.0, 0), (0.05, 1), (0.95, 19), (0.949999, 18), (1.0, 19), (0.3, 6), (0.7, 14), (0.85, 17)]
)
def test_a_score_counts_where_its_decimals_say(work, score, place):
    job = work.job(1)
    work.finish(work.claim(work.chunk_ids(job)))
    work.execute("UPDATE result SET score = :score", score=score)
    assert distribution(work.database, work.view(job)).scores == _scores(**{f"b{place}": 1})


def test_where_several_labels_may_apply_each_counts(work):
    job = work.job(4, label_set=LabelSet.of("甲,乙", multi_label=True, threshold=0.7))
    work.finish(work.claim(work.chunk_ids(job)))
    work.execute("UPDATE result SET scores = '{0.7,0.8}' WHERE row_no = 2")
    work.execute("UPDATE result SET scores = '{0.1,0.2}', status = 'abstained' WHERE row_no = 3")
    found = distribution(work.database, work.view(job))
    assert (found.rows, found.labels, found.abstained) == (4, {"甲": 3, "乙": 1}, 1)


def test_no_more_rows_are_looked_at_than_are_told(work):
    job = work.job(LOOKED_AT_ROWS + 500, chunk_rows=10_000)
    work.execute(
        "INSERT INTO result (job_id, row_no, status, label, score, margin)"
        " SELECT job_id, row_no, 'ok', 0, 0.5, 0.1 FROM \"row\""
    )
    assert distribution(work.database, work.view(job)).rows == LOOKED_AT_ROWS
