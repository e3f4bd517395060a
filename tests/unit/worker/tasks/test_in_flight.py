import uuid

import pytest

from tests.fixtures.clock import FakeClock
from worker.tasks.in_flight import Abandoned, InFlight


@pytest.fixture
def clock():
    return FakeClock(100.0)


@pytest.fixture
def in_flight(clock):
    return InFlight(clock)


def test_nothing_held_is_never_stuck(in_flight, clock):
    clock.now += 1_000
    assert (in_flight.tokens(), in_flight.longest_idle_s()) == ([], 0.0)


def test_a_group_that_goes_on_is_not_stuck_however_long_it_takes(in_flight, clock):
    with in_flight.hold(uuid.uuid4()) as work:
        for _ in range(100):
            clock.now += 10
            assert in_flight.longest_idle_s() == 10
            work.progress()
        assert in_flight.longest_idle_s() == 0


def test_the_group_that_moved_longest_ago_counts(in_flight, clock):
    stuck, lively = uuid.uuid4(), uuid.uuid4()
    with in_flight.hold(stuck), in_flight.hold(lively) as work:
        clock.now += 60
        work.progress()
        assert in_flight.longest_idle_s() == 60
        assert in_flight.tokens() == [stuck, lively]
    assert in_flight.tokens() == []


def test_waiting_for_another_group_is_not_being_stuck(in_flight, clock):
    with in_flight.hold(uuid.uuid4()) as work:
        with work.waiting():
            clock.now += 3_600
            assert in_flight.longest_idle_s() == 0
        clock.now += 5
        assert in_flight.longest_idle_s() == 5


def test_stopping_lets_what_is_begun_go_on_and_abandoning_does_not(in_flight):
    with in_flight.hold(uuid.uuid4()) as work:
        in_flight.stop()
        work.progress()
        assert (in_flight.stopping, in_flight.abandoned) == (True, False)
        in_flight.abandon()
        with pytest.raises(Abandoned):
            work.progress()
