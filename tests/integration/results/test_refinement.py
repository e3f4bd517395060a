"""The end of a job with refinement, and refining it again once people have corrected rows."""

from __future__ import annotations

import threading
import uuid

import pytest

from tests.fixtures.effort import effort
from tests.fixtures.jobs import UNCHANGED
from tests.fixtures.waiting import wait_until
from worker.tasks.finish_job import MIN_ROWS
from yeban.accounts.viewer import UNRESTRICTED, Viewer
from yeban.database.tables.states import JobState
from yeban.errors import Conflict, NotFound
from yeban.jobs import control
from yeban.labels import LabelSet, Status
from yeban.results import completion, corrections, refinement_data
from yeban.results import rows as results
from yeban.results.completion import Refinement, finish_job
from yeban.results.corrections import correct

THIRD_KIND = range(121, 181)


def _labels(work, job, row_nos):
    return [row.labels for row in results.rows(work.database, work.view(job), list(row_nos))]


def _corrected_third_kind(work, job, count=8):
    correct(work.database, job.id, {row_no: ["丙"] for row_no in list(THIRD_KIND)[:count]}, viewer=UNRESTRICTED)


def test_a_jobs_end_refines_it_and_keeps_what_each_row_says_by_itself(work, made, ended):
    assert ended.state is JobState.COMPLETED
    report = ended.refinement
    assert (report.state, report.rows, report.corrections) == ("done", 180, 0)
    rows = results.page(work.database, ended, limit=180)
    assert all(row.refined for row in rows)
    assert [row.row_labels for row in rows] == [("甲乙丙"[best],) for best in made.scores.argmax(axis=1)]
    changed = [row.row_no for row in rows if row.labels != row.row_labels]
    assert (len(changed), sum(count for *_, count in report.moves)) == (report.changed, report.changed)
    assert set(report.examples) <= set(changed)


def test_the_summary_measures_what_holds_and_what_the_rows_say_by_themselves(work, ended):
    rows = results.page(work.database, ended, limit=180)
    right = sum(row.labels == (row.gold,) for row in rows)
    right_by_row = sum(row.row_labels == (row.gold,) for row in rows)
    assert right > right_by_row
    evaluation = ended.summary.evaluation
    assert evaluation.accuracy == pytest.approx(right / 180)
    assert evaluation.by_row.accuracy == pytest.approx(right_by_row / 180)


def test_the_same_job_is_refined_the_same_twice(work, made, three_labels, end_job):
    jobs = [work.scored(made, label_set=three_labels) for _ in range(2)]
    for job in jobs:
        end_job(job.internal_id)
    one, two = ([(row.labels, row.score) for row in results.page(work.database, job, limit=180)] for job in jobs)
    assert one == two


def test_corrections_teach_the_rows_that_are_like_them(work, ended, end_job):
    others = list(THIRD_KIND)[8:]
    before = _labels(work, ended, others)
    assert before.count(("丙",)) < len(others) / 2
    _corrected_third_kind(work, ended)
    assert _labels(work, ended, others) == before

    assert refinement_data.ask_again(work.database, ended.id, viewer=UNRESTRICTED) == ended.internal_id
    meanwhile = work.view(ended)
    assert (meanwhile.state, meanwhile.refinement) == (JobState.FINISHING, ended.refinement)
    assert _labels(work, ended, others) == before
    assert end_job(ended.internal_id)

    after = work.view(ended)
    assert after.state is JobState.COMPLETED
    assert after.refinement.corrections == 8
    assert after.summary.evaluation.accuracy > ended.summary.evaluation.accuracy
    assert _labels(work, ended, others).count(("丙",)) > 0.9 * len(others)
    assert after.times["ended_at"] == ended.times["ended_at"]


def test_a_correction_taken_back_is_unlearnt(work, ended, end_job):
    before = _labels(work, ended, THIRD_KIND)
    _corrected_third_kind(work, ended)
    for labels in ({}, dict.fromkeys(list(THIRD_KIND)[:8])):
        if labels:
            correct(work.database, ended.id, labels, viewer=UNRESTRICTED)
        refinement_data.ask_again(work.database, ended.id, viewer=UNRESTRICTED)
        end_job(ended.internal_id)
    assert _labels(work, ended, THIRD_KIND) == before


def test_none_of_these_is_learnt_as_well(work, ended, end_job):
    known, others = list(THIRD_KIND)[:8], list(THIRD_KIND)[8:]
    correct(work.database, ended.id, {row_no: [] for row_no in known}, viewer=UNRESTRICTED)
    refinement_data.ask_again(work.database, ended.id, viewer=UNRESTRICTED)
    end_job(ended.internal_id)
    view = work.view(ended)
    assert _labels(work, ended, known) == [()] * 8
    assert _labels(work, ended, others).count(()) > 0.9 * len(others)
    assert _labels(work, ended, range(1, 121)).count(()) < 12
    assert view.summary.abstained == sum(row.status == "abstained" for row in results.stream(work.database, view))


def test_the_report_says_what_changed_since_the_refinement_before(work, ended, end_job):
    assert ended.refinement.changed_since is None
    before = _labels(work, ended, range(1, 181))
    _corrected_third_kind(work, ended)
    refinement_data.ask_again(work.database, ended.id, viewer=UNRESTRICTED)
    end_job(ended.internal_id)
    report = work.view(ended).refinement
    work.execute("DELETE FROM correction")
    after = _labels(work, ended, range(1, 181))
    assert report.changed_since == sum(one != two for one, two in zip(before, after, strict=True)) > 0


def test_rows_corrected_while_a_job_is_refined_count_when_it_is_asked_again(work, ended, end_job):
    refinement_data.ask_again(work.database, ended.id, viewer=UNRESTRICTED)
    scored = refinement_data.corrected

    def corrected_meanwhile(database, job_id):
        found = scored(database, job_id)
        if not found:
            _corrected_third_kind(work, ended)
            refinement_data.ask_again(work.database, ended.id, viewer=UNRESTRICTED)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refinement_data, "corrected", corrected_meanwhile)
        assert not end_job(ended.internal_id)
    assert work.view(ended).state is JobState.FINISHING
    assert end_job(ended.internal_id)
    assert work.view(ended).refinement.corrections == 8


def test_a_long_refinement_keeps_its_hold_on_the_job(work, ended, monkeypatch):
    monkeypatch.setattr(completion, "_RENEWALS", 600)  # ten a second
    refinement_data.ask_again(work.database, ended.id, viewer=UNRESTRICTED)
    rivals = []
    renewed = "SELECT ender_until > now() + interval '30 s' FROM job"

    def slow(_job, check):
        for _ in range(3):
            work.execute("UPDATE job SET ender_until = now()")  # as if its lease had passed
            wait_until(lambda: work.column(renewed) == [True], what="a renewal")
            check()
            rivals.append(finish_job(work.database, ended.internal_id))
        return Refinement(rows=(), report=UNCHANGED)

    assert finish_job(work.database, ended.internal_id, slow)
    assert not any(rivals)


def test_the_suggested_rows_are_those_of_the_report_that_nobody_corrected_yet(work, ended):
    listed = ended.refinement.suggested
    assert len(set(listed)) == len(listed) >= 10
    shown = corrections.suggested(work.database, ended, 3)
    assert [row.row_no for row in shown] == list(listed[:3])
    correct(work.database, ended.id, {listed[0]: ["甲"], listed[2]: []}, viewer=UNRESTRICTED)
    shown = corrections.suggested(work.database, work.view(ended), 3)
    assert [row.row_no for row in shown] == [listed[1], listed[3], listed[4]]
    assert corrections.suggested(work.database, work.view(ended), 3, skip=1)[0].row_no == listed[3]


def test_corrected_rows_are_not_suggested_anew(work, ended, end_job):
    first = ended.refinement.suggested[:5]
    correct(work.database, ended.id, {row_no: ["甲"] for row_no in first}, viewer=UNRESTRICTED)
    refinement_data.ask_again(work.database, ended.id, viewer=UNRESTRICTED)
    end_job(ended.internal_id)
    assert not set(first) & set(work.view(ended).refinement.suggested)


def test_refined_and_corrected_rows_stand_in_the_export(work, ended):
    correct(work.database, ended.id, {1: ["丙"]}, viewer=UNRESTRICTED)
    view = work.view(ended)
    columns = results.export_columns(view)
    assert columns[-6:-2] == ["yeban_row_label", "yeban_row_score", "yeban_predicted", "yeban_corrected"]
    exported = [dict(zip(columns, row, strict=True)) for row in results.export_rows(work.database, view)]
    refined = {row.row_no: row for row in results.page(work.database, view, limit=180)}
    for row_no, row in enumerate(exported, 1):
        assert row["yeban_label"] == "|".join(refined[row_no].labels)
        assert row["yeban_row_label"] == "|".join(refined[row_no].row_labels)
        assert row["yeban_corrected"] == ("yes" if row_no == 1 else "")
    assert exported[1]["yeban_score"] == pytest.approx(refined[2].score, abs=1e-6)
    assert exported[1]["yeban_score"] != pytest.approx(exported[1]["yeban_row_score"], abs=1e-3)


def test_rows_newer_than_the_statistics_are_read_quickly(work):
    job = work.job(6_000, chunk_rows=1_000)
    work.finish(work.claim(work.chunk_ids(job)))
    decided = [(row_no, Status.OK, 1, 0.9, 0.8) for row_no in range(1, 6_001)]
    finish_job(work.database, job.internal_id, lambda *_: Refinement(rows=decided, report=UNCHANGED))
    correct(work.database, job.id, {row_no: ["甲"] for row_no in range(1, 1_001)}, viewer=UNRESTRICTED)
    job = work.view(job)
    with effort(work.database) as spent:
        assert sum(1 for _ in results.stream(work.database, job)) == 6_000
        assert len(results.rows(work.database, job, range(1, 6_001, 10))) == 600
        assert len(results.page(work.database, job, status="ok", limit=2_000)) == 2_000
    # Within a page of 2,000, rows may be compared with one another.
    assert spent.rows < 24_000_000  # 36 million more where a row is compared with all of the file
    with effort(work.database) as spent:
        assert len(refinement_data.read_range(work.database, job.internal_id, 1, 6_000, chars=100)[0]) == 6_000
    assert spent.rows < 1_000_000


def test_rows_without_text_do_no_harm(work, made, three_labels, end_job):
    made.lines[10] = ",甲"
    made.lines[59] = ",甲"
    job = work.scored(made, label_set=three_labels)
    end_job(job.internal_id)
    view = work.view(job)
    assert (view.state, view.refinement.state) == (JobState.COMPLETED_WITH_ERRORS, "done")
    assert (view.progress.ok, view.progress.errors) == (178, 2)
    assert _labels(work, job, [11, 60]) == [(), ()]


def test_a_threshold_holds_for_what_the_whole_file_says(work, made, ended, end_job):
    threshold = sorted(row.score for row in results.page(work.database, ended, limit=180))[90]
    job = work.scored(made, label_set=LabelSet.of("甲,乙,丙", threshold=threshold))
    end_job(job.internal_id)
    rows = results.page(work.database, work.view(job), limit=180)
    assert all((row.score >= threshold) == (row.status == "ok") == bool(row.labels) for row in rows)
    abstained = sum(row.status == "abstained" for row in rows)
    assert abstained == work.view(job).summary.abstained == 90


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("DELETE FROM embedding WHERE first_row = 51", "Some rows have no embedding"),
        ("UPDATE embedding SET encoder = 'other' WHERE first_row = 51", "different builds"),
        ("UPDATE chunk SET ok = 0 WHERE first_row < 151", "scored rows for these labels"),
    ],
)
def test_a_job_that_cannot_be_refined_ends_as_it_was_scored_and_says_why(
    work, made, three_labels, end_job, change, reason
):
    job = work.scored(made, label_set=three_labels)
    work.execute(change)
    assert end_job(job.internal_id)
    view = work.view(job)
    assert (view.state, view.refinement.state) == (JobState.COMPLETED, "skipped")
    assert reason in str(view.refinement.reason)
    assert work.column("SELECT count(*) FROM refined") == [0]


def test_a_small_file_is_not_refined(work, end_job):
    job = work.job(MIN_ROWS - 1)
    work.finish(work.claim(work.chunk_ids(job)))
    end_job(job.internal_id)
    assert work.view(job).refinement.reason.parameters == {"least": MIN_ROWS, "scored": MIN_ROWS - 1}


def test_a_job_that_asked_for_no_refinement_gets_none(work, made, three_labels, end_job):
    job = work.scored(made, label_set=three_labels, refine=False)
    end_job(job.internal_id)
    view = work.view(job)
    assert (view.state, view.refinement) == (JobState.COMPLETED, None)
    assert not any(row.refined for row in results.page(work.database, view))


def test_a_refinement_that_breaks_costs_nothing_but_itself(work, made, three_labels):
    job = work.scored(made, label_set=three_labels)

    def broken(_job, _keep):
        raise FloatingPointError("a defect")

    assert finish_job(work.database, job.internal_id, broken)
    view = work.view(job)
    assert (view.state, view.refinement.state) == (JobState.COMPLETED, "failed")
    assert "a defect" in str(view.refinement.reason)


def test_one_that_breaks_when_asked_for_again_takes_the_earlier_decisions_with_it(work, made, ended):
    refinement_data.ask_again(work.database, ended.id, viewer=UNRESTRICTED)
    finish_job(work.database, ended.internal_id)
    rows = results.page(work.database, work.view(ended), limit=180)
    assert not any(row.refined for row in rows)
    assert [row.labels for row in rows] == [row.row_labels for row in rows]
    assert work.view(ended).refinement.state == "skipped"


@pytest.mark.parametrize("verb", [control.pause, control.cancel])
def test_a_job_that_is_not_completed_is_not_refined(work, verb):
    job = work.job(4)
    with pytest.raises(Conflict, match="is queued"):
        refinement_data.ask_again(work.database, job.id, viewer=UNRESTRICTED)
    verb(work.database, job.id, viewer=UNRESTRICTED)
    with pytest.raises(Conflict, match="must be completed first"):
        refinement_data.ask_again(work.database, job.id, viewer=UNRESTRICTED)


def test_a_job_without_embeddings_is_not_refined_again(work):
    job = work.completed(4)
    assert not job.embedded
    with pytest.raises(Conflict, match="no embeddings"):
        refinement_data.ask_again(work.database, job.id, viewer=UNRESTRICTED)
    assert work.view(job).state is JobState.COMPLETED


def test_someone_elses_job_is_not_found(work, ended):
    with pytest.raises(NotFound):
        refinement_data.ask_again(work.database, ended.id, viewer=Viewer(name="mallory"))
    with pytest.raises(NotFound):
        refinement_data.ask_again(work.database, uuid.uuid4(), viewer=UNRESTRICTED)


def test_asking_again_while_it_goes_on_changes_nothing(work, ended, end_job):
    assert ended.embedded
    refinement_data.ask_again(work.database, ended.id, viewer=UNRESTRICTED)
    assert refinement_data.ask_again(work.database, ended.id, viewer=UNRESTRICTED) == ended.internal_id
    for verb in (control.pause, control.cancel, control.resume):
        with pytest.raises(Conflict, match="finishing"):
            verb(work.database, ended.id, viewer=UNRESTRICTED)
    assert end_job(ended.internal_id)
    assert not end_job(ended.internal_id)


def test_a_job_whose_refine_message_was_lost_is_refined(work, ended, finish_scored):
    refinement_data.ask_again(work.database, ended.id, viewer=UNRESTRICTED)
    assert finish_scored() == 1
    assert work.view(ended).state is JobState.COMPLETED


def test_of_two_enders_at_once_one_ends_the_job(work, made, three_labels, end_job):
    for _ in range(3):
        job = work.scored(made, label_set=three_labels)
        outcomes: list[bool] = []
        barrier = threading.Barrier(2)

        def end(internal_id: int, barrier: threading.Barrier, outcomes: list[bool]) -> None:
            barrier.wait()
            outcomes.append(end_job(internal_id))

        threads = [threading.Thread(target=end, args=(job.internal_id, barrier, outcomes)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == [False, True]
        assert work.view(job).state is JobState.COMPLETED
        assert work.column("SELECT count(*) FROM refined WHERE job_id = :id", id=job.internal_id) == [180]


class _Stalled:
    """A refinement that stands still until it is told to go on, and says then whether the job is still its own."""

    def __init__(self, *, ask: bool) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self._ask = ask

    def __call__(self, _job, keep):
        self.begun.set()
        self.go_on.wait(120)
        if self._ask:
            keep()
        return Refinement(rows=[(1, Status.OK, 2, 0.5, 0.1)], report=UNCHANGED)


@pytest.mark.parametrize("ask", [True, False], ids=["told by the renewal", "told by the end"])
def test_an_ender_that_stalled_changes_nothing_once_another_ended_the_job(work, made, three_labels, end_job, ask):
    job = work.scored(made, label_set=three_labels)
    stalled = _Stalled(ask=ask)
    outcomes: list[bool] = []
    thread = threading.Thread(target=lambda: outcomes.append(finish_job(work.database, job.internal_id, stalled)))
    thread.start()
    assert stalled.begun.wait(120)
    assert not end_job(job.internal_id)  # it is held
    work.execute("UPDATE job SET ender_until = now() - interval '1 second'")
    assert end_job(job.internal_id)
    report = work.view(job).refinement
    stalled.go_on.set()
    thread.join()
    assert outcomes == [False]
    assert work.view(job).refinement == report
    assert work.column("SELECT count(*) FROM refined") == [180]


def test_another_takes_over_from_an_ender_that_vanished(work, made, three_labels, finish_scored):
    job = work.scored(made, label_set=three_labels)
    work.execute(
        "UPDATE job SET state = 'finishing', ender_token = gen_random_uuid(), ender_until = now() + interval '1 minute'"
    )
    assert finish_scored() == 0
    work.execute("UPDATE job SET ender_until = now() - interval '1 second'")
    assert finish_scored() == 1
    assert work.view(job).state is JobState.COMPLETED


def test_corrections_during_a_refinement_are_in_the_counts_of_its_end(work, ended):
    def refine(_job, _keep):
        correct(work.database, ended.id, {1: ["丙"], 2: []}, viewer=UNRESTRICTED)
        return Refinement(rows=[], report=UNCHANGED)

    before = ended.summary.abstained
    refinement_data.ask_again(work.database, ended.id, viewer=UNRESTRICTED)
    assert finish_job(work.database, ended.internal_id, refine)
    assert work.view(ended).summary.abstained == before + 1
    assert work.view(ended).corrections == 2


def test_a_job_whose_first_chunk_has_no_scored_row_can_be_refined_again(work, made, three_labels, end_job):
    """A chunk that became an error, or is blank, has no embeddings; that says nothing of the others."""
    made.lines[0] = ",甲"
    job = work.job(made.lines, chunk_rows=1, label_set=three_labels)
    first, *others = work.claim(work.chunk_ids(job))
    work.finish([first])
    work.finish(others, made)
    assert end_job(job.internal_id)
    assert work.view(job).embedded
    refinement_data.ask_again(work.database, job.id, viewer=UNRESTRICTED)
    assert end_job(job.internal_id)
    assert work.view(job).refinement.state == "done"
