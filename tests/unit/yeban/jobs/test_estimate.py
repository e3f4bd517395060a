"""How well estimates hold: histories of jobs of all sizes are made up, and the next job's time is looked for."""

from __future__ import annotations

import math
import random

import pytest

from yeban.jobs.estimate import FIXED_S, LEAST_S, Measured, estimate_by


class Machine:
    """One that takes ``fixed_s`` for a job and ``rows_per_s`` rows a second, both as even as ``noise`` says."""

    def __init__(self, *, fixed_s: float, rows_per_s: float, noise: float) -> None:
        self.fixed_s = fixed_s
        self.rows_per_s = rows_per_s
        self.noise = noise
        self.random = random.Random(20)

    def job(self) -> Measured:
        rows = int(10 ** self.random.uniform(0.5, 5))
        fixed_s = self.fixed_s * self._factor(0.3)
        return Measured(rows=rows, seconds=fixed_s + rows / self.rows_per_s * self._factor(self.noise), labels=5)

    def _factor(self, noise: float) -> float:
        return math.exp(self.random.gauss(0, noise))


@pytest.mark.parametrize("fixed_s", [1, 4, 15])
@pytest.mark.parametrize("rows_per_s", [30, 150, 2000])
@pytest.mark.parametrize("noise", [0.1, 0.4])
@pytest.mark.parametrize("jobs", [5, 12, 40])
def test_four_of_five_jobs_end_within_a_range_that_is_no_wider_than_four(fixed_s, rows_per_s, noise, jobs):
    machine = Machine(fixed_s=fixed_s, rows_per_s=rows_per_s, noise=noise)
    told = held = 0
    for _ in range(200):
        history, next_one = [machine.job() for _ in range(jobs)], machine.job()
        found = estimate_by(history, rows=next_one.rows, labels=5)
        if found is None:  # nothing but small jobs
            continue
        assert found.high_s <= 4.001 * found.low_s
        told += 1
        # What is over before a person has looked up needs no lower end.
        held += max(found.low_s, LEAST_S[0]) <= max(next_one.seconds, LEAST_S[0]) <= found.high_s
    assert told > 190
    assert held / told >= 0.8


def test_many_small_jobs_that_mostly_wait_do_not_set_the_pace_of_a_large_one():
    small = [Measured(rows=6, seconds=seconds, labels=5) for seconds in (1, 2, 2, 3, 21) * 8]
    found = estimate_by([*small, Measured(rows=12_000, seconds=100, labels=5)], rows=17_360, labels=5)
    assert found.low_s < 142 < found.high_s
    assert found.low_s > 60
    assert found.high_s < 300
    assert found.jobs == 1


def test_no_job_is_said_to_take_less_than_a_few_seconds():
    fast = [Measured(rows=100_000, seconds=20, labels=5)] * 6
    found = estimate_by(fast, rows=3, labels=5)
    assert (found.low_s, found.high_s) == pytest.approx(LEAST_S, rel=0.01)
    assert found.low_s < FIXED_S < found.high_s


def test_small_jobs_tell_of_small_ones_only():
    small = [Measured(rows=50, seconds=9, labels=5)] * 3
    found = estimate_by(small, rows=20, labels=5)
    assert found.low_s < 9 < found.high_s
    assert estimate_by(small, rows=400, labels=5) is None
