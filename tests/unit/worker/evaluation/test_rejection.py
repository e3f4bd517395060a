from __future__ import annotations

import numpy as np
import pytest

from worker.evaluation.rejection import auroc, false_accept_rate, measure


def test_the_area_counts_pairs_and_halves_of_ties() -> None:
    assert auroc(np.array([3.0, 2.0]), np.array([1.0, 2.0])) == 3.5 / 4


def test_scores_that_say_nothing_are_chance() -> None:
    random = np.random.default_rng(0)

    assert auroc(random.random(5_000), random.random(5_000)) == pytest.approx(0.5, abs=0.02)
    assert auroc(np.ones(7), np.ones(9)) == 0.5


def test_false_accepts_are_those_over_the_threshold_that_95_in_100_pass() -> None:
    fitting = np.arange(1.0, 21.0)

    assert false_accept_rate(fitting, np.array([1.0, 2.0, 3.0])) == 2 / 3
    assert false_accept_rate(fitting, np.array([1.0, 2.0, 3.0]), true_accept_rate=1.0) == 1.0
    assert false_accept_rate(fitting, np.array([1.0, 2.0, 3.0]), true_accept_rate=0.5) == 0.0


def test_both_are_measured_on_marked_rows() -> None:
    found = measure(np.array([0.9, 0.2, 0.8, 0.1]), np.array([True, False, True, False]))

    assert (found.auroc, found.false_accept_rate) == (1.0, 0.0)


@pytest.mark.parametrize("fits", [True, False])
def test_rows_of_one_kind_measure_nothing(fits: bool) -> None:
    with pytest.raises(ValueError, match="fit none"):
        measure(np.ones(3), np.full(3, fits))
