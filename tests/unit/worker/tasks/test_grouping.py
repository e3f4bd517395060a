"""The grouper against a fake consumer with a manual clock, timers, pool and event loop."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tests.fixtures.properties import examples
from worker.tasks.grouping import Grouper, GroupPolicy
from yeban.messaging.queues import ChunkHint, TextRequest


class Payload(BaseModel):
    number: int


class FakeConsumer:
    connection_errors = ()

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, object]] = []
        self.submitted: deque = deque()
        self.soon: deque = deque()
        self.timer = SimpleNamespace(call_after=self._call_after)
        self.pool = SimpleNamespace(apply_async=self._apply_async)

    def _call_after(self, delay_s, action):
        self.timers.append((self.now + delay_s, action))
        return object()

    def _apply_async(self, target, args, callback):
        self.submitted.append((target, args))

    def call_soon(self, action, *args):
        self.soon.append((action, args))

    def work_one(self) -> None:
        """Run the oldest submitted group to its end, as a pool thread does."""
        target, args = self.submitted.popleft()
        target(*args)

    def turn(self) -> None:
        """One turn of the event loop."""
        while self.soon:
            action, args = self.soon.popleft()
            action(*args)
        due = [action for at, action in self.timers if at <= self.now]
        self.timers = [(at, action) for at, action in self.timers if at > self.now]
        for action in due:
            action()

    def reconnect(self) -> None:
        """Reconnect: the hub drops its timers silently."""
        self.timers.clear()


class Rig:
    def __init__(self, *, size=4, wait_s=0.05, slots=2, run=None) -> None:
        self.consumer = FakeConsumer()
        self.groups: list[list[int]] = []
        self.acked: list[int] = []
        self.rejected: list[object] = []
        self._run = run
        self.grouper = Grouper(
            Payload, GroupPolicy(size=size, wait_s=wait_s, slots=slots), self._record, clock=lambda: self.consumer.now
        )
        self.receive = self.grouper.bind(self.consumer)

    def _record(self, payloads) -> None:
        self.groups.append([payload.number for payload in payloads])
        if self._run:
            self._run(payloads)

    def deliver(self, *numbers: int) -> None:
        for number in numbers:
            message = SimpleNamespace(payload=[[], {"number": number}, {}], headers={"task": "t"})
            self.receive(message, None, lambda *_, n=number: self.acked.append(n), self._reject, [])

    def _reject(self, *_args, **options) -> None:
        self.rejected.append(options)

    def pending(self) -> int:
        return len(self.consumer.submitted)


def test_given_an_idle_worker_expect_the_first_message_to_run_at_once():
    rig = Rig()
    rig.deliver(1)
    rig.consumer.work_one()
    assert rig.groups == [[1]]


def test_given_a_busy_slot_expect_a_group_when_it_is_full():
    rig = Rig()
    rig.deliver(1, 2, 3, 4)
    assert rig.pending() == 1
    rig.deliver(5)
    assert rig.pending() == 2
    rig.consumer.work_one()
    rig.consumer.work_one()
    assert rig.groups == [[1], [2, 3, 4, 5]]


def test_given_a_busy_slot_expect_a_partial_group_after_the_wait():
    rig = Rig()
    rig.deliver(1, 2, 3)
    rig.consumer.now = 0.049
    rig.consumer.turn()
    assert rig.pending() == 1
    rig.consumer.now = 0.051
    rig.consumer.turn()
    assert rig.pending() == 2


def test_given_no_free_slot_expect_messages_to_gather_into_full_groups():
    rig = Rig()
    rig.deliver(*range(1, 6))
    rig.deliver(*range(6, 46))
    rig.consumer.now = 10.0
    rig.consumer.turn()
    assert rig.pending() == 2
    while rig.pending():
        rig.consumer.work_one()
        rig.consumer.turn()
    assert [len(group) for group in rig.groups] == [1, *[4] * 11]
    assert [number for group in rig.groups for number in group] == list(range(1, 46))


def test_acknowledgements_come_late_and_on_the_loop():
    rig = Rig()
    rig.deliver(1)
    assert rig.acked == []
    rig.consumer.work_one()
    assert rig.acked == []
    rig.consumer.turn()
    assert rig.acked == [1]


def test_given_a_group_that_raises_expect_its_slot_and_messages_to_be_freed(caplog):
    def explode(_payloads):
        raise RuntimeError("boom")

    rig = Rig(slots=1, run=explode)
    rig.deliver(1, 2)
    for _ in range(2):
        rig.consumer.work_one()
        rig.consumer.turn()
    assert rig.acked == [1, 2]
    assert "group failed" in caplog.text


@pytest.mark.parametrize("payload", [None, 3, [[], {"number": "x"}, {}], [[], {}, {}], [[], None, {}], [1]])
def test_given_a_malformed_message_expect_it_rejected_without_requeue(payload, caplog):
    rig = Rig()
    rig.receive(SimpleNamespace(payload=payload, headers={"task": "t"}), None, None, rig._reject, [])
    assert rig.rejected == [{"requeue": False}]
    assert rig.pending() == 0
    assert "malformed" in caplog.text


def test_given_a_reconnect_expect_buffered_messages_to_go_on_without_their_lost_timer():
    rig = Rig()
    rig.deliver(1, 2, 3)
    rig.consumer.reconnect()
    rig.receive = rig.grouper.bind(rig.consumer)
    rig.consumer.turn()
    rig.consumer.now = 0.051
    rig.consumer.turn()
    assert rig.pending() == 2


def test_given_a_reconnect_expect_running_groups_to_keep_their_slots():
    rig = Rig(slots=1)
    rig.deliver(1)
    rig.consumer.reconnect()
    rig.receive = rig.grouper.bind(rig.consumer)
    rig.deliver(2, 3, 4, 5)
    assert rig.pending() == 1
    rig.consumer.work_one()
    rig.consumer.turn()
    assert rig.pending() == 1


def test_given_a_pool_that_is_shutting_down_expect_messages_to_stay_unacknowledged():
    rig = Rig()

    def refuse(*_args, **_options):
        raise RuntimeError("cannot schedule new futures after shutdown")

    rig.consumer.pool.apply_async = refuse
    rig.deliver(1, 2)
    rig.consumer.turn()
    assert rig.acked == []
    assert rig.groups == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=6,
)
ALMOST = {
    ChunkHint: st.fixed_dictionaries({"chunk_id": st.integers() | JSON}, optional={"x": JSON}),
    TextRequest: st.fixed_dictionaries({
        "text": st.text() | JSON,
        "label_set": st.dictionaries(st.text(), JSON, max_size=2) | JSON,
        "model": st.text() | JSON,
        "reply_to": st.text() | JSON,
        "sent_at": st.floats() | JSON,
        "deadline": st.floats() | JSON,
    }),
}  # fmt: skip


@pytest.mark.parametrize("payload_type", ALMOST)
@given(data=st.data())
@examples(200)
def test_given_any_message_expect_it_run_as_its_payload_or_rejected(payload_type, data):
    ran, rejected, acked = [], [], []
    consumer = FakeConsumer()
    grouper = Grouper(payload_type, GroupPolicy(size=4, wait_s=0.05), ran.extend, clock=lambda: 0.0)
    wrapped = st.tuples(st.just([]), ALMOST[payload_type], st.just({})).map(list)
    message = SimpleNamespace(payload=data.draw(wrapped | JSON), headers=data.draw(st.dictionaries(st.text(), JSON)))
    grouper.bind(consumer)(message, None, lambda *_: acked.append(1), lambda *_, requeue: rejected.append(requeue), [])
    while consumer.submitted:
        consumer.work_one()
        consumer.turn()
    assert (len(ran), len(acked), rejected) in [(1, 1, []), (0, 0, [False])]
    for payload in ran:
        assert payload_type.model_validate_json(payload.model_dump_json()) == payload


@pytest.mark.parametrize("chunk_id", [0, -1, 2**63, 2**70])
def test_given_a_number_that_no_chunk_has_expect_its_message_rejected(chunk_id):
    """No worker sent it."""
    rejected = []
    grouper = Grouper(ChunkHint, GroupPolicy(size=4, wait_s=0.05), lambda _: None)
    message = SimpleNamespace(payload=[[], {"chunk_id": chunk_id}, {}], headers={})
    grouper.bind(FakeConsumer())(message, None, None, lambda *_, requeue: rejected.append(requeue), [])
    assert rejected == [False]
