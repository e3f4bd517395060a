"""Which labels were taken for which, and the rows behind it."""

from __future__ import annotations

import pytest

from tests.fixtures.effort import effort
from yeban.accounts.viewer import UNRESTRICTED
from yeban.errors import InvalidRequest
from yeban.jobs.reports import ConfusionMatrix
from yeban.labels import LabelSet
from yeban.results import confusion
from yeban.results.confusion import confused
from yeban.results.corrections import correct


def _rows(work, job, gold, predicted, **options):
    found = confused(work.database, work.view(job), gold=gold, predicted=predicted, **options)
    return [row.row_no for row in found.rows]


@pytest.fixture
def judged(work):
    """Rows tagged 甲, but for row 5, which abstained, and row 6, which has no text."""
    job = work.job(["a,甲", "b,乙", "c,丙", "d,", "e,乙", ",甲", "g,乙"], chunk_rows=10)
    work.finish(work.claim(work.chunk_ids(job)))
    work.execute("UPDATE result SET status = 'abstained' WHERE row_no = 5")
    work.end(job)
    return work.view(job)


def test_the_evaluation_has_the_confusions_most_rows_first(judged):
    assert judged.summary.evaluation.confusion == ConfusionMatrix(
        cells=((1, 0, 2), (0, 0, 1), (0, None, 1), (1, None, 1), (None, 0, 1)), left_out=0
    )


def test_the_evaluation_has_what_each_threshold_gives(work):
    job = work.job(["a,甲", "b,乙", "c,甲", "d,"], chunk_rows=10)
    work.finish(work.claim(work.chunk_ids(job)))
    work.execute("UPDATE result SET score = 0.5 WHERE row_no = 2")
    work.end(job)
    assert work.view(job).summary.evaluation.curve == ((0.5, 1.0, 0.6667), (0.9, 0.6667, 1.0))


def test_a_threshold_gives_what_a_job_with_it_would(work):
    job = work.job([f"{n},甲" for n in range(6)], chunk_rows=10)
    work.finish(work.claim(work.chunk_ids(job)))
    scores = [0.8, 0.805, 0.80999, 0.81, 0.9949, 1.0]
    for row_no, score in enumerate(scores, 1):
        work.execute(f"UPDATE result SET score = {score} WHERE row_no = {row_no}")  # noqa: S608
    work.end(job)
    for threshold, coverage, _ in work.view(job).summary.evaluation.curve:
        assert coverage == round(sum(score >= threshold for score in scores) / 6, 4), threshold


def test_a_multi_label_job_has_neither(work):
    job = work.completed(2, label_set=LabelSet.of("甲,乙", multi_label=True))
    evaluation = job.summary.evaluation
    assert (evaluation.confusion, evaluation.curve, evaluation.thresholds) == (None, None, None)
    with pytest.raises(InvalidRequest, match="several labels"):
        confused(work.database, job, gold=0, predicted=0)


def test_every_cell_has_its_rows(work, judged):
    cells = judged.summary.evaluation.confusion.cells
    found = {(gold, predicted): _rows(work, judged, gold, predicted) for gold, predicted, _ in cells}
    assert found == {(0, 0): [1], (1, 0): [2, 7], (None, 0): [3], (1, None): [5], (0, None): [6]}
    assert _rows(work, judged, 0, 1) == []


def test_rows_are_found_by_what_holds_now(work, judged):
    correct(work.database, judged.id, {2: ["乙"], 7: []}, viewer=UNRESTRICTED)
    assert _rows(work, judged, 1, 1) == [2]
    assert _rows(work, judged, 1, None) == [5, 7]
    assert _rows(work, judged, 1, 0) == []


def test_rows_are_found_by_their_refined_label(work, judged):
    work.execute("INSERT INTO refined SELECT job_id, row_no, 'ok', 1, 0.8, 0.6 FROM result WHERE row_no IN (1, 2)")
    assert (_rows(work, judged, 0, 1), _rows(work, judged, 1, 1)) == ([1], [2])


def test_rows_come_in_pages(work):
    job = work.completed(25, chunk_rows=10)
    first = confused(work.database, job, gold=0, predicted=0, limit=10)
    assert [row.row_no for row in first.rows] == list(range(1, 11))
    rest = confused(work.database, job, gold=0, predicted=0, after=first.next_after, limit=15)
    assert ([row.row_no for row in rest.rows], rest.next_after) == (list(range(11, 26)), None)


def test_no_row_is_lost_where_a_page_ends_with_a_block(work, monkeypatch):
    monkeypatch.setattr(confusion, "_BLOCK_ROWS", 5)
    job = work.completed(12, chunk_rows=20)
    first = confused(work.database, job, gold=0, predicted=0, limit=5)
    assert ([row.row_no for row in first.rows], first.next_after) == ([1, 2, 3, 4, 5], 5)
    assert _rows(work, job, 0, 0, after=5) == [6, 7, 8, 9, 10, 11, 12]


def test_a_search_that_finds_nothing_goes_on_where_it_stopped(work, monkeypatch):
    monkeypatch.setattr(confusion, "LOOKED_AT_ROWS", 10)
    monkeypatch.setattr(confusion, "_BLOCK_ROWS", 4)
    job = work.completed([*(f"row {number},甲" for number in range(1, 26)), "last,乙"], chunk_rows=30)
    at, asked = 0, []
    while at is not None:
        found = confused(work.database, job, gold=1, predicted=0, after=at)
        asked.append([row.row_no for row in found.rows])
        at = found.next_after
    assert asked == [[], [], [26]]


@pytest.mark.parametrize(("gold", "predicted"), [(2, 0), (0, 2), (-1, 0), (0, -1), (10**9, 0)])
def test_a_number_that_is_no_labels_is_refused(work, judged, gold, predicted):
    with pytest.raises(InvalidRequest, match="2 labels"):
        confused(work.database, judged, gold=gold, predicted=predicted)


def test_rows_of_a_job_newer_than_the_statistics_are_found_quickly(work):
    work.job(1)
    work.execute("ANALYZE")
    job = work.completed(8_000, chunk_rows=1_000)
    work.execute("INSERT INTO refined SELECT job_id, row_no, 'ok', 0, 0.8, 0.6 FROM result WHERE row_no <> 7999")
    work.execute("UPDATE refined SET label = 1 WHERE row_no = 7998")
    with effort(work.database) as spent:
        assert _rows(work, job, 0, 1) == [7998]
    assert spent.rows < 1_000_000  # 64 million where each row is compared with every other
