import pytest

from tests.fixtures.effort import effort
from yeban.chunks import outcomes
from yeban.chunks.outcomes import ChunkOutcome, FailureAction, RowResult
from yeban.database.tables.states import JobState
from yeban.errors import msg
from yeban.labels import LabelSet
from yeban.results import rows as results
from yeban.results.completion import finish_job


def test_finished_chunks_have_one_result_a_row_and_counts(work):
    job = work.job(["a,甲", ",甲", "c,乙"], chunk_rows=4)
    complete = work.finish(work.claim(work.chunk_ids(job)))
    assert complete == [job.internal_id]
    assert work.results(job) == [(1, "ok"), (2, "error"), (3, "ok")]
    progress = work.view(job).progress
    assert (progress.done, progress.ok, progress.errors) == (3, 2, 1)


def test_a_stalled_workers_late_finish_changes_nothing(work, sweep):
    job = work.job(4)
    ids = work.chunk_ids(job)
    stalled = work.claim(ids)
    work.let_leases_run_out()
    assert sweep().lost_leases == 1
    fresh = work.claim(ids)
    assert work.finish(stalled) == []
    assert work.results(job) == []
    work.finish(fresh)
    assert work.finish(stalled) == []
    assert [row_no for row_no, _ in work.results(job)] == [1, 2, 3, 4]


def test_of_a_group_only_the_chunks_still_held_are_stored(work, sweep):
    job = work.job(8)
    held = work.claim(work.chunk_ids(job))
    work.execute("UPDATE chunk SET lease_until = now() - interval '1 s' WHERE id = :id", id=held[0].chunk_id)
    sweep()
    work.finish(held)
    assert [row_no for row_no, _ in work.results(job)] == [5, 6, 7, 8]


def test_a_failing_chunk_is_retried_then_halved_until_the_bad_row_is_alone(work):
    job = work.job(8, chunk_rows=8)
    poison = 6
    actions = []
    for _ in range(30):
        work.execute("UPDATE chunk SET not_before = NULL")
        claimed = work.claim(work.column("SELECT id FROM chunk WHERE state = 'queued' ORDER BY id"))
        if not claimed:
            break
        for lease in claimed:
            if lease.first_row <= poison <= lease.last_row:
                actions.append(outcomes.fail_chunk(work.database, lease, msg("boom")))
            else:
                assert lease.attempt >= outcomes.ALONE_FROM_ATTEMPT
                work.finish([lease])
    assert actions == [
        FailureAction.RETRIED,
        FailureAction.BISECTED,
        FailureAction.BISECTED,
        FailureAction.BISECTED,
        FailureAction.RETRIED,
        FailureAction.QUARANTINED,
    ]
    assert work.results(job) == [(row, "error" if row == poison else "ok") for row in range(1, 9)]
    assert work.column("SELECT error FROM result WHERE status = 'error'") == [msg("boom").to_json()]
    assert finish_job(work.database, job.internal_id)
    assert work.view(job).state is JobState.COMPLETED_WITH_ERRORS


def test_a_row_parted_from_a_poison_row_outlives_one_more_failure(work):
    job = work.job(2, chunk_rows=2)

    def claim():
        work.execute("UPDATE chunk SET not_before = NULL")
        return work.claim(work.column("SELECT id FROM chunk WHERE state = 'queued' ORDER BY id"))

    for _ in range(2):
        (whole,) = claim()
        outcomes.fail_chunk(work.database, whole, msg("boom"))
    actions = [outcomes.fail_chunk(work.database, lease, msg("passing")) for lease in claim()]
    assert actions == [FailureAction.RETRIED, FailureAction.RETRIED]
    work.finish(claim())
    assert work.results(job) == [(1, "ok"), (2, "ok")]


def test_a_failure_told_by_a_worker_that_lost_its_lease_is_ignored(work, sweep):
    ids = work.chunk_ids(work.job(4))
    (lease,) = work.claim(ids)
    work.let_leases_run_out()
    sweep()
    assert outcomes.fail_chunk(work.database, lease, msg("late")) is FailureAction.STALE


def test_the_summary_counts_labels_and_compares_with_gold(work):
    job = work.job(["a,甲", "b,乙", "c,", "d,甲"], chunk_rows=4)
    (internal_id,) = work.finish(work.claim(work.chunk_ids(job)))
    assert finish_job(work.database, internal_id)
    assert not finish_job(work.database, internal_id)
    view = work.view(job)
    assert view.state is JobState.COMPLETED
    assert view.summary is not None
    assert view.summary.labels == {"甲": 4, "乙": 0}
    assert view.summary.evaluation.accuracy == pytest.approx(2 / 3)
    assert view.summary.evaluation.without_gold == 1


def test_in_a_multi_label_job_every_assigned_label_counts(work):
    labels = LabelSet.of("甲,乙,丙", multi_label=True, threshold=0.7)
    job = work.job(["a,甲|丙", "b,乙", "c,"], chunk_rows=4, label_set=labels)
    (lease,) = work.claim(work.chunk_ids(job))
    scores = [[0.7, 0.1, 0.9], [0.2, 0.699999, 0.1], [0.8, 0.7, 0.1]]
    rows = [labels.decide(row) for row in scores]
    outcome = ChunkOutcome(
        lease=lease,
        results=[
            RowResult(number, made.status, made.best, made.score, made.margin, row)
            for number, (made, row) in enumerate(zip(rows, scores, strict=True), 1)
        ],
    )
    outcomes.finish_chunks(work.database, [outcome])
    finish_job(work.database, job.internal_id)
    summary = work.view(job).summary
    assert summary.labels == {"甲": 2, "乙": 1, "丙": 1}
    assert (summary.ok, summary.abstained) == (2, 1)
    assert summary.evaluation.accuracy == 0.5
    assert summary.evaluation.unknown_gold == {}
    assert [row[2] for row in results.export_rows(work.database, job)] == ["丙|甲", "", "甲|乙"]


def test_the_summary_of_a_job_newer_than_the_statistics_is_quick(work):
    work.completed(1)
    work.execute("ANALYZE")
    job = work.job(8_000, chunk_rows=1_000)
    work.finish(work.claim(work.chunk_ids(job)))
    with effort(work.database) as spent:
        assert finish_job(work.database, job.internal_id)
    assert spent.rows < 1_000_000  # 64 million where each row is compared with every other


def test_a_job_with_open_chunks_does_not_end(work):
    work.finish(work.claim(work.chunk_ids(work.job(2))))  # so that ids of jobs and chunks differ
    job = work.job(8)
    assert work.finish(work.claim(work.chunk_ids(job)[:1])) == []
    assert not finish_job(work.database, job.internal_id)
    assert work.view(job).state is JobState.RUNNING


def test_the_export_holds_every_row_in_order_while_the_job_runs(work):
    job = work.job(["a,甲", "b,乙,surplus", "c"], chunk_rows=2)
    work.finish(work.claim(work.chunk_ids(job)[:1]))
    assert results.export_columns(job) == [
        "text", "label", "yeban_label", "yeban_score", "yeban_margin", "yeban_status",
        "yeban_row_label", "yeban_row_score",
    ]  # fmt: skip
    assert list(results.export_rows(work.database, job)) == [
        ["a", "甲", "甲", 0.9, 0.8, "ok", "甲", 0.9],
        ["b", "乙", "甲", 0.9, 0.8, "ok", "甲", 0.9, "surplus"],
        ["c", "", "", None, None, "pending", "", None],
    ]


def test_without_refinement_the_export_has_no_second_label(work):
    job = work.completed(["a,甲"], refine=False)
    assert results.export_columns(job)[-1] == "yeban_status"
    assert list(results.export_rows(work.database, job)) == [["a", "甲", "甲", 0.9, 0.8, "ok"]]


def test_errors_are_listed_with_the_files_own_row_numbers(work):
    job = work.job(["a,甲", ",乙", "c,甲"])
    work.finish(work.claim(work.chunk_ids(job)))
    (error,) = results.error_rows(work.database, job, str)
    assert error[0] == 3
    assert "empty" in str(error[1])


def test_a_lost_lease_beside_the_live_one_of_its_chunk_stores_nothing(work, sweep):
    job = work.job(4)
    ids = work.chunk_ids(job)
    (stale,) = work.claim(ids)
    work.let_leases_run_out()
    sweep()
    (live,) = work.claim(ids)
    assert work.finish([stale, live]) == [job.internal_id]
    assert [row_no for row_no, _ in work.results(job)] == [1, 2, 3, 4]
