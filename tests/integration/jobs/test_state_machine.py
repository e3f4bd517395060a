"""Jobs and chunks under any order of operations: PostgreSQL and a model in plain Python always say the same."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.fixtures.job_model import ACTIVE, COMPLETED, ENDED, STOPPED, WAYS, Chunk, Held, Job, Refused, World
from tests.fixtures.job_snapshots import Snapshot, check_invariants, check_model, empty, snapshot
from tests.fixtures.jobs import FakeSender, Work
from tests.fixtures.properties import examples
from yeban.errors import Conflict, ServiceUnavailable
from yeban.jobs import control, corrections, finishing, hints, leases, refining, sweeping, views, workers
from yeban.jobs.ending import EndLost, NotRefined, Refinement, finish_job
from yeban.jobs.finishing import ChunkOutcome, Embedded, FailureAction, RowResult
from yeban.jobs.leases import Lease
from yeban.jobs.workers import WorkerInfo
from yeban.labels import LabelSet, Status

LABELS = LabelSet.of("甲,乙", threshold=0.5)
LONG_S = 3_600.0
LATER = timedelta(days=1)
MAX_JOBS = 4
#: What a refinement may do; the last ones are for what happens meanwhile.
REFINEMENTS = ["cannot", "decides", "declines", "fails", "is lost", "database away", "is asked again", "corrects"]


class JobsMachine(RuleBasedStateMachine):
    """Several jobs and several workers that are late, forgetful and rude."""

    database: Any = None  # set by the test

    @initialize(window=st.integers(1, 6))
    def begin(self, window: int) -> None:
        empty(self.database)
        self.work = Work(self.database)
        self.world = World()
        self.least_window = window
        hints.MIN_WINDOW = window
        self.leases: list[tuple[Lease, Held]] = []
        self.public: dict[int, uuid.UUID] = {}
        self.places: dict[int, tuple[int, int]] = {}  # job and first row of a chunk, by its id
        self.seen: Snapshot | None = None
        self.serial = 0

    # Jobs and what people do to them.

    @precondition(lambda self: len(self.world.jobs) < MAX_JOBS)
    @rule(
        rows=st.integers(1, 7),
        chunk_rows=st.integers(1, 4),
        bad=st.sets(st.integers(1, 7), max_size=2),
        later=st.booleans(),
        expires=st.booleans(),
        refine=st.booleans(),
    )
    def create(self, rows: int, chunk_rows: int, bad: set[int], later: bool, expires: bool, refine: bool) -> None:
        now = datetime.now(UTC)
        lines = [",甲" if number in bad else f"row {number},甲" for number in range(1, rows + 1)]
        options: dict[str, Any] = {
            "chunk_rows": chunk_rows,
            "label_set": LABELS,
            "refine": refine,
            "start_at": now + LATER if later else None,
            "expires_at": now + 2 * LATER if expires else None,
            "idempotency_key": f"job-{len(self.world.jobs)}",
        }
        view = self.work.job(lines, **options)
        assert self.work.job(lines, **options).id == view.id
        self.public[view.internal_id] = view.id
        self.world.jobs[view.internal_id] = Job(
            id=view.internal_id,
            row_count=rows,
            state="scheduled" if later else "queued",
            chunks={
                first: Chunk(first=first, last=min(rows, first + chunk_rows - 1))
                for first in range(1, rows + 1, chunk_rows)
            },
            bad_rows={number for number in bad if number <= rows},
            refine=refine,
            due=not later,
            expires="later" if expires else None,
        )

    @precondition(lambda self: self.world.jobs)
    @rule(data=st.data(), verb=st.sampled_from(["pause", "cancel", "resume"]), twice=st.booleans())
    def control(self, data: Any, verb: str, twice: bool) -> None:
        job = self._job(data)

        def model() -> None:
            if verb == "cancel":
                job.cancel(workers=self.world.worker_window > 0)
            else:
                getattr(job, verb)()

        for _ in range(1 + twice):
            self._both(model, lambda: getattr(control, verb)(self.database, self.public[job.id]))

    @precondition(lambda self: self.world.jobs)
    @rule(data=st.data())
    def fail_job(self, data: Any) -> None:
        job = self._job(data)
        for _ in range(2):
            control.fail_job(self.database, job.id, "no model")
        if job.state in ACTIVE:
            job.state = "failed"

    @precondition(lambda self: self.world.jobs)
    @rule(data=st.data())
    def its_time_comes(self, data: Any) -> None:
        job = self._job(data)
        self.work.execute("UPDATE job SET start_at = now() WHERE id = :id AND start_at IS NOT NULL", id=job.id)
        job.due = True

    @precondition(lambda self: any(job.expires == "later" for job in self.world.jobs.values()))
    @rule(data=st.data())
    def its_time_is_over(self, data: Any) -> None:
        job = data.draw(st.sampled_from([job for job in self.world.jobs.values() if job.expires == "later"]))
        self.work.execute("UPDATE job SET expires_at = now() WHERE id = :id", id=job.id)
        job.expires = "past"

    @precondition(lambda self: any(job.results for job in self.world.jobs.values()))
    @rule(data=st.data(), twice=st.booleans())
    def correct(self, data: Any, twice: bool) -> None:
        job = self._job(data)
        wanted = data.draw(
            st.dictionaries(
                st.integers(1, job.row_count), st.sampled_from([None, (), (0,), (1,)]), min_size=1, max_size=3
            )
        )
        self._correct(job, wanted)
        if twice and all(row_no in job.results for row_no in wanted):
            assert self._correct(job, wanted) == (0, 0)

    def _correct(self, job: Job, wanted: dict[int, tuple[int, ...] | None]) -> tuple[int, int] | None:
        names = {
            row_no: None if labels is None else [LABELS.names[label] for label in labels]
            for row_no, labels in wanted.items()
        }
        expected, found = self._both(
            lambda: job.correct(wanted),
            lambda: corrections.correct(self.database, self.public[job.id], names),
        )
        if expected is None:
            return None
        assert (found.stored, found.removed) == expected
        return expected

    @precondition(lambda self: any(job.results for job in self.world.jobs.values()))
    @rule(data=st.data(), twice=st.booleans())
    def ask_again(self, data: Any, twice: bool) -> None:
        job = self._job(data)
        for _ in range(1 + twice):
            self._both(job.ask_again, lambda: refining.ask_again(self.database, self.public[job.id]))

    # Workers.

    @rule(window=st.integers(0, 4))
    def workers_come_and_go(self, window: int) -> None:
        self.work.execute("DELETE FROM worker")
        if window:
            workers.beat(
                self.database,
                WorkerInfo(id=uuid.uuid4(), role="bulk", host="here", pid=1, models=[], window=window),
            )
        self.world.worker_window = window

    @rule()
    def take_hints(self) -> None:
        self._hinted(hints.take_hints(self.database))
        assert hints.take_hints(self.database) == []

    @precondition(lambda self: self.places)
    @rule(data=st.data())
    def drop_hints(self, data: Any) -> None:
        ids = self._chunk_ids(data)
        hints.drop_hints(self.database, ids)
        for _, chunk in self._chunks(ids):
            if chunk.state == "queued":
                chunk.hinted = False

    @precondition(lambda self: self.places)
    @rule(data=st.data(), twice=st.booleans())
    def claim(self, data: Any, twice: bool) -> None:
        self._claim(self._chunk_ids(data))
        if twice:
            ids = self._chunk_ids(data)
            self._claim(ids)
            assert leases.claim(self.database, ids, worker_id=uuid.uuid4(), lease_s=LONG_S) == []

    @precondition(lambda self: self.places)
    @rule()
    def claim_all(self) -> None:
        self._claim(list(self.places))

    def _claim(self, ids: Sequence[int]) -> None:
        expected = self.world.claimable(self.places[id_] for id_ in ids if id_ in self.places)
        taken = leases.claim(self.database, ids, worker_id=uuid.uuid4(), lease_s=LONG_S)
        assert [lease.chunk_id for lease in taken] == sorted(lease.chunk_id for lease in taken)
        assert {self.places[lease.chunk_id] for lease in taken} == {(job.id, chunk.first) for job, chunk in expected}
        if not taken:
            return
        (token,) = {lease.token for lease in taken}
        assert all(token != old.token for old, _ in self.leases), "a token is given once"
        self.world.claim(expected, token)
        for lease in taken:
            job_id, first = self.places[lease.chunk_id]
            chunk = self.world.jobs[job_id].chunks[first]
            assert (lease.job_id, lease.first_row, lease.last_row) == (job_id, chunk.first, chunk.last)
            assert lease.attempt == chunk.attempt >= 1
            self.leases.append((lease, Held(job_id, chunk.first, chunk.last, token, chunk.attempt)))

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def renew(self, data: Any) -> None:
        tokens = {held.token for _, held in self._some_leases(data)}
        leases.renew(self.database, tokens, lease_s=LONG_S)
        for _, chunk in self.world.chunks():
            if chunk.state == "leased" and chunk.token in tokens:
                chunk.overdue = False

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), waits=st.booleans(), twice=st.booleans())
    def release(self, data: Any, waits: bool, twice: bool) -> None:
        some = self._some_leases(data)
        for _ in range(1 + twice):
            leases.release(self.database, [lease for lease, _ in some], delay_s=LONG_S if waits else 0.0)
        for _, held in some:
            if (found := self.world.held(held)) is not None:
                found[1].requeue(attempt=found[1].attempt - 1, waiting=waits)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), twice=st.booleans())
    def keep_wanted(self, data: Any, twice: bool) -> None:
        some = self._some_leases(data)
        expected = []
        for lease, held in some:
            if (found := self.world.held(held)) is None:
                continue
            job, chunk = found
            if job.state in ACTIVE:
                expected.append(lease)
            else:
                chunk.requeue(attempt=chunk.attempt - 1)
        for _ in range(1 + twice):
            assert leases.keep_wanted(self.database, [lease for lease, _ in some]) == expected

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), twice=st.booleans())
    def finish(self, data: Any, twice: bool) -> None:
        some = self._some_leases(data)
        self._finish(some)
        if twice:
            assert finishing.finish_chunks(self.database, [self._outcome(*one) for one in some]) == []

    def _finish(self, some: Sequence[tuple[Lease, Held]]) -> None:
        outcomes = [self._outcome(lease, held) for lease, held in some]
        touched = set()
        for outcome, (lease, held) in zip(outcomes, some, strict=True):
            if (found := self.world.held(held)) is None:
                continue
            job, chunk = found
            job.store(chunk, {one.row_no: (one.status.value, one.label, one.score) for one in outcome.results})
            job.embedded = job.embedded or lease.refine
            touched.add(job.id)
        expected = sorted(job_id for job_id in touched if self.world.jobs[job_id].all_done)
        assert finishing.finish_chunks(self.database, outcomes) == expected

    def _outcome(self, lease: Lease, held: Held) -> ChunkOutcome:
        """Results that tell who wrote them."""
        self.serial += 1
        job = self.world.jobs[held.job_id]
        results = []
        for row_no in range(lease.first_row, lease.last_row + 1):
            if row_no in job.bad_rows:
                results.append(RowResult(row_no, Status.ERROR, error="empty text"))
                continue
            kind = (row_no + self.serial) % 3
            score = round(0.6 + self.serial / 10_000, 4)
            status = Status.ABSTAINED if kind == 2 else Status.OK
            results.append(RowResult(row_no, status, kind % 2, score, 0.2, [score, 0.4]))
        embedded = Embedded(encoder="made-1", vectors=bytes(4 * lease.rows)) if lease.refine else None
        return ChunkOutcome(lease=lease, results=results, embedded=embedded)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), twice=st.booleans())
    def fail_chunk(self, data: Any, twice: bool) -> None:
        lease, held = data.draw(st.sampled_from(self.leases))
        found = self.world.held(held)
        expected = "stale" if found is None else found[0].fail(found[1], held.attempt)
        assert finishing.fail_chunk(self.database, lease, "boom") == expected
        if twice:
            assert finishing.fail_chunk(self.database, lease, "boom") is FailureAction.STALE

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), waits=st.booleans())
    def defer_chunk(self, data: Any, waits: bool) -> None:
        lease, held = data.draw(st.sampled_from(self.leases))
        for _ in range(2):
            finishing.defer_chunk(self.database, lease, "engine broken", delay_s=LONG_S if waits else 0.0)
        if (found := self.world.held(held)) is not None:
            found[1].requeue(attempt=found[1].attempt, waiting=waits)

    @precondition(lambda self: any(job.all_done for job in self.world.jobs.values()))
    @rule(data=st.data(), kind=st.sampled_from(REFINEMENTS), twice=st.booleans())
    def finish_job(self, data: Any, kind: str, twice: bool) -> None:
        job = self._job(data)
        self._finish_job(job, kind)
        if twice:
            self._finish_job(job, "decides")

    # Time, and the sweep.

    @precondition(lambda self: any(chunk.state == "leased" for _, chunk in self.world.chunks()))
    @rule(data=st.data())
    def leases_run_out(self, data: Any) -> None:
        leased = [(job, chunk) for job, chunk in self.world.chunks() if chunk.state == "leased"]
        for job, chunk in data.draw(st.lists(st.sampled_from(leased), unique_by=id, min_size=1)):
            self.work.execute(
                "UPDATE chunk SET lease_until = now() - interval '1 s' WHERE job_id = :job AND first_row = :first",
                job=job.id,
                first=chunk.first,
            )
            chunk.overdue = True

    @rule()
    def waits_are_over(self) -> None:
        self.work.execute("UPDATE chunk SET not_before = now() WHERE state = 'queued'")
        for _, chunk in self.world.chunks():
            chunk.waiting = False

    @precondition(lambda self: any(job.ender for job in self.world.jobs.values()))
    @rule()
    def enders_are_silent(self) -> None:
        self.work.execute("UPDATE job SET ender_until = now() - interval '1 s'")
        for job in self.world.jobs.values():
            job.ender = False

    @rule(redis_away=st.booleans(), hints_lost=st.booleans(), kind=st.sampled_from(REFINEMENTS[:5]))
    def sweep(self, redis_away: bool, hints_lost: bool, kind: str) -> None:
        sender = FakeSender(away=redis_away)
        taken: list[int] = []
        if redis_away:
            sender.hint_chunks = lambda ids: (taken.extend(ids), FakeSender.hint_chunks(sender, ids))[1]  # type: ignore[method-assign]
        world = self.world
        started, expired = world.start_due_jobs(), world.expire_jobs()
        lost, cancelled = world.end_lost_leases(), world.end_cancelled_jobs()
        ended: list[int] = []
        finishing_jobs: list[Job] = []

        def end_job(job_id: int) -> bool:
            if not ended:
                # All that comes before the first end is over.
                self._hinted(taken or sender.hinted, dropped=redis_away)
                finishing_jobs.extend(world.to_end())
            ended.append(job_id)
            return self._finish_job(world.jobs[job_id], kind)

        forgotten = 0
        if hints_lost:
            for _, chunk in world.chunks():
                if chunk.state == "queued" and chunk.hinted:
                    chunk.hinted = False
                    forgotten += 1
        swept = sweeping.sweep(
            self.database,
            sender,
            end_job,
            hint_ttl_s=0.0 if hints_lost else LONG_S,  # type: ignore[arg-type]
        )
        if not ended:
            self._hinted(taken or sender.hinted, dropped=redis_away)
            assert world.to_end() == []
        assert ended == [job.id for job in finishing_jobs]
        assert (swept.started, swept.expired_jobs) == (started, expired)
        assert (swept.lost_leases, swept.cancelled, swept.lost_hints) == (lost, cancelled, forgotten)

    # Both sides.

    def _finish_job(self, job: Job, kind: str) -> bool:
        """End a job in both worlds; ``kind`` says what its refinement does."""
        takes = job in self.world.to_end()
        if kind == "database away" and takes and job.refine:
            job.state, job.ender = "finishing", True
            with pytest.raises(ServiceUnavailable):
                finish_job(self.database, job.id, self._refinement(job, kind))
            return False
        if takes:
            job.state = "finishing"
            if job.refine:
                job.ender = kind == "is lost"
        called = finish_job(self.database, job.id, self._refinement(job, kind))
        lost = takes and job.refine and kind in {"is lost", "is asked again"}
        assert called == (takes and not (lost and (kind == "is lost" or job.embedded)))
        if called:
            if job.refine:
                decides = kind in {"decides", "corrects"} or (kind == "is asked again" and not job.embedded)
                job.refined = self._decisions(job) if decides else {}
            job.ender = False
            job.settle()
        return called

    def _refinement(self, job: Job, kind: str) -> Callable[..., Refinement] | None:
        if kind == "cannot":
            return None

        def refine(ending: Any, check: Callable[[], None]) -> Refinement:
            assert ending.row_count == job.row_count
            check()
            if kind == "declines":
                raise NotRefined("too few rows")
            if kind == "fails":
                raise ZeroDivisionError
            if kind == "is lost":
                raise EndLost
            if kind == "database away":
                raise ServiceUnavailable("away")
            if kind == "is asked again":
                assert not finish_job(self.database, job.id), "somebody is at it"
                with suppress(Conflict):
                    refining.ask_again(self.database, self.public[job.id])
            if kind == "corrects":
                self._correct(job, {1: (1,)})
            return Refinement(
                rows=[
                    (row_no, Status(status), label, 0.7, 0.1)
                    for row_no, (status, label) in self._decisions(job).items()
                ],
                report={"state": "done", "suggested": []},
            )

        return refine

    def _decisions(self, job: Job) -> dict[int, tuple[str, int]]:
        return {
            row_no: ("abstained" if row_no % 3 == 0 else "ok", row_no % 2)
            for row_no, (status, _, _) in job.results.items()
            if status != "error"
        }

    def _both(self, model: Callable[[], Any], real: Callable[[], Any]) -> tuple[Any, Any]:
        """Do it in both worlds; refused in both, or in none."""
        try:
            expected = model()
        except Refused:
            with pytest.raises(Conflict):
                real()
            return None, None
        return expected, real()

    def _hinted(self, ids: Sequence[int], *, dropped: bool = False) -> None:
        self._learn_ids()
        window = max(self.least_window, 2 * self.world.worker_window)
        taken = self._chunks(ids)
        assert len(taken) == len(ids)
        self.world.check_hints(taken, window)
        if dropped:
            for _, chunk in taken:
                chunk.hinted = False

    def _job(self, data: Any) -> Job:
        return data.draw(st.sampled_from(list(self.world.jobs.values())), label="job")

    def _chunk_ids(self, data: Any) -> list[int]:
        """Ids of any chunks, and some that nobody has."""
        return data.draw(st.lists(st.sampled_from([*self.places, 0, 2**40]), max_size=6), label="chunks")

    def _chunks(self, ids: Sequence[int]) -> list[tuple[Job, Chunk]]:
        found = [self.places[id_] for id_ in ids if id_ in self.places]
        return [(self.world.jobs[job_id], self.world.jobs[job_id].chunks[first]) for job_id, first in found]

    def _some_leases(self, data: Any) -> list[tuple[Lease, Held]]:
        """Leases that were ever given, live or not, each once."""
        return data.draw(
            st.lists(
                st.sampled_from(self.leases[-12:]),
                unique_by=lambda one: one[0].key,
                max_size=5,
            ),
            label="leases",
        )

    def _learn_ids(self) -> None:
        found = snapshot(self.database)
        self.places = {
            chunk.id: (job_id, chunk.first_row) for job_id, chunks in found.chunks.items() for chunk in chunks
        }

    @invariant()
    def all_is_well(self) -> None:
        if not hasattr(self, "world"):
            return
        found = snapshot(self.database)
        check_invariants(found)
        check_model(found, self.world)
        if self.seen is not None:
            self._check_ways(self.seen, found)
        self.seen = found
        self.places = {
            chunk.id: (job_id, chunk.first_row) for job_id, chunks in found.chunks.items() for chunk in chunks
        }

    def _check_ways(self, before: Snapshot, after: Snapshot) -> None:
        for job_id, old in before.jobs.items():
            state = after.jobs[job_id].state
            assert state == old.state or state in WAYS[old.state], f"{old.state} became {state}"
            # What is stored stays, whatever comes.
            for row_no, result in before.results[job_id].items():
                assert after.results[job_id][row_no] == result
            if old.state == state == "cancelled":
                assert before.results[job_id] == after.results[job_id]
            done = {chunk.first_row for chunk in before.chunks[job_id] if chunk.state == "done"}
            assert done <= {chunk.first_row for chunk in after.chunks[job_id] if chunk.state == "done"}

    def teardown(self) -> None:
        """However things stand, resuming and going on ends every job, each row with one result."""
        if not hasattr(self, "world"):
            return
        self.all_is_well()
        for job in self.world.jobs.values():
            job.due = True
            job.expires = None
        self.work.execute("UPDATE job SET start_at = NULL, expires_at = NULL")
        for job in self.world.jobs.values():
            missing = job.row_count - len(job.results)
            self._check_view(job)
            if job.state in STOPPED:
                control.resume(self.database, self.public[job.id])
                job.resume()
                assert job.row_count - len(job.results) == missing
        self.all_is_well()
        for _ in range(40):
            if all(job.state in COMPLETED for job in self.world.jobs.values()):
                break
            self.waits_are_over()
            self.enders_are_silent()
            self.work.let_leases_run_out()
            for _, chunk in self.world.chunks():
                chunk.overdue = chunk.state == "leased"
            self.sweep(redis_away=False, hints_lost=True, kind="decides")
            self.all_is_well()
            self._claim([id_ for id_, place in self.places.items() if any(c.hinted for _, c in self._chunks([id_]))])
            fresh = [one for one in self.leases if self.world.held(one[1]) is not None]
            self._finish(fresh)
            self.all_is_well()
        for job in self.world.jobs.values():
            assert job.state in COMPLETED, "a job does not come to its end"
            self._check_view(job)

    def _check_view(self, job: Job) -> None:
        """What a person is told adds up."""
        view = views.get_job(self.database, self.public[job.id])
        assert (view.state, view.progress.rows, view.progress.done) == (job.state, job.row_count, len(job.results))
        assert view.corrections == len(job.corrections)
        counted = (view.progress.ok, view.progress.abstained, view.progress.errors)
        assert sum(counted) == len(job.results)
        if job.state in COMPLETED:
            assert counted == job.counts()
        assert job.state not in ENDED or "ended_at" in view.times


def test_any_order_of_operations(database, monkeypatch):
    monkeypatch.setattr(hints, "MIN_WINDOW", hints.MIN_WINDOW)  # put back what the machine sets
    monkeypatch.setattr(finishing, "_RETRY_DELAY_S", LONG_S)

    class Bound(JobsMachine):
        pass

    Bound.database = database
    run_state_machine_as_test(Bound, settings=examples(40, stateful_step_count=40))
