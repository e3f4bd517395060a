"""Transactions in one another's way: statement by statement in any order, and all at once."""

from __future__ import annotations

import itertools
import random
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.interleaving import Interleaving
from tests.fixtures.job_model import COMPLETED, STOPPED
from tests.fixtures.job_snapshots import check_invariants, empty, snapshot
from tests.fixtures.jobs import FakeSender, Made
from tests.fixtures.properties import examples
from yeban.accounts.viewer import UNRESTRICTED
from yeban.chunks import hints, leases, outcomes, sweep
from yeban.database.tables.states import JobState
from yeban.errors import Conflict, msg
from yeban.jobs import control, retention
from yeban.labels import LabelSet
from yeban.results import refinement_data
from yeban.results.completion import finish_job
from yeban.results.corrections import correct

LABELS = LabelSet.of("甲,乙")


class Scene:
    """A job of three chunks: one done, one claimed by somebody, one queued; and what may be done to it at once."""

    def __init__(self, work: Any) -> None:
        self.work, self.database = work, work.database
        empty(self.database)
        self.job = work.job(6, chunk_rows=2, label_set=LABELS)
        self.ids = work.chunk_ids(self.job)
        work.finish(work.claim(self.ids[:1]))
        self.held = work.claim(self.ids[1:2])
        self.claimed: list[Any] = []

    def actions(self) -> dict[str, Callable[[], Any]]:
        return {
            "claim": self.claim,
            "finish": lambda: self.work.finish(self.held),
            "fail": lambda: outcomes.fail_chunk(self.database, self.held[0], msg("boom")),
            "keep wanted": lambda: leases.keep_wanted(self.database, self.held),
            "release": lambda: leases.release(self.database, self.held),
            "renew": lambda: leases.renew(self.database, [self.held[0].token], lease_s=60),
            "pause": lambda: control.pause(self.database, self.job.id, viewer=UNRESTRICTED),
            "cancel": lambda: control.cancel(self.database, self.job.id, viewer=UNRESTRICTED),
            "resume": lambda: control.resume(self.database, self.job.id, viewer=UNRESTRICTED),
            "fail job": lambda: control.fail_job(self.database, self.job.internal_id, msg("no model")),
            "correct": lambda: correct(self.database, self.job.id, {1: ["乙"], 2: []}, viewer=UNRESTRICTED),
            "hint": lambda: hints.take_hints(self.database),
            "drop hints": lambda: hints.drop_hints(self.database, self.ids),
            "sweep": lambda: _sweep(self.database),
            "end": lambda: finish_job(self.database, self.job.internal_id),
        }

    def claim(self) -> None:
        self.claimed += leases.claim(self.database, self.ids, worker_id=uuid.uuid4(), lease_s=60)


@pytest.fixture
def scene(work):
    return lambda: Scene(work)


NAMES = st.sampled_from([
    "claim", "finish", "fail", "keep wanted", "release", "renew", "pause", "cancel", "resume", "fail job", "correct",
    "hint", "drop hints", "sweep", "end",
])  # fmt: skip


@given(
    names=st.lists(NAMES, min_size=2, max_size=3),
    before=st.sampled_from(["nothing", "lost lease", "paused", "last chunk", "live worker"]),
    turns=st.lists(st.integers(0, 2), max_size=20),
)
@examples(60)
def test_whatever_meets(scene, database, names, before, turns):
    now = scene()
    if before == "lost lease":
        now.work.let_leases_run_out()
    elif before == "paused":
        control.pause(database, now.job.id, viewer=UNRESTRICTED)
    elif before == "last chunk":
        now.work.finish(now.work.claim(now.ids))
    elif before == "live worker":
        now.work.execute(
            'INSERT INTO worker (id, role, host, pid, models, "window")'
            " VALUES (gen_random_uuid(), 'bulk', 'here', 1, '[]', 1)"
        )
    actions = now.actions()
    with Interleaving(database) as interleaving:
        actors = interleaving.run([actions[name] for name in names], turns)
    for name, actor in zip(names, actors, strict=True):
        assert actor.error is None or isinstance(actor.error, Conflict), (name, actor.error)
    found = snapshot(database)
    check_invariants(found)
    cancelled = now.work.view(now.job).state is JobState.CANCELLED
    # Whoever still holds something goes on with it.
    now.work.finish(now.held + now.claimed)
    after = snapshot(database)
    check_invariants(after)
    if cancelled:
        assert after.results == found.results
    _comes_to_its_end(now.work, now.job)


@pytest.mark.parametrize("turns", list(itertools.product((0, 1), repeat=5)), ids=lambda turns: "".join(map(str, turns)))
def test_a_claim_and_a_cancel_in_any_order_then_a_sweep(scene, database, turns):
    """A sweep while the claim is not committed must not call the job cancelled: its results would come later."""
    now = scene()
    control.cancel(database, now.job.id, viewer=UNRESTRICTED)
    control.resume(database, now.job.id, viewer=UNRESTRICTED)
    now.work.finish(now.held)
    actions = [now.claim, lambda: control.cancel(database, now.job.id, viewer=UNRESTRICTED), lambda: _sweep(database)]
    with Interleaving(database) as interleaving:
        actors = interleaving.run(actions, [*turns, *[2] * 12])
    assert [actor.error for actor in actors] == [None] * 3
    found = snapshot(database)
    check_invariants(found)
    now.work.finish(now.claimed)
    if found.jobs[now.job.internal_id].state == "cancelled":
        assert snapshot(database).results == found.results


@pytest.mark.parametrize("turns", list(itertools.product((0, 1), repeat=5)), ids=lambda turns: "".join(map(str, turns)))
def test_forgetting_embeddings_and_asking_for_a_refinement_in_any_order(work, database, monkeypatch, turns):
    """Whoever is to be refined again keeps every embedding; a job that has lost its first is refused."""
    monkeypatch.setattr(retention, "_BATCH_EMBEDDINGS", 1)
    made = Made(lines=["a,甲", "b,乙"], scores=np.full((2, 2), 0.5, np.float32), vectors=np.eye(2, dtype=np.float32))
    job = work.scored(made, chunk_rows=1, label_set=LABELS)
    assert finish_job(database, job.internal_id)
    work.execute("UPDATE job SET ended_at = now() - interval '31 days'")
    first_only = iter([True, False])
    actions = [
        lambda: retention.forget_embeddings(database, 30, wanted=lambda: next(first_only)),
        lambda: refinement_data.ask_again(database, job.id, viewer=UNRESTRICTED),
    ]
    with Interleaving(database) as interleaving:
        forgetting, asking = interleaving.run(actions, turns)
    assert forgetting.error is None
    kept = work.column("SELECT first_row FROM embedding ORDER BY first_row")
    if asking.error is None:
        assert (work.view(job).state, kept) == (JobState.FINISHING, [1, 2])
    else:
        assert isinstance(asking.error, Conflict)
        assert (work.view(job).state, kept) == (JobState.COMPLETED, [2])


class RudeWorker(threading.Thread):
    """Does sixty things to some jobs, one after the other, as it likes; ``error`` is what it did not expect."""

    def __init__(self, work: Any, jobs: list[Any], seed: int) -> None:
        super().__init__()
        self.error: BaseException | None = None
        self._work, self._database, self._jobs = work, work.database, jobs
        self._chance = random.Random(seed)
        self._held: list[Any] = []

    def run(self) -> None:
        actions = [self._claim] * 4 + [self._lease] * 6 + [self._person] * 4 + [self._system] * 2
        try:
            for _ in range(60):
                with suppress(Conflict):
                    self._chance.choice(actions)()
        except Exception as error:  # noqa: BLE001  # the test shows it
            self.error = error

    def _claim(self) -> None:
        job = self._chance.choice(self._jobs)
        ids = [chunk.id for chunk in snapshot(self._database).chunks[job.internal_id]]
        chosen = self._chance.sample(ids, min(len(ids), 4))
        self._held += leases.claim(self._database, chosen, worker_id=uuid.uuid4(), lease_s=60)

    def _lease(self) -> None:
        mine = self._chance.sample(self._held, min(len(self._held), 3))
        self._chance.choice([
            lambda: self._work.finish(mine),
            lambda: self._work.finish(mine),
            lambda: leases.release(self._database, mine),
            lambda: leases.keep_wanted(self._database, mine),
            lambda: leases.renew(self._database, [lease.token for lease in mine], lease_s=60),
            lambda: [outcomes.fail_chunk(self._database, lease, msg("boom")) for lease in mine[:1]],
        ])()  # fmt: skip

    def _person(self) -> None:
        job = self._chance.choice(self._jobs)
        wanted = {self._chance.randint(1, 12): ["乙"], self._chance.randint(1, 12): []}
        self._chance.choice([
            lambda: control.pause(self._database, job.id, viewer=UNRESTRICTED),
            lambda: control.cancel(self._database, job.id, viewer=UNRESTRICTED),
            lambda: control.resume(self._database, job.id, viewer=UNRESTRICTED),
            lambda: control.resume(self._database, job.id, viewer=UNRESTRICTED),
            lambda: correct(self._database, job.id, wanted, viewer=UNRESTRICTED),
        ])()  # fmt: skip

    def _system(self) -> None:
        if self._chance.random() < 0.5:
            _sweep(self._database)
        else:
            hints.drop_hints(self._database, hints.take_hints(self._database))


@pytest.mark.parametrize("part", range(3))
def test_all_at_once(work, database, part):
    """Whoever is refused is so by a state; nothing deadlocks, and every job can come to its end."""
    jobs = [work.job(12, chunk_rows=2, label_set=LABELS, refine=False) for _ in range(3)]
    rude = [RudeWorker(work, jobs, 8 * part + number) for number in range(8)]
    for worker in rude:
        worker.start()
    for worker in rude:
        worker.join()
    assert [worker.error for worker in rude] == [None] * 8
    check_invariants(snapshot(database))
    for job in jobs:
        _comes_to_its_end(work, job)


def _sweep(database: Any) -> None:
    sweep.sweep(database, FakeSender(), hint_ttl_s=0)  # type: ignore[arg-type]
    sweep.finish_scored_jobs(database, lambda job_id: finish_job(database, job_id))


def _comes_to_its_end(work: Any, job: Any) -> None:
    for _ in range(20):
        state = work.view(job).state
        if state in COMPLETED:
            return
        if state in STOPPED:
            control.resume(work.database, job.id, viewer=UNRESTRICTED)
        work.execute("UPDATE chunk SET not_before = NULL")
        work.execute("UPDATE job SET ender_until = NULL, ender_token = NULL")
        work.let_leases_run_out()
        _sweep(work.database)
        work.finish(work.claim(work.chunk_ids(job)))
        check_invariants(snapshot(work.database))
    raise AssertionError("the job does not come to its end")
