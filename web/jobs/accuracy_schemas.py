"""What is answered about how a job agrees with its gold column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from web.openapi.schema_base import AnswerBody, maybe_absent


class LabelFigures(AnswerBody):
    """How one label agrees with the gold column."""

    precision: float
    recall: float
    f1: float
    support: int
    """Rows that have it as their gold label."""


class ThresholdFigures(AnswerBody):
    """The lowest threshold over which the wanted share of the rows is right."""

    wanted: float
    threshold: float
    precision: float
    coverage: float
    """Share of the rows that reach the threshold."""


class ByRowFigures(AnswerBody):
    """What the rows' own labels would have had, before refinement."""

    accuracy: float | None
    macro_f1: float | None


class Confusion(AnswerBody):
    """Which labels are taken for which: the largest cells of the matrix."""

    cells: list[tuple[int | None, int | None, int]]
    """Gold label, predicted label and rows, most rows first, 2,000 at most. Labels are numbers into the job's `labels`,
    from 0: a gold one of `null` is not among them, a predicted one of `null` stands for rows without a label."""
    left_out: int
    """Rows of the cells over that."""


class JobEvaluation(AnswerBody):
    """How the job agrees with its gold column, as of its last end. A corrected row counts as corrected."""

    rows: int
    """Rows with a gold label."""
    without_gold: int
    accuracy: float | None
    macro_f1: float | None
    per_label: dict[str, LabelFigures]
    unknown_gold: dict[str, int]
    """Gold labels that the job does not have, with their rows; they count as misses. The most frequent 20."""
    unknown_gold_left_out: int = maybe_absent()
    """How many more such labels there are."""
    by_row: ByRowFigures = maybe_absent()
    thresholds: list[ThresholdFigures] = maybe_absent()
    curve: list[tuple[float, float, float]] = maybe_absent()
    """What each threshold gives, from the lowest on: the threshold, the share of the rows that reach it, and the share
    of these that are right."""
    confusion: Confusion = maybe_absent()

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
