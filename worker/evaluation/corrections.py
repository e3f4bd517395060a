"""Simulated corrections: gold labels correct the suggested rows, and the file is refined again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.evaluation.decisions import Prepared, refined
from worker.refinement.refiner import UNKNOWN
from worker.refinement.review_choice import suggest

Indices = NDArray[np.intp]

#: Corrections between two refinements.
STEP = 10


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """Accuracy after ``corrections`` rows: of all rows, where corrected ones are right, and of the ``others``.

    ``others`` is ``None`` when every row is corrected.
    """

    corrections: int
    accuracy: float
    others: float | None


def simulate(prepared: Prepared, count: int) -> list[Corrected]:
    """Accuracies from no correction to ``count`` or all correctable rows, in steps of ten.

    Rows whose gold label is no candidate cannot be corrected, stay wrong, and are never suggested.
    """
    rows, gold = prepared.rows, prepared.file.gold
    correctable = gold < len(prepared.file.label_set)
    known = np.full(len(gold), UNKNOWN, np.intp)
    course: list[Corrected] = []
    while True:
        probabilities = refined(rows, known, prepared.examples)
        corrected = known != UNKNOWN
        done = int(corrected.sum())
        course.append(_judge(probabilities.argmax(axis=1), gold, corrected))
        # Rows that cannot be corrected count as known, so that others are suggested.
        settled = np.where(correctable, known, probabilities.argmax(axis=1))
        chosen = suggest(rows, probabilities, settled, min(STEP, count - done)) if done < count else []
        if not chosen:
            return course
        known[chosen] = gold[chosen]


def _judge(predicted: Indices, gold: Indices, corrected: NDArray[np.bool_]) -> Corrected:
    right = predicted == gold
    others = right[~corrected]
    return Corrected(
        corrections=int(corrected.sum()),
        accuracy=float((right | corrected).mean()),
        others=float(others.mean()) if len(others) else None,
    )
