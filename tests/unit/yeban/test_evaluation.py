import pytest

from yeban.evaluation import Confusion


def _confusion(pairs, labels=("a", "b", "c")):
    confusion = Confusion(labels)
    for gold, predicted, count in pairs:
        confusion.add(gold, predicted, count)
    return confusion


def test_accuracy_and_macro_f1_by_hand():
    confusion = _confusion([("a", "a", 6), ("a", "b", 2), ("b", "b", 3), ("b", "a", 1)])
    assert confusion.accuracy == pytest.approx(9 / 12)
    f1_a = 2 * (6 / 7) * (6 / 8) / (6 / 7 + 6 / 8)
    f1_b = 2 * (3 / 5) * (3 / 4) / (3 / 5 + 3 / 4)
    assert confusion.macro_f1 == pytest.approx((f1_a + f1_b) / 2)


def test_an_abstained_row_counts_against_recall_but_not_precision():
    figures = _confusion([("a", "a", 1), ("a", None, 1)]).per_label()["a"]
    assert (figures["precision"], figures["recall"], figures["support"]) == (1.0, 0.5, 2)


def test_rows_without_gold_are_not_judged():
    confusion = _confusion([("a", "a", 1), (None, "b", 9)])
    assert confusion.accuracy == 1.0
    assert confusion.to_json()["without_gold"] == 9


def test_a_gold_label_outside_the_label_set_is_a_miss_and_is_listed():
    confusion = _confusion([("a", "a", 1), ("z", "a", 1)])
    assert confusion.accuracy == 0.5
    assert confusion.to_json()["unknown_gold"] == {"z": 1}


def test_without_judged_rows_there_is_nothing_to_say():
    confusion = _confusion([(None, "a", 3)])
    assert (confusion.accuracy, confusion.macro_f1) == (None, None)
