from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest
from rich.console import Console

from tests.unit.worker.evaluation.conftest import PointClassifier
from worker.evaluation.decisions import Setting
from worker.evaluation.evaluations import Evaluation, Wanted, evaluate
from worker.evaluation.files import LabelledFile
from worker.evaluation.representation import document
from worker.evaluation.scorer import Scorer
from worker.evaluation.tables import present

MakeFile = Callable[..., LabelledFile]

EVERYTHING = Wanted(examples=3, corrections=10, leave_out=("鱼", "鸟"), precision=0.8)


@pytest.fixture
def evaluations(make_file: MakeFile, scorer: Scorer) -> list[Evaluation]:
    files = [make_file(), make_file(猫=30, 狗=20, 鸟=5, labels=("猫", "狗"), name="two.csv")]
    return [evaluate(file, scorer, EVERYTHING) for file in files]


def shown(evaluations: list[Evaluation], wanted: Wanted) -> str:
    screen = Console(file=io.StringIO(), width=160, markup=False, highlight=False)
    present(evaluations, wanted, PointClassifier().info, screen)
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def test_only_what_is_wanted_is_measured(make_file: MakeFile, scorer: Scorer) -> None:
    found = evaluate(make_file(), scorer, Wanted(refine=False))

    assert list(found.plain) == [Setting.ROW_BY_ROW]
    assert (found.with_examples, found.corrections, found.left_out) == ({}, (), ())
    assert found.plain[Setting.ROW_BY_ROW].threshold is None


def test_a_label_to_leave_out_is_passed_over_where_it_says_nothing(evaluations: list[Evaluation]) -> None:
    assert [[left.label for left in one.left_out] for one in evaluations] == [["鱼"], []]


def test_the_document_has_everything_and_is_json(evaluations: list[Evaluation]) -> None:
    told = json.loads(json.dumps(document(evaluations, EVERYTHING, PointClassifier().info)))

    first, second = told["files"]
    assert told["model"]["name"] == "points"
    assert [(one["setting"], one["examples"], one["rows"]) for one in first["settings"]] == [
        ("row by row", 0, 180),
        ("refined", 0, 180),
        ("row by row", 3, 171),
        ("refined", 3, 171),
    ]
    for one in first["settings"]:
        assert one["accuracy_interval"][0] <= one["accuracy"] <= one["accuracy_interval"][1]
        assert one["curve"][-1]["coverage"] == 1.0
        assert "threshold" in one
    assert [step["corrections"] for step in first["corrections"]] == [0, 10]
    assert first["left_out"][0]["best"] in first["left_out"][0]["scores"]
    assert second["unknown_gold"] == {"鸟": 5}
    mean = told["mean"][0]["accuracy"]
    assert mean == pytest.approx((first["settings"][0]["accuracy"] + second["settings"][0]["accuracy"]) / 2)
    assert [(one["setting"], one["examples"]) for one in told["mean"]] == [
        ("row by row", 0),
        ("refined", 0),
        ("row by row", 3),
        ("refined", 3),
    ]


def test_what_was_not_asked_for_is_not_in_the_document(make_file: MakeFile, scorer: Scorer) -> None:
    wanted = Wanted()

    told = document([evaluate(make_file(), scorer, wanted)], wanted, scorer.info)

    assert not {"corrections", "left_out"} & set(told["files"][0])
    assert "threshold" not in told["files"][0]["settings"][0]


def test_the_tables_say_the_same(evaluations: list[Evaluation]) -> None:
    text = shown(evaluations, EVERYTHING)

    assert f"{evaluations[0].plain[Setting.REFINED].accuracy:.3f}" in text
    for title in ("From the labels alone", "With 3 examples a label", "precision of 0.8", "Corrections", "Rejecting"):
        assert title in text
    assert "mean" in text
    assert "two.csv: right labels that are not among the labels, so always missed: 鸟 (5)." in text


def test_tables_that_were_not_asked_for_are_not_there(make_file: MakeFile, scorer: Scorer) -> None:
    text = shown([evaluate(make_file(), scorer, Wanted(refine=False))], Wanted(refine=False))

    assert "row by row" in text
    for word in ("refined", "examples", "precision", "Corrections", "Rejecting", "mean"):
        assert word not in text


def test_a_precision_that_is_out_of_reach_is_told(make_file: MakeFile, scorer: Scorer) -> None:
    wanted = Wanted(refine=False, precision=0.5)

    found = evaluate(make_file(鸟=30, labels=("猫", "狗")), scorer, wanted)

    assert found.plain[Setting.ROW_BY_ROW].threshold is None
    assert document([found], wanted, scorer.info)["files"][0]["settings"][0]["threshold"] is None
    assert "none" in shown([found], wanted).partition("precision of 0.5")[2]
