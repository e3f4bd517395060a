"""The text runner on a real Valkey, with the fake classifier."""

from __future__ import annotations

import time
import uuid

import pytest
from redis import Redis

from tests.fixtures.fake_classifier import FakeClassifier
from worker.tasks.classify_text import TextRunner
from worker.tasks.in_flight import InFlight
from worker.tasks.models import Models
from yeban.errors import UnknownModel
from yeban.labels import LabelSet
from yeban.queues import TextReply, TextRequest, make_redis


class Runner:
    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.classifier = FakeClassifier()
        self.run = TextRunner(redis=redis, models=Models(self._load), in_flight=InFlight())

    def _load(self, name: str) -> FakeClassifier:
        if name != "fake":
            raise UnknownModel(f"There is no model {name}.")
        return self.classifier

    def request(self, text: str, *, labels: str = "甲,乙", model: str = "fake", expires_s: float = 5.0) -> TextRequest:
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
    assert (answer.error_code, "does not fit" in answer.error_detail) == ("invalid_labels", True)


def test_an_unknown_model_is_answered_and_does_not_stop_the_others(runner):
    good, bad = runner.request("a"), runner.request("a", model="none")
    runner.run([good, bad])
    assert runner.reply(good).scores
    assert runner.reply(bad).error_code == "unknown_model"


def test_nothing_about_the_engine_leaks_into_an_answer(runner):
    poison = runner.request("POISON")
    runner.run([poison])
    assert "broke" not in runner.reply(poison).error_detail
