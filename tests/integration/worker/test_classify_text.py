"""The text runner on a real Valkey, with the fake classifier."""

from __future__ import annotations

import threading
import time
import uuid

import pytest
from redis import Redis

from tests.fixtures.fake_classifier import FakeClassifier
from tests.fixtures.waiting import wait_until
from worker.tasks.classify_text import TextRunner
from worker.tasks.in_flight import InFlight
from worker.tasks.models import Models
from yeban.errors import UnknownModel, msg
from yeban.labels import LabelSet
from yeban.messaging.queues import TextReply, TextRequest, make_redis


class Runner:
    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.classifier = FakeClassifier()
        self.models = Models(self._load)
        self.in_flight = InFlight()
        self.run = TextRunner(redis=redis, models=self.models, in_flight=self.in_flight)

    def _load(self, name: str) -> FakeClassifier:
        if name != "fake":
            raise UnknownModel(msg("There is no model %(name)s.", name=name))
        return self.classifier

    def request(
        self, text: str, *, labels: str = "甲,乙", model: str = "fake", expires_s: float = 600.0
    ) -> TextRequest:
        now = time.time()
        return TextRequest(
            text=text,
            label_set=LabelSet.of(labels).to_json(),
            model=model,
            reply_to=f"yeban:reply:{uuid.uuid4().hex}",
            sent_at=now,
            deadline=now + expires_s,
        )

    def reply(self, request: TextRequest) -> TextReply | None:
        answer = self.redis.lpop(request.reply_to)
        return None if answer is None else TextReply.model_validate_json(answer)


@pytest.fixture
def runner(redis_url):
    with make_redis(redis_url) as redis:
        yield Runner(redis)


def test_a_group_is_one_engine_call_and_each_gets_its_own_answer(runner):
    requests = [runner.request("a"), runner.request("b", labels="甲,乙,丙"), runner.request("CACHED " * 100)]
    runner.run(requests)
    assert runner.classifier.calls == [[1, 1, 1]]
    replies = [runner.reply(request) for request in requests]
    assert [len(reply.scores) for reply in replies] == [2, 3, 2]
    assert replies[0].scores == [0.9, 0.1]
    assert replies[0].fingerprint == "fake-1"
    assert [(reply.truncated, reply.cached) for reply in replies] == [(False, False), (False, False), (True, True)]
    assert [(reply.cache_lookups, reply.cache_hits) for reply in replies] == [(2, 0), (3, 0), (2, 2)]
    assert all(reply.queue_ms >= 0 and reply.inference_ms >= 0 for reply in replies)


def test_an_unread_answer_does_not_stay_for_ever(runner):
    request = runner.request("a")
    runner.run([request])
    assert 0 < runner.redis.ttl(request.reply_to) <= 30


def test_a_late_request_is_dropped_unscored(runner):
    late = runner.request("a", expires_s=-0.1)
    runner.run([late])
    assert runner.classifier.calls == []
    assert runner.reply(late) is None


@pytest.mark.parametrize("bad", ["POISON", "NAN"])
def test_a_text_that_breaks_the_engine_fails_alone(runner, bad):
    good, poison = runner.request("a"), runner.request(bad)
    runner.run([good, poison])
    assert runner.reply(good).scores == [0.9, 0.1]
    assert runner.reply(poison).error_code == "engine_failed"


def test_labels_that_do_not_fit_are_answered_with_the_reason(runner):
    good, bad = runner.request("a"), runner.request("a", labels="TOO LONG,乙")
    runner.run([good, bad])
    assert runner.reply(good).error_code is None
    answer = runner.reply(bad)
    assert (answer.error_code, "does not fit" in answer.error_message["id"]) == ("invalid_labels", True)


def test_an_unknown_model_is_answered_and_does_not_stop_the_others(runner):
    good, bad = runner.request("a"), runner.request("a", model="none")
    runner.run([good, bad])
    assert runner.reply(good).scores
    assert runner.reply(bad).error_code == "unknown_model"


def test_nothing_about_the_engine_leaks_into_an_answer(runner):
    poison = runner.request("POISON")
    runner.run([poison])
    assert "broke" not in str(runner.reply(poison).error_message)


@pytest.fixture
def busy_engine(runner):
    """Another group is in the engine for as long as the block lasts; gives what the waiting group's thread runs."""

    class Busy:
        def __enter__(self):
            work = self.holding = runner.in_flight.hold(uuid.uuid4())
            self.turn = runner.models.get("fake").turn(work.__enter__())
            self.turn.__enter__()
            return self

        def __exit__(self, *_):
            self.turn.__exit__(None, None, None)
            self.holding.__exit__(None, None, None)
            self.thread.join(120)

        def run_behind(self, requests):
            self.thread = threading.Thread(target=runner.run, args=(requests,))
            self.thread.start()
            held = runner.in_flight._held
            wait_until(lambda: [work.idle_s() > 0 for work in [*held.values()]] == [True, False], what="one that waits")
            self.waits_since = time.time()

    return Busy()


def test_a_request_whose_deadline_passes_while_it_waits_for_the_engine_is_dropped_unscored(runner, busy_engine):
    late, live = runner.request("a", expires_s=0.5), runner.request("b")
    with busy_engine as engine:
        engine.run_behind([late, live])
        wait_until(lambda: time.time() > max(late.deadline, engine.waits_since + 0.2), what="the deadline")
    passed_ms = (time.time() - live.sent_at) * 1000
    assert runner.classifier.calls == [[1]]
    assert runner.reply(late) is None
    reply = runner.reply(live)
    assert reply.scores == [0.9, 0.1]
    assert reply.queue_ms >= 200, "the wait for the engine is a wait"
    assert reply.queue_ms + reply.inference_ms <= passed_ms, "and no work"


def test_when_all_are_late_the_engine_is_not_asked(runner, busy_engine):
    with busy_engine as engine:
        late = runner.request("a", expires_s=0.3)
        engine.run_behind([late])
        wait_until(lambda: time.time() > late.deadline, what="the deadline")
    assert runner.classifier.calls == []


def test_a_heavy_request_is_scored_last_and_by_itself(runner):
    runner.classifier.text_tokens = 40
    heavy = runner.request("heavy", labels=",".join(f"label {n}" for n in range(100)))
    light = [runner.request(f"light {n}") for n in range(3)]
    answered: list[list[bool]] = []
    run = runner.classifier.run

    def noted(plan, *, progress):
        answered.append([runner.redis.llen(request.reply_to) == 1 for request in (*light, heavy)])
        return run(plan, progress=progress)

    runner.classifier.run = noted
    runner.run([heavy, *light])
    assert runner.classifier.calls == [[1, 1, 1], [1]]
    assert answered == [[False] * 4, [True, True, True, False]], "the light ones must not wait for the heavy one"
    assert len(runner.reply(heavy).scores) == 100


@pytest.mark.parametrize("label_set", [{"labels": []}, {"of": "another version"}])
def test_labels_that_cannot_be_read_are_answered_and_do_not_stop_the_others(runner, label_set):
    good = runner.request("a")
    bad = good.model_copy(update={"label_set": label_set, "reply_to": "yeban:reply:bad"})
    runner.run([good, bad])
    assert runner.reply(good).scores
    assert runner.reply(bad).error_code is not None
