"""What is asked of the web while it is hurt is excused, also when that shows only once it answers again."""

from __future__ import annotations

from tests.faults.stage import Hurt


def test_a_call_that_a_fault_struck_is_excused_however_late_it_is_noticed() -> None:
    hurt = Hurt()
    was_hurt = hurt.since_now()
    hurt.begin()
    hurt.end()

    assert was_hurt()
    assert not hurt.since_now()()


def test_a_call_that_begins_while_the_web_is_hurt_is_excused() -> None:
    hurt = Hurt()
    hurt.begin()
    was_hurt = hurt.since_now()
    hurt.end()

    assert was_hurt()


def test_a_call_of_a_web_that_was_not_hurt_is_not() -> None:
    assert not Hurt().since_now()()
