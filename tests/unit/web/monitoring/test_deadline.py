"""Questions that may never be answered."""

from __future__ import annotations

import threading

import pytest

from tests.fixtures.waiting import wait_until
from web.monitoring.deadline import Bounded
from yeban.errors import NotFound, ServiceUnavailable, msg


class Slow:
    """Answers with how often it was asked, once ``go`` is set."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = threading.Event()

    def __call__(self) -> int:
        self.asked += 1
        self.go.wait(120)
        return self.asked


def test_an_answer_is_given_on():
    assert Bounded("It", lambda: 3, timeout_s=120)() == 3


def test_what_the_question_raises_is_raised():
    def ask() -> None:
        raise NotFound(msg("no"))

    with pytest.raises(NotFound):
        Bounded("It", ask, timeout_s=120)()


def test_a_question_that_times_out_by_itself_is_not_one_that_hangs():
    def ask() -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        Bounded("It", ask, timeout_s=120)()


def test_what_is_not_answered_in_time_is_given_up_and_asked_only_once():
    slow = Slow()
    bounded = Bounded("The database", slow, timeout_s=0.05)
    for _ in range(3):
        with pytest.raises(ServiceUnavailable, match=r"The database did not answer within 0\.05 s"):
            bounded()
    assert slow.asked == 1
    slow.go.set()
    assert wait_until(lambda: bounded() == 2, what="a new question after the old one was answered")


def test_those_who_ask_at_the_same_time_share_an_answer():
    slow = Slow()
    bounded = Bounded("It", slow, timeout_s=120)
    waiting = [bounded.start() for _ in range(5)]
    slow.go.set()
    assert [answer() for answer in waiting] == [1] * 5


@pytest.mark.parametrize(("keep_s", "asked"), [(3600.0, 1), (0.0, 3)])
def test_an_answer_is_kept_for_as_long_as_it_may_be(keep_s, asked):
    slow = Slow()
    slow.go.set()
    bounded = Bounded("It", slow, timeout_s=120, keep_s=keep_s)
    for _ in range(3):
        bounded()
    assert slow.asked == asked
