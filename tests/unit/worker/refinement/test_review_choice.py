"""Which rows are suggested to a person."""

from __future__ import annotations

import numpy as np

from worker.refinement import fit
from worker.refinement.refiner import UNKNOWN
from worker.refinement.review_choice import suggest


def _unknown(count: int):
    return np.full(count, UNKNOWN, np.intp)


def test_rows_in_doubt_come_before_sure_ones(make_file):
    made = make_file([100, 100])
    probabilities = np.tile(np.array([0.99, 0.01], np.float32), (200, 1))
    probabilities[[3, 120]] = 0.5
    assert set(suggest(made.rows, probabilities, _unknown(200), 2)) == {3, 120}


def test_nothing_is_suggested_twice_or_again(make_file):
    made = make_file([60, 60, 60])
    known = _unknown(180)
    known[:150] = 0
    chosen = suggest(made.rows, made.rows.scores, known, 50)
    assert sorted(chosen) == list(range(150, 180))


def test_copies_of_one_text_are_suggested_once(make_file):
    made = make_file([50, 50])
    twins = made.part(np.concatenate([np.zeros(60, np.intp), np.arange(40)]))
    probabilities = np.full((100, 2), 0.5, np.float32)
    chosen = suggest(twins.rows, probabilities, _unknown(100), 10)
    assert sum(at < 60 or at == 60 for at in chosen) <= 1


def test_suggested_corrections_teach_more_than_the_first_rows(make_file):
    made = make_file([400, 200, 100, 50, 25], noise=2.0, spread=0.6)

    def taught(places) -> float:
        known = _unknown(len(made.gold))
        known[places] = made.gold[places]
        return made.accuracy(fit(made.rows, known)(made.rows))

    chosen = suggest(made.rows, fit(made.rows)(made.rows), _unknown(len(made.gold)), 30)
    assert taught(chosen) > taught(range(30))
