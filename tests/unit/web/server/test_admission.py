"""Admission against a clock that the test turns."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.fixtures.clock import FakeClock
from web.server.admission import Admission
from yeban.errors import InvalidRequest, NoAnswer, Overloaded, msg


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def rounds(admission: Admission, clock: FakeClock, *, at_once: int, takes_s: float, times: int = 1) -> None:
    """``at_once`` requests begin together and end together, ``times`` over."""
    for _ in range(times):
        with ExitStack() as held:
            for _ in range(min(at_once, admission.limit)):
                held.enter_context(admission.admit())
            clock.now += takes_s


def test_the_excess_is_refused_at_once_and_told_when_to_try_again():
    admission = Admission(msg("uploads"), most=2)
    with admission.admit(), admission.admit():
        with pytest.raises(Overloaded, match="2 uploads are already in progress") as refused, admission.admit():
            pass
        assert refused.value.context == {"waiting": 2, "retry_after_s": 1}
        assert admission.in_progress == 2
    with admission.admit():
        assert admission.in_progress == 1


def test_a_place_is_given_back_whatever_happens():
    admission = Admission(msg("texts"), most=1, target_s=1.0)
    for error in (InvalidRequest, NoAnswer, KeyboardInterrupt):
        with pytest.raises(error), admission.admit():
            raise error("x")
    assert admission.in_progress == 0


def test_without_a_target_the_limit_stays(clock):
    admission = Admission(msg("uploads"), most=4, clock=clock)
    rounds(admission, clock, at_once=4, takes_s=1e6, times=9)
    assert admission.limit == 4


def test_late_answers_shrink_the_limit_once_for_those_under_way_together(clock):
    admission = Admission(msg("texts"), most=50, least=2, target_s=1.0, clock=clock)
    rounds(admission, clock, at_once=50, takes_s=1.5)
    assert admission.limit == 40
    rounds(admission, clock, at_once=50, takes_s=1.5)
    assert admission.limit == 32


def test_the_limit_never_falls_below_the_least_that_keeps_a_worker_busy(clock):
    admission = Admission(msg("texts"), most=50, least=2, target_s=1.0, clock=clock)
    rounds(admission, clock, at_once=50, takes_s=9.0, times=100)
    assert admission.limit == 2


def test_no_answer_counts_as_late_and_other_failures_as_nothing(clock):
    admission = Admission(msg("texts"), most=10, target_s=1.0, clock=clock)

    def fail_late() -> None:
        with admission.admit():
            clock.now += 5
            raise InvalidRequest(msg("x"))

    with pytest.raises(InvalidRequest):
        fail_late()
    assert admission.limit == 10
    with pytest.raises(NoAnswer), admission.admit():
        raise NoAnswer(msg("x"))
    assert admission.limit == 8


def test_the_limit_grows_again_by_at_most_one_a_round(clock):
    admission = Admission(msg("texts"), most=50, target_s=1.0, clock=clock)
    rounds(admission, clock, at_once=50, takes_s=2.0, times=5)
    assert admission.limit == 16
    rounds(admission, clock, at_once=50, takes_s=0.5, times=10)
    assert 20 <= admission.limit <= 26
    rounds(admission, clock, at_once=50, takes_s=0.5, times=100)
    assert admission.limit == 50


def test_a_limit_nobody_comes_near_to_does_not_grow(clock):
    admission = Admission(msg("texts"), most=50, target_s=1.0, clock=clock)
    rounds(admission, clock, at_once=50, takes_s=2.0, times=5)
    rounds(admission, clock, at_once=2, takes_s=0.1, times=500)
    assert admission.limit == 16


@pytest.mark.parametrize("capacity", [5.0, 20.0, 200.0])
def test_under_overload_it_settles_where_answers_come_near_the_target(clock, capacity):
    """Workers that do ``capacity`` texts a second, and more callers than they can serve."""
    admission = Admission(msg("texts"), most=400, least=2, target_s=1.0, clock=clock)
    times = []
    for _ in range(300):
        at_once = admission.limit
        rounds(admission, clock, at_once=400, takes_s=at_once / capacity)
        times.append(at_once / capacity)
    assert 0.7 <= sum(times[200:]) / 100 <= 1.1
    assert max(times[200:]) <= 1.3
