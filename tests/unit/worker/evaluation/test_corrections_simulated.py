from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from worker.evaluation.corrections import simulate
from worker.evaluation.decisions import Setting, decide, prepare
from worker.evaluation.files import LabelledFile
from worker.evaluation.scorer import Scorer

MakeFile = Callable[..., LabelledFile]


def test_the_course_begins_without_corrections_and_goes_on_in_tens(make_file: MakeFile, scorer: Scorer) -> None:
    prepared = prepare(make_file(), scorer, refine=True)

    course = simulate(prepared, 25)

    assert [step.corrections for step in course] == [0, 10, 20, 25]
    refined = decide(prepared).by_setting[Setting.REFINED]
    begins = float((refined.argmax(axis=1) == prepared.file.gold).mean())
    assert course[0].accuracy == course[0].others == pytest.approx(begins)
    assert course[-1].accuracy > course[0].accuracy


def test_corrected_rows_count_as_right_and_the_others_are_told_apart(make_file: MakeFile, scorer: Scorer) -> None:
    last = simulate(prepare(make_file(), scorer, refine=True), 20)[-1]

    assert last.others is not None
    assert last.accuracy == pytest.approx((20 + last.others * 160) / 180)


def test_rows_that_no_label_fits_stay_wrong_and_are_not_asked_for(make_file: MakeFile, scorer: Scorer) -> None:
    file = make_file(猫=12, 狗=12, 鸟=30, labels=("猫", "狗"))

    course = simulate(prepare(file, scorer, refine=True), 1_000)

    assert course[-1].corrections == 24
    assert course[-1].accuracy == pytest.approx(24 / 54)
    assert course[-1].others == 0.0


def test_when_all_rows_are_corrected_there_are_no_others(make_file: MakeFile, scorer: Scorer) -> None:
    course = simulate(prepare(make_file(猫=6, 狗=6, labels=("猫", "狗")), scorer, refine=True), 50)

    assert course[-1].corrections == 12
    assert course[-1].accuracy == 1.0
    assert course[-1].others is None
    assert np.all(np.diff([step.corrections for step in course]) > 0)
