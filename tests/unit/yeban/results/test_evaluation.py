import pytest

from yeban.jobs.reports import ConfusionMatrix
from yeban.results.evaluation import MAX_CELLS, Agreement, Confusion, curve, thresholds


def _agreement(pairs, labels=("a", "b", "c")):
    """Rows of (gold, predicted, count); a string of letters is a set of labels."""
    agreement = Agreement(labels)
    for gold, predicted, count in pairs:
        agreement.add([gold] if gold and gold.startswith("text") else list(gold or ""), list(predicted or ""), count)
    return agreement


def test_accuracy_and_macro_f1_by_hand():
    agreement = _agreement([("a", "a", 6), ("a", "b", 2), ("b", "b", 3), ("b", "a", 1)])
    assert agreement.accuracy == pytest.approx(9 / 12)
    f1_a = 2 * (6 / 7) * (6 / 8) / (6 / 7 + 6 / 8)
    f1_b = 2 * (3 / 5) * (3 / 4) / (3 / 5 + 3 / 4)
    assert agreement.macro_f1 == pytest.approx((f1_a + f1_b) / 2)


def test_an_abstained_row_counts_against_recall_but_not_precision():
    figures = _agreement([("a", "a", 1), ("a", None, 1)]).per_label()["a"]
    assert (figures.precision, figures.recall, figures.support) == (1.0, 0.5, 2)


def test_rows_without_gold_are_not_judged():
    agreement = _agreement([("a", "a", 1), (None, "b", 9)])
    assert agreement.accuracy == 1.0
    assert agreement.evaluation().without_gold == 9


def test_a_gold_label_outside_the_label_set_is_a_miss_and_is_listed():
    agreement = _agreement([("a", "a", 1), ("z", "a", 1)])
    assert agreement.accuracy == 0.5
    assert agreement.evaluation().unknown_gold == {"z": 1}
    assert agreement.evaluation().unknown_gold_left_out == 0


def test_a_column_that_is_no_gold_column_does_not_swell_the_summary():
    agreement = _agreement([(f"text {number}", "a", 1) for number in range(5_000)])
    summary = agreement.evaluation()
    assert list(summary.per_label) == ["a"]
    assert len(summary.unknown_gold) == 20
    assert summary.unknown_gold_left_out == 4_980
    assert summary.macro_f1 == 0


def test_without_judged_rows_there_is_nothing_to_say():
    agreement = _agreement([(None, "a", 3)])
    assert (agreement.accuracy, agreement.macro_f1) == (None, None)


def test_with_several_labels_a_row_is_right_when_all_are_and_each_counts_for_f1():
    agreement = _agreement([("ab", "ab", 1), ("ab", "a", 1), ("c", "bc", 2)])
    assert agreement.accuracy == pytest.approx(1 / 4)
    figures = agreement.per_label()
    assert (figures["b"].precision, figures["b"].recall) == (pytest.approx(1 / 3), 0.5)
    assert figures["c"].f1 == 1.0


def test_thresholds_are_the_lowest_over_which_enough_rows_are_right():
    scored = [(0.9, True, 95), (0.9, False, 5), (0.7, True, 70), (0.7, False, 30), (0.5, True, 20), (0.5, False, 80)]
    found = {one.wanted: one for one in thresholds(scored)}
    assert {wanted: one.threshold for wanted, one in found.items()} == {0.8: 0.7, 0.9: 0.9, 0.95: 0.9}
    assert found[0.8].precision == pytest.approx(165 / 200)
    assert found[0.8].coverage == pytest.approx(200 / 300)


def test_no_threshold_is_named_that_few_rows_reach_or_none_meets():
    assert thresholds([(0.9, True, 19), (0.5, False, 100)]) == ()
    assert thresholds([]) == ()


def test_the_curve_goes_from_everything_tagged_to_the_surest_rows():
    scored = [(0.9, True, 95), (0.9, False, 5), (0.7, True, 70), (0.7, False, 30), (0.5, True, 20), (0.5, False, 80)]
    assert curve(scored) == ((0.5, 1.0, 0.6167), (0.7, 0.6667, 0.825), (0.9, 0.3333, 0.95))
    assert curve([]) == ()


def test_scores_of_two_decimals_make_a_hundred_and_one_points_at_most():
    points = curve([(number / 100, right, 3) for number in range(101) for right in (True, False)])
    assert len(points) == 101
    assert (points[0], points[-1]) == ((0.0, 1.0, 0.5), (1.0, 0.0099, 0.5))


def test_confusions_count_rows_by_both_labels():
    confusion = Confusion(["a", "b"])
    for gold, predicted, count in [
        ("a", "a", 5),
        ("a", "b", 2),
        ("a", "b", 1),
        ("b", "", 4),
        ("z", "a", 1),
        ("", "a", 9),
    ]:
        confusion.add(list(gold), list(predicted), count)
    assert confusion.matrix() == ConfusionMatrix(cells=((0, 0, 5), (1, None, 4), (0, 1, 3), (None, 0, 1)), left_out=0)


def test_of_very_many_confusions_the_largest_are_kept():
    names = [f"label {number}" for number in range(100)]
    confusion = Confusion(names)
    for gold in names:
        for predicted in names:
            confusion.add([gold], [predicted], 50 if gold == predicted else 1)
    found = confusion.matrix()
    assert len(found.cells) == MAX_CELLS
    assert sum(count for _, _, count in found.cells) + found.left_out == 100 * 50 + 100 * 99
    assert found.cells[:100] == tuple((number, number, 50) for number in range(100))
