from __future__ import annotations

import numpy as np
import pytest

from worker.evaluation.figures import judge

# Predicted a, a, b, b; the last row's right label is no candidate.
PROBABILITIES = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6]], np.float32)
GOLD = np.array([0, 1, 1, 2])


def test_figures_of_four_rows_computed_by_hand() -> None:
    figures = judge(PROBABILITIES, GOLD, ["a", "b", "other"], precision=0.6)

    assert figures.rows == 4
    assert figures.accuracy == 0.5
    # F1 is 2·1/(1+2) for a, 2·1/(2+2) for b, and 0 for the label that is no candidate.
    assert figures.macro_f1 == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    # One row in each bin: |.9-1|, |.7-0|, |.8-1|, |.6-0|.
    assert figures.ece == pytest.approx((0.1 + 0.7 + 0.2 + 0.6) / 4)
    assert figures.threshold is not None
    assert (figures.threshold.threshold, figures.threshold.kept) == (0.7, 3)
    assert set(figures.per_label) == {"a", "b"}
    assert figures.per_label["b"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}


def test_the_intervals_hold_the_figures_and_the_curve_ends_with_the_accuracy() -> None:
    figures = judge(PROBABILITIES, GOLD, ["a", "b", "other"])

    assert figures.threshold is None
    assert figures.intervals.accuracy.low <= 0.5 <= figures.intervals.accuracy.high
    assert figures.intervals.macro_f1.low <= figures.macro_f1 <= figures.intervals.macro_f1.high
    assert len(figures.curve) == 10
    assert figures.curve[-1].precision == figures.accuracy
    assert figures.curve[0].precision == 1.0
