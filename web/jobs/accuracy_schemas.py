"""Answer about a job's accuracy against its gold column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from web.http.json import AnswerBody, maybe_absent


class LabelFigures(AnswerBody):
    """Accuracy of one label."""

    precision: float
    recall: float
    f1: float
    support: int
    """Rows with this gold label."""


class ThresholdFigures(AnswerBody):
    """The lowest threshold that reaches the wanted precision."""

    wanted: float
    threshold: float
    precision: float
    coverage: float
    """Share of rows that reach the threshold."""


class ByRowFigures(AnswerBody):
    """Accuracy of the row labels, before refinement."""

    accuracy: float | None
    macro_f1: float | None


class Confusion(AnswerBody):
    """Confusion matrix: its largest cells."""

    cells: list[tuple[int | None, int | None, int]]
    """Gold label, predicted label and rows, most rows first, 2,000 at most. Labels are indexes into the job's `labels`.
    A gold label of `null` is not in the label set; a predicted label of `null` means no label."""
    left_out: int
    """Rows in the cells left out."""


class JobEvaluation(AnswerBody):
    """Accuracy of the job when it last finished. Corrected rows count as corrected."""

    rows: int
    """Rows with a gold label."""
    without_gold: int
    accuracy: float | None
    macro_f1: float | None
    per_label: dict[str, LabelFigures]
    unknown_gold: dict[str, int]
    """Rows by gold label that is not in the label set, the 20 most frequent; they count as misses."""
    unknown_gold_left_out: int | None = maybe_absent()
    """Number of further such labels."""
    by_row: ByRowFigures | None = maybe_absent()
    thresholds: list[ThresholdFigures] | None = maybe_absent()
    curve: list[tuple[float, float, float]] | None = maybe_absent()
    """Threshold, coverage (share of rows that reach it) and precision (share of these that are right), from the lowest
    threshold."""
    confusion: Confusion | None = maybe_absent()

    example: ClassVar[Mapping[str, Any] | None] = {
        "rows": 434,
        "without_gold": 0,
        "accuracy": 0.83,
        "macro_f1": 0.81,
        "per_label": {"物流": {"precision": 0.9, "recall": 0.8, "f1": 0.85, "support": 90}},
        "unknown_gold": {},
        "unknown_gold_left_out": 0,
        "by_row": {"accuracy": 0.79, "macro_f1": 0.77},
        "thresholds": [{"wanted": 0.9, "threshold": 0.62, "precision": 0.902, "coverage": 0.71}],
        "curve": [[0.31, 1.0, 0.83], [0.32, 0.995, 0.834]],
        "confusion": {"cells": [[0, 0, 72], [0, 1, 18], [1, None, 2], [None, 0, 1]], "left_out": 0},
    }
