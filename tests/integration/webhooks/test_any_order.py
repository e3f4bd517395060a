"""Deliveries under any order of events: PostgreSQL and a model in plain Python always say the same."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.fixtures.jobs import Work
from tests.fixtures.properties import examples
from yeban.accounts.viewer import UNRESTRICTED
from yeban.jobs import control
from yeban.jobs.retention import delete_job
from yeban.jobs.views import JobView
from yeban.webhooks import deliveries, endpoints
from yeban.webhooks.announcements import announce
from yeban.webhooks.deliveries import DELAYS_S, Message
from yeban.webhooks.failures import Failure
from yeban.webhooks.sender import Answer

T = TypeVar("T")

ARRIVED = Answer(status=200, failure=None, seconds=0.0)
FAILED = Answer(status=500, failure=Failure.NOT_ACCEPTED, seconds=0.0)
GONE = Answer(status=410, failure=Failure.GONE, seconds=0.0)
MOST = 3
WHICH = st.integers(0, 5)  # of those there are, counted round and round


@dataclass
class Told:
    """A delivery as it ought to be."""

    webhook: int
    end: tuple[int, int]  # of which job, and for which time
    attempt: int = 0
    waits: bool = True
    due: bool = True
    arrived: bool = False


class TellingMachine(RuleBasedStateMachine):
    """Jobs that end and go on, receivers of every mood, and senders that are late or die."""

    database: Any

    def __init__(self) -> None:
        super().__init__()
        self.work = Work(self.database)
        self.work.execute("TRUNCATE job, webhook RESTART IDENTITY CASCADE")
        self.jobs: list[JobView] = []
        self.ended: dict[int, bool] = {}
        self.ends: dict[int, int] = {}
        self.untold: set[int] = set()
        self.webhooks: dict[int, uuid.UUID] = {}
        self.told: dict[int, Told] = {}
        self.taken: list[Message] = []
        # Most that can go wrong goes wrong with a message.
        self.add_webhook()
        self.create()
        self.end(self.jobs[0])
        self.announce()

    # Jobs and webhooks.

    @precondition(lambda self: len(self.jobs) < MOST)
    @rule()
    def create(self) -> None:
        job = self.work.job(2)
        self.jobs.append(job)
        self.ended[job.internal_id], self.ends[job.internal_id] = False, 0

    def end(self, job: JobView) -> None:
        control.cancel(self.database, job.id, viewer=UNRESTRICTED)
        self.ended[job.internal_id] = True
        self.ends[job.internal_id] += 1
        self.untold.add(job.internal_id)

    @precondition(lambda self: self.jobs)
    @rule(which=WHICH)
    def end_or_go_on(self, which: int) -> None:
        job = _one(self.jobs, which)
        if not self.ended[job.internal_id]:
            self.end(job)
            return
        control.resume(self.database, job.id, viewer=UNRESTRICTED)
        self.ended[job.internal_id] = False
        self.untold.discard(job.internal_id)

    @precondition(lambda self: any(self.ended.values()))
    @rule(which=WHICH)
    def hide(self, which: int) -> None:
        job = _one([job for job in self.jobs if self.ended[job.internal_id]], which)
        delete_job(self.database, job.id, viewer=UNRESTRICTED)  # its end is told all the same
        self.jobs.remove(job)
        del self.ended[job.internal_id]

    @precondition(lambda self: len(self.webhooks) < MOST)
    @rule()
    def add_webhook(self) -> None:
        made = endpoints.create_webhook(
            self.database, "https://hooks.example/x", private=False, viewer=UNRESTRICTED
        ).webhook
        (key,) = self.work.column("SELECT id FROM webhook WHERE public_id = :id", id=made.id)
        self.webhooks[key] = made.id

    @precondition(lambda self: len(self.webhooks) == MOST)
    @rule(which=WHICH)
    def delete_webhook(self, which: int) -> None:
        key = _one(sorted(self.webhooks), which)
        endpoints.delete_webhook(self.database, self.webhooks.pop(key), viewer=UNRESTRICTED)
        self.told = {id_: told for id_, told in self.told.items() if told.webhook != key}

    # Telling.

    @precondition(lambda self: self.untold)
    @rule()
    def announce(self) -> None:
        wanted = {(webhook, (job, self.ends[job])) for job in self.untold for webhook in self.webhooks}
        assert announce(self.database) == len(wanted)
        self.untold.clear()
        for id_, webhook, job in self._rows("id, webhook_id, job_id"):
            if id_ not in self.told:
                self.told[id_] = Told(webhook=webhook, end=(job, self.ends[job]))
        ends = [(told.webhook, told.end) for told in self.told.values()]
        assert wanted <= set(ends)
        assert len(set(ends)) == len(ends), "an end was told twice"

    @precondition(lambda self: any(told.due for told in self.told.values()))
    @rule(alone=st.booleans())
    def take(self, alone: bool) -> None:
        of = {told.webhook for told in self.told.values() if told.due}
        of = {min(of)} if alone else of
        message = deliveries.claim(self.database, of)
        assert message is not None
        assert self.told[message.internal_id].due
        assert message.webhook_id in of
        told = self.told[message.internal_id]
        told.attempt, told.due = told.attempt + 1, False
        assert message.attempt == told.attempt
        self.taken.append(message)

    @precondition(lambda self: any(told.waits and not told.due for told in self.told.values()))
    @rule()
    def time_passes(self) -> None:
        """Leases and delays are over. Whoever has taken a message may be late, or dead."""
        self.work.execute("UPDATE webhook_delivery SET next_at = now() WHERE next_at > now()")
        for told in self.told.values():
            told.due = told.waits

    @precondition(lambda self: self.taken)
    @rule(which=WHICH, answer=st.sampled_from([ARRIVED, FAILED, FAILED, FAILED, GONE]))
    def enter(self, which: int, answer: Answer) -> None:
        """Whoever took a message, however long ago, says how it went."""
        message = self.taken.pop(which % len(self.taken))
        deliveries.record(self.database, message, answer)
        told = self.told.get(message.internal_id)
        if answer is GONE:
            for one in self.told.values():
                if one.webhook == message.webhook_id:
                    one.waits = one.due = False
        elif told is None or told.arrived:
            return
        elif answer is ARRIVED:
            told.arrived, told.waits, told.due = True, False, False
        elif told.attempt == message.attempt:
            told.waits, told.due = message.attempt <= len(DELAYS_S), False

    @precondition(lambda self: any(told.attempt for told in self.told.values()))
    @rule(which=WHICH)
    def try_again(self, which: int) -> None:
        key = _one([id_ for id_, told in self.told.items() if told.attempt], which)
        (public_id,) = self.work.column("SELECT public_id FROM webhook_delivery WHERE id = :id", id=key)
        deliveries.try_again(self.database, self.webhooks[self.told[key].webhook], public_id, viewer=UNRESTRICTED)
        self.told[key].attempt, self.told[key].waits, self.told[key].due = 0, True, True
        self.told[key].arrived = False

    # What holds.

    @invariant()
    def all_is_as_it_ought_to_be(self) -> None:
        columns = "id, attempt, next_at IS NOT NULL, coalesce(next_at <= now(), false), delivered_at IS NOT NULL"
        assert {id_: tuple(rest) for id_, *rest in self._rows(columns)} == {
            id_: (told.attempt, told.waits, told.due, told.arrived) for id_, told in self.told.items()
        }

    def teardown(self) -> None:
        """Once receivers are well, everything that waits arrives, and nothing is left to be due."""
        assert deliveries.claim(self.database, self.webhooks) is None or any(told.due for told in self.told.values())
        self.time_passes()
        while (message := deliveries.claim(self.database, self.webhooks)) is not None:
            deliveries.record(self.database, message, ARRIVED)
        waiting = "SELECT count(*) FROM webhook_delivery WHERE next_at IS NOT NULL"
        assert self.work.column(waiting) == [0]

    def _rows(self, columns: str) -> list[tuple[Any, ...]]:
        with self.database.engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(f"SELECT {columns} FROM webhook_delivery")]  # noqa: S608


def _one(of: Sequence[T], which: int) -> T:
    return of[which % len(of)]


def test_any_order_of_events(database):
    class Bound(TellingMachine):
        pass

    Bound.database = database
    run_state_machine_as_test(Bound, settings=examples(80, stateful_step_count=40))
