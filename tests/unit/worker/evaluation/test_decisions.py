from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from worker.evaluation import decisions
from worker.evaluation.decisions import Setting, add_examples, decide, decide_with_examples, draw, prepare, refined
from worker.evaluation.files import LabelledFile
from worker.evaluation.scorer import Scorer
from worker.refinement import refiner as sampling

MakeFile = Callable[..., LabelledFile]


def accuracy(probabilities: np.ndarray, gold: np.ndarray) -> float:
    return float((probabilities.argmax(axis=1) == gold).mean())


def test_each_setting_has_probabilities_of_every_row(make_file: MakeFile, scorer: Scorer) -> None:
    file = make_file()

    decided = decide(prepare(file, scorer, refine=True))

    assert list(decided.by_setting) == [Setting.ROW_BY_ROW, Setting.REFINED]
    for probabilities in decided.by_setting.values():
        assert probabilities.shape == (180, 3)
        assert np.allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
    assert np.array_equal(decided.by_setting[Setting.ROW_BY_ROW], scorer.scores(file.texts, file.label_set))
    refined_, alone = (accuracy(decided.by_setting[s], file.gold) for s in (Setting.REFINED, Setting.ROW_BY_ROW))
    assert refined_ > alone


def test_without_refinement_there_is_one_setting_and_nothing_is_embedded(make_file: MakeFile, scorer: Scorer) -> None:
    prepared = prepare(make_file(), scorer, refine=False)

    assert prepared.rows.vectors.shape == (180, 0)
    assert list(decide(prepared).by_setting) == [Setting.ROW_BY_ROW]
    assert list(decide_with_examples(prepared, scorer, 2, 0).by_setting) == [Setting.ROW_BY_ROW]


def test_rows_given_as_examples_are_not_judged(make_file: MakeFile, scorer: Scorer) -> None:
    file = make_file()
    prepared = prepare(file, scorer, refine=True)

    decided = decide_with_examples(prepared, scorer, 5, 0)

    judged = np.setdiff1d(np.arange(180), draw(file.gold, 3, 5, 0))
    assert len(judged) == 165
    assert np.array_equal(decided.gold, file.gold[judged])
    without = decide(prepared).by_setting
    for setting, probabilities in decided.by_setting.items():
        assert probabilities.shape == (165, 3)
        assert accuracy(probabilities, decided.gold) >= accuracy(without[setting][judged], decided.gold)


def test_examples_are_drawn_evenly_by_a_seed_and_leave_something_to_judge() -> None:
    gold = np.array([0] * 10 + [1] * 3 + [2] + [3] * 5)  # 3 is no candidate

    drawn = draw(gold, 3, 4, 7)

    assert np.bincount(gold[drawn], minlength=4).tolist() == [4, 2, 0, 0]
    assert np.array_equal(drawn, draw(gold, 3, 4, 7))
    assert not np.array_equal(drawn, draw(gold, 3, 4, 8))


def test_drawn_rows_become_examples_beside_those_that_a_label_has(make_file: MakeFile) -> None:
    file = make_file()

    label_set = add_examples(file, np.array([0, 1, 60]))

    assert [label.examples for label in label_set.labels] == [file.texts[:2], (file.texts[60],), ()]


def test_a_long_file_is_learnt_from_a_sample_and_known_rows_are_in_it(
    make_file: MakeFile, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = prepare(make_file(), scorer, refine=True).rows
    whole = refined(rows)
    learnt_from: list[np.ndarray] = []
    fit = decisions.fit

    def watched(sample, known, examples):
        learnt_from.append(known)
        return fit(sample, known, examples)

    monkeypatch.setattr(decisions, "fit", watched)
    monkeypatch.setattr(sampling, "SAMPLE_ROWS", 90)
    monkeypatch.setattr(decisions, "_APPLY_ROWS", 50)
    known = np.full(180, -1)
    known[[0, 100, 179]] = [0, 1, 2]
    from_sample = refined(rows, known)

    assert from_sample.shape == whole.shape
    assert (learnt_from[0] >= 0).sum() == 3
    assert 90 <= len(learnt_from[0]) <= 93
    assert (from_sample.argmax(axis=1) == whole.argmax(axis=1)).mean() > 0.8
