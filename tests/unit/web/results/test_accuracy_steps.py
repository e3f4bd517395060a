import pytest

from web.jobs.pages import _about
from web.results.accuracy import confusions_of, steps, suggested
from web.shell.filters import compact
from yeban.jobs.reports import ConfusionMatrix, Evaluation, Threshold


def _evaluation(**fields):
    figures = {"accuracy": 0.5, "macro_f1": 0.5, "per_label": {}, "unknown_gold": {}, "unknown_gold_left_out": 0}
    return Evaluation(rows=10, without_gold=0, **figures, **fields)


def test_between_two_scores_the_next_one_holds():
    found = steps([[0.22, 1.0, 0.5], [0.5, 0.6, 0.8], [0.81, 0.1, 1.0]], count=10)
    assert found[0] == (0.0, 1.0, 0.5)
    assert found[2:4] == [(0.2, 1.0, 0.5), (0.3, 0.6, 0.8)]
    assert found[5] == (0.5, 0.6, 0.8)
    assert found[8] == (0.8, 0.1, 1.0)
    assert len(found) == 9  # no row reaches more
    assert steps([]) == []


def test_shares_are_of_the_rows_with_that_gold_label():
    matrix = ConfusionMatrix(cells=((0, 0, 6), (0, 1, 2), (None, 0, 3)), left_out=4)
    found = confusions_of(_evaluation(confusion=matrix))
    assert [cell.share for cell in found.cells] == [0.75, 0.25, 1.0]
    assert [(cell.gold, cell.predicted) for cell in found.mistakes()] == [(0, 1), (None, 0)]
    assert confusions_of(_evaluation()) is None


def test_the_suggestion_is_for_nine_of_ten():
    given = tuple(
        Threshold(wanted=wanted, threshold=threshold, precision=wanted, coverage=0.5)
        for wanted, threshold in ((0.8, 0.3), (0.9, 0.6))
    )
    assert suggested(_evaluation(thresholds=given)) == given[1]
    assert suggested(_evaluation(thresholds=given[:1])) is None
    assert suggested(_evaluation()) is None


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (9949, "9.9k"), (9950, "10k"), (123_456, "123k"), (1_250_000, "1.2M")],
)
def test_large_counts_are_written_short(number, text):
    assert compact(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (9999, "9999"), (10_000, "1.0万"), (123_456, "12万"), (12_345_678, "1235万"), (250_000_000, "2.5亿")],
)
def test_large_counts_are_written_in_ten_thousands_in_chinese(monkeypatch, number, text):
    monkeypatch.setattr("web.shell.filters.language", lambda: "zh")
    assert compact(number) == text


@pytest.mark.parametrize(
    ("seconds", "about"), [(None, None), (1, 10), (44, 40), (61, 60), (200, 210), (1000, 1020), (5000, 4800)]
)
def test_times_that_are_left_are_rounded_to_what_can_be_told(seconds, about):
    assert _about(seconds) == about
