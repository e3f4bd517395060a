"""What refinement brings on made files, and what it must never do."""

from __future__ import annotations

import numpy as np
import pytest

from worker.refinement import Examples, Rows, fit
from worker.refinement.refiner import NONE, UNKNOWN


def test_a_whole_file_is_tagged_better_than_row_by_row(make_file):
    made = make_file([300] * 6)
    by_row = made.accuracy(made.rows.scores)
    assert made.accuracy(fit(made.rows)(made.rows)) > by_row + 0.1


def test_probabilities_are_probabilities(make_file):
    made = make_file([100, 50, 10])
    refined = fit(made.rows)(made.rows)
    assert refined.dtype == np.float32
    assert refined.shape == (160, 3)
    assert np.allclose(refined.sum(axis=1), 1, atol=1e-5)


def test_what_was_learnt_from_a_sample_holds_for_rows_outside_it(make_file):
    made = make_file([400] * 5)
    places = np.random.default_rng(1).permutation(len(made.gold))
    sample, rest = made.part(places[:600]), made.part(places[600:])
    refined = fit(sample.rows)(rest.rows)
    assert rest.accuracy(refined) > rest.accuracy(rest.rows.scores) + 0.1


def test_the_order_of_rows_does_not_matter(make_file):
    made = make_file([150, 150, 150])
    order = np.random.default_rng(2).permutation(len(made.gold))
    shuffled = made.part(order)
    there = fit(shuffled.rows)(shuffled.rows).argmax(axis=1)
    here = fit(made.rows)(made.rows).argmax(axis=1)[order]
    assert (there == here).mean() > 0.99


def test_the_same_file_is_decided_the_same_way(make_file):
    made = make_file([80, 80])
    assert np.array_equal(fit(made.rows)(made.rows), fit(made.rows)(made.rows))


def test_unbalanced_files_are_not_made_even(make_file):
    made = make_file([900, 80, 20])
    refined = fit(made.rows)(made.rows)
    assert made.accuracy(refined) >= made.accuracy(made.rows.scores)
    assert (refined.argmax(axis=1) == 0).mean() > 0.8


def test_labels_that_no_row_has_take_no_rows(make_file):
    made = make_file([300] * 4, labels=8)
    refined = fit(made.rows)(made.rows)
    assert made.accuracy(refined) >= made.accuracy(made.rows.scores)
    assert (refined.argmax(axis=1) >= 4).mean() < (made.rows.scores.argmax(axis=1) >= 4).mean()


def test_rows_that_are_scored_well_by_themselves_are_left_alone(make_file):
    made = make_file([200] * 4, noise=0.2, spread=3.0)
    assert made.accuracy(made.rows.scores) > 0.99
    assert made.accuracy(fit(made.rows)(made.rows)) > 0.985


def test_vectors_that_say_nothing_do_no_harm(make_file):
    made = make_file([200] * 4, noise=0.9)
    random = np.random.default_rng(3).standard_normal(made.rows.vectors.shape).astype(np.float32)
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    blind = Rows(texts=[str(number) for number in range(800)], vectors=random, scores=made.rows.scores)
    assert made.accuracy(fit(blind)(blind)) >= made.accuracy(made.rows.scores) - 0.02


def test_a_text_that_is_repeated_a_thousand_times_does_not_become_its_label(make_file):
    made = make_file([150] * 4)
    again = np.concatenate([np.arange(600), np.zeros(1_000, np.intp)])
    swollen = made.part(again)
    refined = fit(swollen.rows)(made.rows)
    assert made.accuracy(refined) > made.accuracy(made.rows.scores) + 0.05


def test_corrections_win_over_scores_and_teach_the_other_rows(make_file):
    made = make_file([200] * 4, noise=2.0)
    known = np.full(len(made.gold), UNKNOWN, np.intp)
    told = np.concatenate([np.flatnonzero(made.gold == label)[:8] for label in range(4)])
    known[told] = made.gold[told]
    without, with_ = fit(made.rows)(made.rows), fit(made.rows, known)(made.rows)
    others = known == UNKNOWN
    right = made.gold[others]
    assert (with_[others].argmax(axis=1) == right).mean() > (without[others].argmax(axis=1) == right).mean() + 0.02


def test_examples_from_elsewhere_teach_as_well(make_file):
    made = make_file([200] * 4, noise=3.0)
    others = make_file([6] * 4, noise=3.0)
    examples = Examples(texts=others.rows.texts, vectors=others.rows.vectors, labels=others.gold)
    assert made.accuracy(fit(made.rows, examples=examples)(made.rows)) > made.accuracy(fit(made.rows)(made.rows)) + 0.02


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_files_too_small_to_learn_from_are_still_decided(make_file, rows):
    made = make_file([20, 20, 20]).part(np.arange(rows))
    refined = fit(made.rows)(made.rows)
    assert np.isfinite(refined).all()


def test_texts_without_words_and_vectors_of_zeros_are_decided(make_file):
    made = make_file([50, 50])
    empty = Rows(texts=[""] * 100, vectors=np.zeros_like(made.rows.vectors), scores=made.rows.scores)
    refined = fit(made.rows)(empty)
    assert np.isfinite(refined).all()
    assert np.isfinite(fit(empty)(empty)).all()


def test_rows_that_fit_no_label_are_learnt_from_a_few_of_them(make_file):
    made = make_file([200] * 5, noise=1.0)
    scores = made.rows.scores[:, :4] / made.rows.scores[:, :4].sum(axis=1, keepdims=True)
    rows = Rows(texts=made.rows.texts, vectors=made.rows.vectors, scores=scores)
    known = np.full(len(made.gold), UNKNOWN, np.intp)
    known[np.flatnonzero(made.gold == 4)[:40]] = NONE
    refiner = fit(rows, known)
    refined = refiner(rows)
    assert refiner.rejects
    assert refined.shape == (1_000, 5)
    rejected = refined.argmax(axis=1) == 4
    assert rejected[made.gold == 4].mean() > 0.3
    assert rejected[made.gold != 4].mean() < 0.01
