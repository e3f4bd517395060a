"""Calls to servers that may hang."""

from __future__ import annotations

import threading

import pytest

from tests.fixtures.waiting import wait_until
from web.monitoring.deadline import TimedCall
from yeban.errors import NotFound, ServiceUnavailable, msg


class Slow:
    """Returns the number of its calls, once ``go`` is set."""

    def __init__(self) -> None:
        self.calls = 0
        self.go = threading.Event()

    def __call__(self) -> int:
        self.calls += 1
        self.go.wait(120)
        return self.calls


def test_the_result_is_returned():
    assert TimedCall("It", lambda: 3, timeout_s=120)() == 3


def test_an_error_of_the_function_is_raised():
    def ask() -> None:
        raise NotFound(msg("no"))

    with pytest.raises(NotFound):
        TimedCall("It", ask, timeout_s=120)()


def test_a_timeout_of_the_function_itself_is_raised():
    def ask() -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        TimedCall("It", ask, timeout_s=120)()


def test_a_hanging_call_times_out_and_is_not_repeated():
    slow = Slow()
    call = TimedCall("The database", slow, timeout_s=0.05)
    for _ in range(3):
        with pytest.raises(ServiceUnavailable, match=r"The database did not answer within 0\.05 s"):
            call()
    assert slow.calls == 1
    slow.go.set()
    assert wait_until(lambda: call() == 2, what="a new call after the old one returned")


def test_concurrent_callers_share_a_result():
    slow = Slow()
    call = TimedCall("It", slow, timeout_s=120)
    waiting = [call.start() for _ in range(5)]
    slow.go.set()
    assert [answer() for answer in waiting] == [1] * 5


@pytest.mark.parametrize(("cache_s", "calls"), [(3600.0, 1), (0.0, 3)])
def test_a_result_is_cached_for_the_given_time(cache_s, calls):
    slow = Slow()
    slow.go.set()
    call = TimedCall("It", slow, timeout_s=120, cache_s=cache_s)
    for _ in range(3):
        call()
    assert slow.calls == calls
