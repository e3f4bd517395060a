"""The chunk runner on a real database, with the fake classifier."""

from __future__ import annotations

import contextlib
import threading
import uuid

import numpy as np
import pytest

from tests.fixtures.fake_classifier import FakeClassifier
from tests.fixtures.waiting import wait_until
from worker.refinement.vectors import GEOMETRY_MODEL, unpack
from worker.tasks import classify_chunks
from worker.tasks.classify_chunks import ChunkRunner
from worker.tasks.finish_job import JobFinisher
from worker.tasks.in_flight import InFlight
from worker.tasks.models import Models
from yeban.accounts.viewer import UNRESTRICTED
from yeban.chunks import leases
from yeban.database.tables.states import JobState
from yeban.errors import EngineUnavailable, Message, msg
from yeban.jobs import control
from yeban.labels import LabelSet
from yeban.messaging.queues import ChunkHint
from yeban.results.completion import finish_job


class Runner:
    def __init__(self, work, sender) -> None:
        self.work = work
        self.classifier = FakeClassifier()
        self.in_flight = InFlight()
        self.broken: list[str] = []
        self.load = lambda _name: self.classifier
        self.models = Models(lambda name: self.load(name))  # noqa: PLW0108  # a test may put another in its place
        self.run = ChunkRunner(
            database=work.database,
            sender=sender,
            models=self.models,
            in_flight=self.in_flight,
            worker_id=uuid.uuid4(),
            lease_s=60,
            on_broken_engine=self.broken.append,
        )

    def __call__(self, *jobs) -> None:
        self.run([ChunkHint(chunk_id=chunk_id) for job in jobs for chunk_id in self.work.chunk_ids(job)])

    def in_thread(self, *jobs) -> threading.Thread:
        thread = threading.Thread(target=self, args=jobs)
        thread.start()
        return thread

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
    assert "engine" in str(Message.from_json(reason))


def test_a_row_that_kills_its_worker_costs_none_of_its_neighbours(work, runner, sweep):
    class ProcessDied(BaseException):
        pass

    def die_on_crash(plan, *, progress):
        if any("CRASH" in text for batch in plan.batches for text in batch.texts):
            raise ProcessDied
        return scored(plan, progress=progress)

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


class Held:
    """A classifier's engine that stops before each call until the test lets it go."""

    def __init__(self, classifier: FakeClassifier) -> None:
        self._run = classifier.run
        self._may_run = threading.Semaphore(0)
        self.begun = 0
        classifier.run = self.run

    def run(self, plan, *, progress):
        self.begun += 1
        assert self._may_run.acquire(timeout=120)
        return self._run(plan, progress=progress)

    def let(self, calls: int) -> None:
        self._may_run.release(calls)


@pytest.fixture
def heavy(runner, monkeypatch):
    """Chunks of four rows and two labels are a slice each; a group has all the time it takes."""
    monkeypatch.setattr(classify_chunks, "_GROUP_S", 3600.0)
    runner.classifier.text_tokens = classify_chunks._SLICE_TOKENS // 8
    return runner


@pytest.fixture
def held(heavy):
    return Held(heavy.classifier)


def states(work, job):
    return work.column("SELECT state FROM chunk WHERE job_id = :id ORDER BY first_row", id=job.internal_id)


def test_heavy_chunks_are_scored_one_by_one_and_light_ones_together(work, heavy):
    heavy_job = work.job(12, label_set=LabelSet.of("甲,乙"))
    heavy(heavy_job)
    heavy.classifier.text_tokens //= 2
    heavy(work.job(12, label_set=LabelSet.of("甲,乙")))
    assert heavy.classifier.calls == [[4], [4], [4], [4, 4], [4]]
    assert len(work.results(heavy_job)) == 12


def test_a_slice_is_stored_before_the_next_begins(work, heavy, held):
    job = work.job(12)
    thread = heavy.in_thread(job)
    for done in range(3):
        wait_until(lambda number=done: held.begun == number + 1, what="the next slice")
        assert states(work, job) == ["done"] * done + ["leased"] * (3 - done)
        held.let(1)
    thread.join(120)
    assert len(work.results(job)) == 12


def test_a_cancel_or_pause_takes_hold_between_slices(work, heavy, held):
    cancelled, paused = work.job(12), work.job(12)
    thread = heavy.in_thread(cancelled, paused)
    wait_until(lambda: held.begun == 1, what="the first slice")
    control.cancel(work.database, cancelled.id, viewer=UNRESTRICTED)
    control.pause(work.database, paused.id, viewer=UNRESTRICTED)
    held.let(9)
    thread.join(120)
    assert held.begun == 1
    assert states(work, cancelled) == ["done", "queued", "queued"]
    assert states(work, paused) == ["queued"] * 3
    assert set(work.column("SELECT attempt FROM chunk WHERE state = 'queued'")) == {0}
    control.resume(work.database, paused.id, viewer=UNRESTRICTED)
    heavy(paused)
    assert [row for row, _ in work.results(paused)] == list(range(1, 13))


def test_what_waited_long_for_the_engine_is_asked_for_again_before_it_is_scored(work, heavy, held, monkeypatch):
    monkeypatch.setattr(classify_chunks, "_STALE_S", 0.0)
    first, second = work.job(4), work.job(4)
    threads = [heavy.in_thread(first)]
    wait_until(lambda: held.begun == 1, what="the first group in the engine")
    threads.append(heavy.in_thread(second))
    wait_until(lambda: states(work, second) == ["leased"], what="the second group behind it")
    control.cancel(work.database, second.id, viewer=UNRESTRICTED)
    held.let(9)
    for thread in threads:
        thread.join(120)
    assert held.begun == 1
    assert states(work, second) == ["queued"]


def test_on_the_way_out_what_is_not_begun_is_given_back_untried(work, heavy, held, sender):
    running, waiting = work.job(12), work.job(12)
    threads = [heavy.in_thread(running)]
    wait_until(lambda: held.begun == 1, what="the first group in the engine")
    threads.append(heavy.in_thread(waiting))
    wait_until(lambda: states(work, waiting) == ["leased"] * 3, what="the second group behind it")
    heavy.in_flight.stop()
    held.let(9)
    for thread in threads:
        thread.join(120)
    assert held.begun == 1
    assert states(work, running) == ["done", "queued", "queued"]
    assert states(work, waiting) == ["queued"] * 3
    assert set(work.column("SELECT attempt FROM chunk WHERE state = 'queued'")) == {0}
    assert set(sender.hinted) >= set(work.chunk_ids(waiting)), "others are asked at once"


def test_on_the_way_out_nothing_is_claimed(work, runner):
    job = work.job(4)
    work.execute("UPDATE chunk SET hinted_at = now()")
    runner.in_flight.stop()
    runner(job)
    assert states(work, job) == ["queued"]
    assert work.column("SELECT hinted_at FROM chunk") == [None]


def test_a_call_that_is_broken_off_costs_its_chunk_no_attempt_and_its_rows_no_blame(work, runner):
    runner.classifier.per_text_s = 0.001
    job = work.job(4)
    runner.in_flight.abandon()
    runner.in_flight._stopping.clear()  # as if it had come in the midst of the call
    runner(job)
    assert states(work, job) == ["queued"]
    assert work.column("SELECT attempt FROM chunk") == [0]
    assert work.column("SELECT last_error FROM chunk") == [None]
    assert runner.broken == []


def test_a_group_whose_time_is_over_gives_the_rest_to_others(work, heavy, monkeypatch):
    monkeypatch.setattr(classify_chunks, "_GROUP_S", 0.0)
    job = work.job(12)
    heavy(job)
    assert states(work, job) == ["done", "queued", "queued"]
    assert work.column("SELECT attempt FROM chunk WHERE state = 'queued'") == [0, 0]
    heavy.until_done(job)
    assert len(work.results(job)) == 12


def test_two_groups_take_turns_slice_by_slice(work, heavy, held):
    one, two = work.job(8, refine=False), work.job(8, refine=False)
    threads = [heavy.in_thread(one)]
    wait_until(lambda: held.begun == 1, what="the first group in the engine")
    threads.append(heavy.in_thread(two))
    lock = heavy.models.get(work.view(one).model).lock
    done = []
    for number in range(1, 4):
        wait_until(lambda: lock.waiting == 1, what="the group that is not in the engine waiting for it")
        done.append((states(work, one).count("done"), states(work, two).count("done")))
        held.let(1)
        wait_until(lambda begun=number + 1: held.begun == begun, what="the next slice")
    held.let(1)
    for thread in threads:
        thread.join(30)
    assert done == [(0, 0), (1, 0), (1, 1)]
    assert states(work, one) == states(work, two) == ["done", "done"]
    assert heavy.classifier.most_running == 1


def test_a_poison_row_costs_the_other_slices_of_its_group_nothing(work, heavy):
    job = work.job(["fine,甲"] * 4 + ["POISON,甲"] * 4 + ["fine,甲"] * 4)
    heavy(job)
    assert states(work, job) == ["done", "queued", "done"]
    assert work.column("SELECT attempt FROM chunk ORDER BY first_row") == [1, 1, 1]


def test_a_group_waiting_for_the_engine_does_not_count_as_stuck(work, heavy, held):
    first, second = work.job(4), work.job(4)
    threads = [heavy.in_thread(first)]
    wait_until(lambda: held.begun == 1, what="the first group in the engine")
    threads.append(heavy.in_thread(second))
    held_by = heavy.in_flight._held
    wait_until(lambda: [one.idle_s() > 0 for one in [*held_by.values()]] == [True, False], what="one waiting, one not")
    held.let(2)
    for thread in threads:
        thread.join(120)


def test_a_model_that_takes_long_to_load_does_not_count_as_stuck(work, runner):
    loading, may_load = threading.Event(), threading.Event()

    def load(_name):
        loading.set()
        assert may_load.wait(120)
        return runner.classifier

    runner.load = load
    job = work.job(4)
    thread = runner.in_thread(job)
    assert loading.wait(120)
    assert runner.in_flight.tokens()
    assert runner.in_flight.longest_idle_s() == 0
    may_load.set()
    thread.join(120)
    assert len(work.results(job)) == 4


def test_leases_are_counted_as_held_until_the_last_slice_is_stored(work, heavy, held):
    job = work.job(8)
    thread = heavy.in_thread(job)
    wait_until(lambda: held.begun == 1, what="the first slice")
    held.let(1)
    wait_until(lambda: held.begun == 2, what="the second slice")
    work.let_leases_run_out()
    leases.renew(work.database, heavy.in_flight.tokens(), lease_s=60)
    assert work.column("SELECT lease_until > now() FROM chunk WHERE state = 'leased'") == [True]
    held.let(1)
    thread.join(120)
    assert len(work.results(job)) == 8


class FakeGeometry(FakeClassifier):
    """Embeds a text by how long it is."""

    def embed(self, texts):
        return np.array([[len(text), 1.0, 0.0, 0.0] for text in texts], np.float32)


def _with_geometry(runner, load_geometry):
    runner.load = lambda name: load_geometry() if name == GEOMETRY_MODEL else runner.classifier
    return runner


def test_rows_are_embedded_by_another_model_where_their_own_makes_no_embeddings(work, runner):
    job = work.job(["aa,甲", ",甲", "cccc,甲"], model="a-cross-encoder")
    _with_geometry(runner, lambda: FakeGeometry(fingerprint="geometry-1"))(job)
    assert work.column("SELECT encoder FROM embedding") == ["geometry-1"]
    (packed,) = work.column("SELECT vectors FROM embedding")
    vectors = unpack(bytes(packed), 4)
    assert vectors[1].tolist() == [0, 0, 0, 0], "a row that cannot be scored"
    assert vectors[2, 0] > vectors[0, 0] > 0


def test_rows_are_not_embedded_where_nobody_asked_for_refinement(work, runner):
    job = work.job(4, refine=False, model="a-cross-encoder")
    _with_geometry(runner, FakeGeometry)(job)
    assert len(work.results(job)) == 4
    assert work.column("SELECT count(*) FROM embedding") == [0]


def test_a_job_whose_rows_cannot_be_embedded_is_tagged_all_the_same(work, runner):
    def unavailable():
        raise EngineUnavailable(msg("OpenVINO is not installed."))

    job = work.job(120, model="a-cross-encoder")
    _with_geometry(runner, unavailable)(job)
    assert len(work.results(job)) == 120
    assert JobFinisher(database=work.database, models=runner.models)(job.internal_id)
    ended = work.view(job)
    assert ended.state is JobState.COMPLETED
    assert ended.refinement.state == "skipped"
    assert "embedding" in str(ended.refinement.reason)


def test_a_job_that_has_an_earlier_ones_number_is_tagged_with_its_own_labels(work, runner):
    """As after a restore into a database that the worker has known before."""
    earlier = work.job(4)
    runner(earlier)
    work.execute("DELETE FROM job")
    work.execute(f"ALTER TABLE job ALTER COLUMN id RESTART WITH {earlier.internal_id}")
    other = work.job(4, label_set=LabelSet.of("丙,丁,戊"))
    assert other.internal_id == earlier.internal_id
    runner(other)
    assert work.column("SELECT cardinality(scores) FROM result") == [3] * 4
