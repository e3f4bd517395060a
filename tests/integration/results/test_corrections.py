"""What people say of rows: stored whole or not at all, first in everything that is read, and counted."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from yeban.accounts.viewer import UNRESTRICTED, Viewer
from yeban.database.tables.states import JobState
from yeban.errors import Conflict, InvalidRequest, NotFound
from yeban.jobs import control
from yeban.labels import LabelSet
from yeban.results import corrections, rows
from yeban.results.completion import finish_job
from yeban.results.corrections import Changed, correct


def _final(work, job):
    return [(row.status, row.labels, row.corrected) for row in rows.page(work.database, work.view(job))]


def _export(work, job):
    """The tagged file as a list of what each row has by column."""
    view = work.view(job)
    columns = rows.export_columns(view)
    return [dict(zip(columns, row, strict=True)) for row in rows.export_rows(work.database, view)]


def test_a_persons_label_wins_over_what_was_predicted(work):
    job = work.completed(3)
    changed = correct(work.database, job.id, {1: ["乙"], 2: []}, author="小王", viewer=UNRESTRICTED)
    assert changed == Changed(stored=2, removed=0)
    assert _final(work, job) == [("ok", ("乙",), True), ("abstained", (), True), ("ok", ("甲",), False)]
    first = rows.rows(work.database, work.view(job), [1])[0]
    assert (first.score, first.margin, first.row_labels, first.row_score) == (None, None, ("甲",), pytest.approx(0.9))
    assert work.view(job).corrections == 2


def test_a_correction_may_be_changed_and_taken_back(work):
    job = work.completed(3)
    correct(work.database, job.id, {1: ["乙"], 2: ["乙"]}, viewer=UNRESTRICTED)
    assert correct(work.database, job.id, {1: None, 2: ["甲"], 3: None}, viewer=UNRESTRICTED) == Changed(
        stored=1, removed=1
    )
    assert _final(work, job) == [("ok", ("甲",), False), ("ok", ("甲",), True), ("ok", ("甲",), False)]


def test_saying_it_again_changes_nothing(work):
    job = work.completed(3)
    wanted = {1: ["乙"], 2: [], 3: None}
    correct(work.database, job.id, wanted, author="小王", viewer=UNRESTRICTED)
    (made_at, _) = work.column("SELECT made_at FROM correction ORDER BY row_no")
    assert correct(work.database, job.id, wanted, author="小李", viewer=UNRESTRICTED) == Changed(stored=0, removed=0)
    assert work.column("SELECT made_at FROM correction WHERE row_no = 1") == [made_at]
    assert work.column("SELECT DISTINCT author FROM correction") == ["小王"]


def test_the_export_says_which_rows_were_corrected(work):
    job = work.completed(["a,甲", ",乙", "c,乙", "d,甲"])
    assert "yeban_corrected" not in rows.export_columns(work.view(job))
    correct(work.database, job.id, {2: ["乙"], 3: []}, author="小王", viewer=UNRESTRICTED)
    a, mended, none, _ = _export(work, job)
    assert (a["yeban_status"], a["yeban_label"], a["yeban_predicted"]) == ("ok", "甲", "甲")
    assert [a[f"yeban_corrected{end}"] for end in ("", "_by", "_at")] == ["", "", ""]
    made_at = datetime.fromisoformat(mended.pop("yeban_corrected_at"))
    assert datetime.now(UTC) - timedelta(minutes=1) < made_at <= datetime.now(UTC)
    assert mended == {
        "text": "", "label": "乙", "yeban_label": "乙", "yeban_score": None, "yeban_margin": None,
        "yeban_status": "ok", "yeban_row_label": "", "yeban_row_score": None, "yeban_predicted": "",
        "yeban_corrected": "yes", "yeban_corrected_by": "小王",
    }  # fmt: skip
    assert (none["yeban_status"], none["yeban_label"], none["yeban_row_label"]) == ("abstained", "", "甲")
    assert none["yeban_predicted"] == "甲"


def test_a_corrected_row_says_what_was_predicted_by_whom_and_when_it_was_mended(work):
    job = work.completed(3)
    correct(work.database, job.id, {2: ["乙"]}, author="小王", viewer=UNRESTRICTED)
    one, two, _ = rows.page(work.database, work.view(job))
    assert (one.predicted, one.corrected_by, one.corrected_at) == (("甲",), None, None)
    assert (two.labels, two.predicted, two.corrected_by) == (("乙",), ("甲",), "小王")
    assert [two.corrected_at] == work.column("SELECT made_at FROM correction")


def test_the_newest_corrections_come_first(work):
    job = work.completed(5)
    for row_no in (3, 1, 5):
        correct(work.database, job.id, {row_no: ["乙"]}, viewer=UNRESTRICTED)
    assert [row.row_no for row in corrections.newest(work.database, work.view(job), 2)] == [5, 1]
    assert corrections.newest(work.database, work.completed(1), 2) == []


def test_the_scores_that_are_counted_are_those_of_rows_that_nobody_corrected(work):
    job = work.completed(["a,甲", "b,乙", ",乙", "d,甲"])  # scores of 0.9, and an error
    assert job.summary.scores == (*[0] * 18, 3, 0)
    correct(work.database, job.id, {1: ["乙"], 2: [], 3: ["乙"]}, viewer=UNRESTRICTED)
    assert work.view(job).summary.scores == (*[0] * 18, 1, 0)
    correct(work.database, job.id, {1: None, 2: ["甲"]}, viewer=UNRESTRICTED)
    assert work.view(job).summary.scores == (*[0] * 18, 2, 0)


def test_a_corrected_error_is_no_error_any_more(work):
    job = work.completed(["a,甲", ",乙", "c,甲"])
    assert job.state is JobState.COMPLETED_WITH_ERRORS
    correct(work.database, job.id, {2: ["乙"]}, viewer=UNRESTRICTED)
    view = work.view(job)
    assert view.state is JobState.COMPLETED
    assert (view.progress.ok, view.progress.errors) == (3, 0)
    assert list(rows.error_rows(work.database, view, str)) == []
    assert rows.page(work.database, view, status="error") == []
    correct(work.database, job.id, {2: None}, viewer=UNRESTRICTED)
    view = work.view(job)
    assert view.state is JobState.COMPLETED_WITH_ERRORS
    assert (view.progress.ok, view.progress.errors) == (2, 1)
    assert len(list(rows.error_rows(work.database, view, str))) == 1


def test_rows_are_found_by_the_status_that_holds(work):
    job = work.completed(4)
    correct(work.database, job.id, {2: [], 3: ["乙"]}, viewer=UNRESTRICTED)
    found = {
        status: [row.row_no for row in rows.page(work.database, work.view(job), status=status)]
        for status in ("ok", "abstained", "pending")
    }
    assert found == {"ok": [1, 3, 4], "abstained": [2], "pending": []}


def test_the_summary_follows_as_if_it_were_made_anew(work):
    job = work.completed(["a,甲", "b,乙", ",乙", "d,甲"])
    correct(work.database, job.id, {1: ["乙"], 2: [], 3: ["乙"], 4: ["乙"]}, viewer=UNRESTRICTED)
    correct(work.database, job.id, {4: None, 1: []}, viewer=UNRESTRICTED)
    followed = work.view(job).summary
    work.execute("UPDATE job SET state = 'finishing'")
    assert finish_job(work.database, job.internal_id)
    assert followed.labels == {"甲": 1, "乙": 1}
    counted = ("rows", "ok", "abstained", "errors", "labels", "scores")
    summary = work.view(job).summary
    assert [getattr(followed, name) for name in counted] == [getattr(summary, name) for name in counted]


def test_rows_of_a_running_job_may_be_corrected_as_far_as_they_are(work):
    job = work.job(8)
    ids = work.chunk_ids(job)
    work.finish(work.claim(ids[:1]))
    correct(work.database, job.id, {1: ["乙"]}, viewer=UNRESTRICTED)
    with pytest.raises(Conflict, match=r"^Rows 5, 8 have no result yet"):
        correct(work.database, job.id, {2: ["乙"], 8: ["乙"], 5: []}, viewer=UNRESTRICTED)
    assert work.view(job).corrections == 1
    work.finish(work.claim(ids))
    finish_job(work.database, job.internal_id)
    assert work.view(job).summary.labels == {"甲": 7, "乙": 1}


def test_corrected_rows_count_with_the_label_they_got_against_gold(work):
    job = work.job(["a,甲", "b,乙", "c,乙"])
    work.finish(work.claim(work.chunk_ids(job)))
    correct(work.database, job.id, {2: ["乙"]}, viewer=UNRESTRICTED)
    finish_job(work.database, job.internal_id)
    assert work.view(job).summary.evaluation.accuracy == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({}, "0 corrections"),
        ({number: ["甲"] for number in range(1, 1002)}, "1001 corrections"),
        ({1: ["甲"], 5: ["甲"]}, r"no row 5; its rows are 1 to 4"),
        ({0: None}, "no row 0"),
        ({-1: ["甲"], 2**70: ["甲"]}, "no rows -1, 1180591620717411303424"),
        ({1: ["甲"], 2: ["丁"]}, "Row 2: the job has no label “丁”"),
        ({1: ["甲", "乙"]}, "Row 1: 2 labels"),
        ({1: ["甲", "甲"]}, "appears twice"),
    ],
    ids=range(8),
)
def test_what_cannot_be_is_refused_whole(work, wanted, named):
    job = work.completed(4)
    with pytest.raises(InvalidRequest, match=named):
        correct(work.database, job.id, wanted, viewer=UNRESTRICTED)
    assert work.view(job).corrections == 0


def test_an_author_is_a_name_and_no_novel(work):
    job = work.completed(1)
    for author in ("x" * 201, "a\x00b"):
        with pytest.raises(InvalidRequest, match="author"):
            correct(work.database, job.id, {1: ["乙"]}, author=author, viewer=UNRESTRICTED)


def test_someone_elses_job_is_not_found(work):
    job = work.completed(1)
    with pytest.raises(NotFound):
        correct(work.database, job.id, {1: ["乙"]}, viewer=Viewer(name="mallory"))
    with pytest.raises(NotFound):
        correct(work.database, uuid.uuid4(), {1: ["乙"]}, viewer=UNRESTRICTED)


def test_where_several_labels_may_apply_a_person_may_give_several(work):
    job = work.completed(3, label_set=LabelSet.of("甲,乙", multi_label=True))
    correct(work.database, job.id, {1: ["乙", "甲"], 2: []}, viewer=UNRESTRICTED)
    assert _final(work, job) == [("ok", ("乙", "甲"), True), ("abstained", (), True), ("ok", ("甲",), False)]
    assert work.view(job).summary.labels == {"甲": 2, "乙": 1}
    assert _export(work, job)[0]["yeban_label"] == "乙|甲"


def test_corrections_are_listed_in_pages_in_the_order_of_the_file(work):
    job = work.completed(5)
    correct(work.database, job.id, {4: [], 2: ["乙"], 5: ["甲"]}, author="小王", viewer=UNRESTRICTED)
    first = corrections.list_corrections(work.database, job, limit=2)
    rest = corrections.list_corrections(work.database, job, after=first[-1].row_no, limit=2)
    found = [(one.row_no, one.file_row, one.text, one.labels, one.author) for one in (*first, *rest)]
    assert found == [
        (2, 3, "row 2", ("乙",), "小王"),
        (4, 5, "row 4", (), "小王"),
        (5, 6, "row 5", ("甲",), "小王"),
    ]


def test_corrections_at_once_all_count(work):
    job = work.completed(40)
    barrier = threading.Barrier(4)

    def run(part: int) -> None:
        barrier.wait()
        for row_no in range(part, 41, 4):
            correct(work.database, job.id, {row_no: ["乙"], 41 - row_no: ["乙"]}, viewer=UNRESTRICTED)

    threads = [threading.Thread(target=run, args=(part,)) for part in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert work.view(job).summary.labels == {"甲": 0, "乙": 40}


def test_without_refinement_the_least_certain_rows_are_suggested(work):
    job = work.completed([*("x,甲" for _ in range(5)), ",甲"])
    work.execute("UPDATE result SET margin = 0.1 * row_no WHERE status = 'ok'")
    work.execute("UPDATE result SET margin = 0.05 WHERE row_no = 4")

    def suggested(limit=10, **options):
        return [row.row_no for row in corrections.suggested(work.database, work.view(job), limit, **options)]

    assert suggested() == [4, 1, 2, 3, 5]
    assert suggested(2) == [4, 1]
    correct(work.database, job.id, {4: ["甲"], 2: ["乙"]}, viewer=UNRESTRICTED)
    assert suggested() == [1, 3, 5]
    assert suggested(1, skip=1) == [3]


def test_the_least_certain_are_sought_in_a_part_of_a_large_file(work, monkeypatch):
    monkeypatch.setattr(corrections, "LOOKED_AT_ROWS", 3)
    job = work.completed(6)
    work.execute("UPDATE result SET margin = 1.0 / row_no")
    assert [row.row_no for row in corrections.suggested(work.database, job, 10)] == [3, 2, 1]


def test_nothing_is_suggested_before_a_row_is_tagged(work):
    job = work.job(4)
    assert corrections.suggested(work.database, job, 10) == []
    control.pause(work.database, job.id, viewer=UNRESTRICTED)
    assert corrections.suggested(work.database, work.view(job), 10) == []
