from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from worker.evaluation.decisions import prepare
from worker.evaluation.files import LabelledFile
from worker.evaluation.open_set import ANY_LABEL, auroc, false_accept_rate, leave_out, measure, why_not
from worker.evaluation.scorer import Scorer
from yeban.errors import InvalidLabels
from yeban.labels import LabelSet

MakeFile = Callable[..., LabelledFile]


def test_rows_of_the_label_left_out_and_of_no_label_are_to_be_rejected(make_file: MakeFile, scorer: Scorer) -> None:
    file = make_file(猫=60, 狗=60, 鱼=60, 鸟=20)

    found = leave_out(prepare(file, scorer, refine=True), scorer, "鱼")

    assert (found.label, found.rows, found.rejected) == ("鱼", 200, 80)
    assert set(found.scores) == {"row by row", "refined", ANY_LABEL}
    assert found.scores[found.best].auroc == max(one.auroc for one in found.scores.values()) > 0.7
    assert all(0 <= one.false_accept_rate <= 1 for one in found.scores.values())


def test_without_refinement_it_has_no_score_of_it(make_file: MakeFile, scorer: Scorer) -> None:
    found = leave_out(prepare(make_file(), scorer, refine=False), scorer, "猫")

    assert set(found.scores) == {"row by row", ANY_LABEL}


def test_labels_that_cannot_stand_by_themselves_have_no_score_of_it(make_file: MakeFile, scorer: Scorer) -> None:
    file = make_file()
    barred = replace(file, label_set=LabelSet.of(["猫", "狗|犬", "鱼"]))

    assert set(leave_out(prepare(barred, scorer, refine=False), scorer, "猫").scores) == {"row by row"}


@pytest.mark.parametrize(
    ("rows", "labels", "label", "words"),
    [
        ({"猫": 3, "狗": 3}, ("猫", "狗", "鱼"), "鸟", "no label “鸟” to leave out; there are: 猫, 狗, 鱼"),
        ({"猫": 3, "狗": 3}, ("猫", "狗"), "猫", "at least three"),
        ({"猫": 3, "狗": 3}, ("猫", "狗", "鱼"), "鱼", "No row has the label “鱼”"),
        ({"猫": 3, "鸟": 3}, ("猫", "狗", "鱼"), "猫", "No row has another label"),
    ],
)
def test_what_would_measure_nothing_is_refused(
    make_file: MakeFile, scorer: Scorer, rows: dict[str, int], labels: tuple[str, ...], label: str, words: str
) -> None:
    file = make_file(labels=labels, **rows)

    assert words in (why_not(file, label) or "")
    with pytest.raises(InvalidLabels, match=words):
        leave_out(prepare(file, scorer, refine=False), scorer, label)


def test_a_label_that_is_there_can_be_left_out(make_file: MakeFile) -> None:
    file = make_file()

    assert why_not(file, "猫") is None
    assert np.bincount(file.gold).tolist() == [60, 60, 60]


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
