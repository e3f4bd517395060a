from __future__ import annotations

import numpy as np
import pytest

from worker.evaluation.selective import Threshold, coverage_curve, wilson

CONFIDENCE = np.array([0.5, 0.8, 0.9, 0.8])
RIGHT = np.array([False, True, True, False])


def test_the_curve_goes_from_the_surest_row_to_all_and_keeps_ties_together() -> None:
    curve = coverage_curve(CONFIDENCE, RIGHT)

    assert curve.thresholds.tolist() == [0.9, 0.8, 0.5]
    assert curve.kept.tolist() == [1, 3, 4]
    assert curve.right.tolist() == [1, 2, 2]


@pytest.mark.parametrize(("precision", "threshold", "kept"), [(1.0, 0.9, 1), (0.6, 0.8, 3), (0.5, 0.5, 4)])
def test_the_lowest_threshold_that_has_the_precision(precision: float, threshold: float, kept: int) -> None:
    found = coverage_curve(CONFIDENCE, RIGHT).lowest(precision)

    assert found is not None
    assert (found.threshold, found.kept, found.coverage) == (threshold, kept, kept / 4)
    assert found.precision >= precision


def test_a_dip_above_the_lowest_threshold_is_no_hindrance() -> None:
    right = np.array([True, False, True, True, True, False])
    found = coverage_curve(np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), right).lowest(0.75)

    assert found == Threshold(
        threshold=0.5, kept=5, coverage=5 / 6, precision=0.8, precision_low=pytest.approx(0.3755, abs=1e-4)
    )


def test_without_a_right_row_no_threshold_is_good_enough() -> None:
    assert coverage_curve(CONFIDENCE, np.zeros(4, np.bool_)).lowest(0.5) is None


def test_nine_of_ten_is_a_precision_of_nine_tenths() -> None:
    right = np.array([True] * 9 + [False])

    found = coverage_curve(np.linspace(0.9, 0.1, 10), right).lowest(0.9)

    assert found is not None
    assert found.kept == 10


@pytest.mark.parametrize(("coverage", "kept"), [(0.1, 1), (0.25, 1), (0.3, 3), (0.75, 3), (0.8, 4), (1.0, 4)])
def test_a_share_of_the_rows_is_reached(coverage: float, kept: int) -> None:
    assert coverage_curve(CONFIDENCE, RIGHT).at_coverage(coverage).kept == kept


@pytest.mark.parametrize(
    ("successes", "trials", "interval"),
    [(8, 10, (0.4902, 0.9433)), (0, 10, (0.0, 0.2775)), (10, 10, (0.7225, 1.0)), (0, 0, (0.0, 1.0))],
)
def test_wilsons_interval_has_its_published_values(successes: int, trials: int, interval: tuple[float, float]) -> None:
    assert wilson(successes, trials) == pytest.approx(interval, abs=1e-4)
