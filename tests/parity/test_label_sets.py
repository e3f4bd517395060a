"""What a label set is and what order its labels come in."""

from __future__ import annotations

import itertools

import pytest

from tests.parity.comparing import assert_same, by_label
from tests.parity.conftest import Sides

TEXTS = ["世界那么大，我想去看看", "手机屏幕碎了怎么办", ""]


@pytest.mark.parametrize(
    "labels",
    ["家居,旅游,科技", "家居，旅游，科技", "家居, 旅游 ，科技", ",，家居,,旅游，,科技,", "家居\u3000,\t旅游,科技\n"],
)
def test_label_strings(sides: Sides, labels: str) -> None:
    found = sides.agree(TEXTS, labels)

    assert sorted(found[0]["labels"]) == ["家居", "旅游", "科技"]


@pytest.mark.parametrize("labels", ["家居、旅游、科技", "家居;旅游", "家居 旅游"])
def test_only_commas_separate_labels(sides: Sides, labels: str) -> None:
    [found, *_] = sides.agree(TEXTS, labels)

    assert found["labels"] == [labels]


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("labels", ["旅游", ["旅游"]])
def test_one_label_is_scored_for_itself(sides: Sides, labels: str | list[str], multi_label: bool) -> None:
    found = sides.agree(TEXTS, labels, multi_label=multi_label)

    assert len({ranking["scores"][0] for ranking in found}) == len(TEXTS)


def test_a_list_may_hold_commas(sides: Sides) -> None:
    sides.agree(TEXTS, ["退款,退货", "物流，快递", "质量"])


def test_spaces_around_a_listed_label_make_no_difference(sides: Sides) -> None:
    found = sides.ours.classify(TEXTS, [" 旅游 ", "家居\n", "科技"])

    theirs = sides.theirs.classify(TEXTS, [" 旅游 ", "家居\n", "科技"])
    assert_same(found, [{**ranking, "labels": [label.strip() for label in ranking["labels"]]} for ranking in theirs])


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_order_of_labels_makes_no_difference(sides: Sides, multi_label: bool) -> None:
    expected = sides.agree(TEXTS, ["家居", "旅游", "科技", "军事"], multi_label=multi_label)

    for labels in itertools.islice(itertools.permutations(["家居", "旅游", "科技", "军事"]), 1, None, 5):
        assert_same(sides.ours.classify(TEXTS, labels, multi_label=multi_label), expected, tolerance=1e-5)


@pytest.mark.parametrize("multi_label", [False, True])
def test_labels_with_the_same_tokens_tie_and_keep_the_order_given(sides: Sides, multi_label: bool) -> None:
    # ModelScope gives ties back to front, an accident of how it sorts; ours keeps the order given.
    labels = ["APP", "旅游", "app", "App", "囧", "烎"]

    for ranking in sides.agree(TEXTS, labels, multi_label=multi_label):
        scores = by_label(ranking)
        assert scores["APP"] == scores["app"] == scores["App"]
        assert scores["囧"] == scores["烎"]
        ranked = [label for label in ranking["labels"] if label.lower() == "app"]
        assert ranked == ["APP", "app", "App"]
        assert ranking["labels"].index("囧") < ranking["labels"].index("烎")


def test_many_labels(sides: Sides) -> None:
    labels = [f"{first}{second}" for first, second in itertools.product("家旅科军游故体娱", "居游技事戏育乐经教汽")]

    sides.agree(TEXTS, labels)
    sides.agree(TEXTS, labels, multi_label=True)
