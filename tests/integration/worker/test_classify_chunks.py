"""The chunk runner on a real database, with the fake classifier."""

from __future__ import annotations

import contextlib
import uuid

import pytest

from tests.fixtures.fake_classifier import FakeClassifier
from worker.tasks.classify_chunks import ChunkRunner
from worker.tasks.in_flight import InFlight
from worker.tasks.models import Models
from yeban.jobs.ending import finish_job
from yeban.jobs.states import JobState
from yeban.labels import LabelSet
from yeban.queues import ChunkHint


class Runner:
    def __init__(self, work, sender) -> None:
        self.work = work
        self.classifier = FakeClassifier()
        self.in_flight = InFlight()
        self.broken: list[str] = []
        self.run = ChunkRunner(
            database=work.database,
            sender=sender,
            models=Models(lambda _name: self.classifier),
            in_flight=self.in_flight,
            worker_id=uuid.uuid4(),
            lease_s=60,
            on_broken_engine=self.broken.append,
        )

    def __call__(self, *jobs) -> None:
        self.run([ChunkHint(chunk_id=chunk_id) for job in jobs for chunk_id in self.work.chunk_ids(job)])

    def until_done(self, *jobs) -> None:
        for _ in range(30):
            self.work.execute("UPDATE chunk SET not_before = NULL")
            self(*jobs)
            for job in jobs:
                finish_job(self.work.database, job.internal_id)
            if all(self.work.view(job).state not in {JobState.QUEUED, JobState.RUNNING} for job in jobs):
                return
        raise AssertionError("the job never ended")


@pytest.fixture
def runner(work, sender):
    return Runner(work, sender)


def test_chunks_of_several_jobs_become_one_engine_call(work, runner):
    one = work.job(10, label_set=LabelSet.of("甲,乙"))
    two = work.job(3, label_set=LabelSet.of("丙,丁,戊"))
    runner(one, two)
    assert runner.classifier.calls == [[4, 4, 2, 3]]
    assert len(work.results(one)) == 10
    assert len(work.results(two)) == 3


def test_a_repeated_hint_does_the_work_once(work, runner):
    job = work.job(4)
    runner(job, job)
    runner(job)
    assert runner.classifier.calls == [[4]]


def test_rows_that_cannot_be_scored_never_reach_the_engine(work, runner):
    job = work.job(["a,甲", ",甲", "c,甲"])
    runner(job)
    assert runner.classifier.calls == [[2]]
    assert work.results(job) == [(1, "ok"), (2, "error"), (3, "ok")]


@pytest.mark.parametrize("poison", ["POISON", "NAN"])
def test_a_poison_row_becomes_an_error_and_its_neighbours_are_tagged(work, runner, poison):
    bad = work.job([f"{poison if number == 11 else 'fine'},甲" for number in range(1, 17)], chunk_rows=8)
    good = work.job(8, chunk_rows=8)
    runner.until_done(bad, good)
    assert work.results(bad) == [(number, "error" if number == 11 else "ok") for number in range(1, 17)]
    assert {status for _, status in work.results(good)} == {"ok"}
    assert work.view(bad).state is JobState.COMPLETED_WITH_ERRORS
    assert work.view(good).state is JobState.COMPLETED
    (reason,) = work.column("SELECT error FROM result WHERE status = 'error'")
    assert "engine" in reason


def test_a_row_that_kills_its_worker_costs_none_of_its_neighbours(work, runner, sweep):
    class ProcessDied(BaseException):
        pass

    def die_on_crash(plan):
        if any("CRASH" in text for batch in plan.batches for text in batch.texts):
            raise ProcessDied
        return scored(plan)

    scored = runner.classifier.run
    runner.classifier.run = die_on_crash
    job = work.job([f"{'CRASH' if number == 20 else 'fine'},甲" for number in range(1, 65)], chunk_rows=8)
    for _ in range(40):
        work.execute("UPDATE chunk SET not_before = NULL")
        with contextlib.suppress(ProcessDied):
            runner(job)
        work.let_leases_run_out()
        sweep()
        if work.view(job).state is JobState.COMPLETED_WITH_ERRORS:
            break
    assert [row for row, status in work.results(job) if status == "error"] == [20]
    assert len(work.results(job)) == 64


def test_a_broken_engine_blames_no_row_and_asks_for_a_new_process(work, runner):
    job = work.job(4)
    runner.classifier.broken = True
    runner(job)
    assert work.results(job) == []
    assert len(runner.broken) == 1
    runner.classifier.broken = False
    runner.until_done(job)
    assert {status for _, status in work.results(job)} == {"ok"}


def test_an_engine_that_stays_broken_fails_the_job_in_the_end(work, runner):
    job = work.job(4)
    runner.classifier.broken = True
    runner.until_done(job)
    view = work.view(job)
    assert view.state is JobState.FAILED
    assert "engine" in str(view.error)


def test_labels_that_do_not_fit_the_model_fail_their_job_and_no_other(work, runner):
    bad = work.job(4, label_set=LabelSet.of("TOO LONG,乙"))
    good = work.job(4)
    runner(bad, good)
    assert work.view(bad).state is JobState.FAILED
    assert "does not fit" in str(work.view(bad).error)
    assert len(work.results(good)) == 4


def test_a_job_is_never_tagged_by_two_models(work, runner):
    job = work.job(8)
    runner.run([ChunkHint(chunk_id=work.chunk_ids(job)[0])])
    runner.classifier.fingerprint = "fake-2"
    runner(job)
    view = work.view(job)
    assert view.state is JobState.FAILED
    assert view.model_fingerprint == "fake-1"
    assert "another build" in str(view.error)
    assert len(work.results(job)) == 4


def test_no_lease_is_held_after_a_group(work, runner):
    runner(work.job(4))
    assert runner.in_flight.tokens() == []
    assert work.column("SELECT count(*) FROM chunk WHERE state = 'leased'") == [0]


def test_a_group_tops_up_the_hints(work, runner, sender):
    job = work.job(100, chunk_rows=1)
    runner.run([ChunkHint(chunk_id=work.chunk_ids(job)[0])])
    assert sender.hinted


def test_given_no_database_expect_the_group_to_be_given_up_quietly(work, runner, caplog):
    job = work.job(4)
    ids = work.chunk_ids(job)
    name = work.column("SELECT current_database()")[0]
    work.database.close()
    with work.unreachable(name):
        runner.run([ChunkHint(chunk_id=chunk_id) for chunk_id in ids])
    assert "given up" in caplog.text
    assert work.column("SELECT count(*) FROM result") == [0]
