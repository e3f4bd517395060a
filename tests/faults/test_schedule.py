"""A schedule follows from its seed, and leaves no kind out."""

from __future__ import annotations

import random
from itertools import pairwise

from tests.faults.run import Plan
from tests.faults.schedule import make_schedule
from tests.faults.users import make_file


def test_the_same_seed_gives_the_same_strikes_and_files():
    assert Plan(seed=1, seconds=300).schedule() == Plan(seed=1, seconds=300).schedule()
    assert make_file(random.Random("a"), "k") == make_file(random.Random("a"), "k")


def test_another_seed_gives_other_strikes():
    assert Plan(seed=1, seconds=300).schedule() != Plan(seed=2, seconds=300).schedule()


def test_each_kind_strikes_once_before_any_strikes_again():
    strikes = list(make_schedule(["a", "b", "c"], seed=7, seconds=60, apart_s=(1, 2)))
    kinds = [strike.kind for strike in strikes]
    assert sorted(kinds[:3]) == sorted(kinds[3:6]) == ["a", "b", "c"]
    assert all(1 <= later.at_s - earlier.at_s <= 2 for earlier, later in pairwise(strikes))
    assert strikes[-1].at_s <= 60
    assert len({strike.seed for strike in strikes}) == len(strikes)


def test_a_round_is_every_kind_once():
    plan = Plan(seed=1, seconds=300, rounds=1)
    assert sorted(strike.kind for strike in plan.schedule()) == sorted(kind.name for kind in plan.kinds)


def test_kinds_have_names_of_their_own():
    kinds = [kind.name for kind in Plan(seed=1, seconds=1).kinds]
    assert len(set(kinds)) == len(kinds) > 40
