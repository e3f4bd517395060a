"""Jobs and chunks under any order of operations: PostgreSQL and a model in plain Python always say the same."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.fixtures.job_model import ACTIVE, COMPLETED, FINISHED, STOPPED, Chunk, Job
from tests.fixtures.jobs import FakeSender
from tests.fixtures.properties import examples
from tests.fixtures.two_worlds import LABELS, LATER, LONG_S, REFINEMENTS, TwoWorlds
from yeban.accounts.viewer import UNRESTRICTED
from yeban.chunks import hints, leases, outcomes, sweep, workers
from yeban.chunks.outcomes import FailureAction
from yeban.chunks.workers import WorkerInfo
from yeban.errors import msg
from yeban.jobs import control, retention
from yeban.results import refinement_data

MAX_JOBS = 4


class JobsMachine(TwoWorlds):
    """Several jobs and several workers that are late, forgetful and rude."""

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
            "idempotency_key": f"job-{len(self.public)}",
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

        for _ in range(1 + twice):
            self._both(
                job,
                getattr(job, verb),
                lambda: getattr(control, verb)(self.database, self.public[job.id], viewer=UNRESTRICTED),
            )

    @precondition(lambda self: self.world.jobs)
    @rule(data=st.data())
    def fail_job(self, data: Any) -> None:
        job = self._job(data)
        for _ in range(2):
            control.fail_job(self.database, job.id, msg("no model"))
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
        if twice and not job.deleted and all(row_no in job.results for row_no in wanted):
            assert self._correct(job, wanted) == (0, 0)

    @precondition(lambda self: any(job.results for job in self.world.jobs.values()))
    @rule(data=st.data(), twice=st.booleans())
    def ask_again(self, data: Any, twice: bool) -> None:
        job = self._job(data)
        for _ in range(1 + twice):
            self._both(
                job,
                job.ask_again,
                lambda: refinement_data.ask_again(self.database, self.public[job.id], viewer=UNRESTRICTED),
            )

    # Deleting.

    @precondition(lambda self: any(job.state in FINISHED for job in self.world.jobs.values()))
    @rule(data=st.data(), twice=st.booleans())
    def delete_job(self, data: Any, twice: bool) -> None:
        job = self._job(data)
        for _ in range(1 + twice):
            self._both(
                job, job.delete, lambda: retention.delete_job(self.database, self.public[job.id], viewer=UNRESTRICTED)
            )

    @precondition(lambda self: any(job.state in FINISHED for job in self.world.jobs.values()))
    @rule(data=st.data())
    def long_ago(self, data: Any) -> None:
        job = data.draw(st.sampled_from([job for job in self.world.jobs.values() if job.state in FINISHED]))
        self.work.execute("UPDATE job SET ended_at = now() - interval '31 days' WHERE id = :id", id=job.id)
        job.old = True

    @precondition(lambda self: any(job.old for job in self.world.jobs.values()))
    @rule(what=st.sampled_from(["delete_old_jobs", "forget_embeddings"]))
    def tidy(self, what: str) -> None:
        expected = getattr(self.world, what)()
        assert getattr(retention, what)(self.database, 30) == expected
        assert getattr(retention, what)(self.database, 30) == 0

    @precondition(lambda self: any(job.deleted for job in self.world.jobs.values()))
    @rule()
    def purge(self) -> None:
        assert retention.purge(self.database) == 0, "downloads that have begun can end"
        assert retention.purge(self.database, grace_s=0) == self.world.purge()

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
            assert outcomes.finish_chunks(self.database, [self._outcome(*one) for one in some]) == []

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), twice=st.booleans())
    def fail_chunk(self, data: Any, twice: bool) -> None:
        lease, held = data.draw(st.sampled_from(self.leases))
        found = self.world.held(held)
        expected = "stale" if found is None else found[0].fail(found[1], held.attempt)
        assert outcomes.fail_chunk(self.database, lease, msg("boom")) == expected
        if twice:
            assert outcomes.fail_chunk(self.database, lease, msg("boom")) is FailureAction.STALE

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), waits=st.booleans())
    def defer_chunk(self, data: Any, waits: bool) -> None:
        lease, held = data.draw(st.sampled_from(self.leases))
        for _ in range(2):
            outcomes.defer_chunk(self.database, lease, msg("engine broken"), delay_s=LONG_S if waits else 0.0)
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

    @rule(redis_away=st.booleans(), hints_lost=st.booleans())
    def sweep(self, redis_away: bool, hints_lost: bool) -> None:
        sender = FakeSender(away=redis_away)
        taken: list[int] = []
        if redis_away:
            sender.hint_chunks = lambda ids: (taken.extend(ids), FakeSender.hint_chunks(sender, ids))[1]  # type: ignore[method-assign]
        world = self.world
        started, expired = world.start_due_jobs(), world.expire_jobs()
        lost, cancelled = world.end_lost_leases(), world.end_cancelled_jobs()
        forgotten = 0
        if hints_lost:
            for _, chunk in world.chunks():
                if chunk.state == "queued" and chunk.hinted:
                    chunk.hinted = False
                    forgotten += 1
        swept = sweep.sweep(self.database, sender, hint_ttl_s=0.0 if hints_lost else LONG_S)  # type: ignore[arg-type]
        self._hinted(taken or sender.hinted, dropped=redis_away)
        assert (swept.started, swept.expired_jobs) == (started, expired)
        assert (swept.lost_leases, swept.cancelled, swept.lost_hints) == (lost, cancelled, forgotten)

    @rule(kind=st.sampled_from(REFINEMENTS[:5]))
    def finish_scored_jobs(self, kind: str) -> None:
        to_end = self.world.to_end()
        ended: list[int] = []

        def end_job(job_id: int) -> bool:
            ended.append(job_id)
            return self._finish_job(self.world.jobs[job_id], kind)

        sweep.finish_scored_jobs(self.database, end_job)
        assert ended == [job.id for job in to_end]

    def teardown(self) -> None:
        """However things stand, resuming and going on ends every job, each row with one result."""
        if not hasattr(self, "world"):
            return
        self.all_is_well()
        for job in self.world.jobs.values():
            self._check_view(job)
        assert retention.purge(self.database, grace_s=0) == self.world.purge()
        self.all_is_well()
        for job in self.world.jobs.values():
            job.due = True
            job.expires = None
        self.work.execute("UPDATE job SET start_at = NULL, expires_at = NULL")
        for job in self.world.jobs.values():
            missing = job.row_count - len(job.results)
            self._check_view(job)
            if job.state in STOPPED:
                control.resume(self.database, self.public[job.id], viewer=UNRESTRICTED)
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
            self.sweep(redis_away=False, hints_lost=True)
            self.finish_scored_jobs("decides")
            self.all_is_well()
            self._claim([id_ for id_, place in self.places.items() if any(c.hinted for _, c in self._chunks([id_]))])
            fresh = [one for one in self.leases if self.world.held(one[1]) is not None]
            self._finish(fresh)
            self.all_is_well()
        for job in self.world.jobs.values():
            assert job.state in COMPLETED, "a job does not come to its end"
            self._check_view(job)


def test_any_order_of_operations(database, monkeypatch):
    monkeypatch.setattr(hints, "MIN_WINDOW", hints.MIN_WINDOW)  # put back what the machine sets
    monkeypatch.setattr(outcomes, "_RETRY_DELAY_S", LONG_S)
    monkeypatch.setattr(retention, "_BATCH_ROWS", 2)
    monkeypatch.setattr(retention, "_BATCH_EMBEDDINGS", 1)

    class Bound(JobsMachine):
        pass

    Bound.database = database
    run_state_machine_as_test(Bound, settings=examples(40, stateful_step_count=40))
