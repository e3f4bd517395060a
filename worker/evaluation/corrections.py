"""What corrections are worth: a person who corrects the rows that the tool names, simulated by the gold labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.evaluation.decisions import Prepared, refined
from worker.refinement.refiner import UNKNOWN
from worker.refinement.review_choice import suggest

Indices = NDArray[np.intp]

#: Rows that are corrected between one refinement and the next.
STEP = 10


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """After so many corrections: the accuracy of all rows, where corrected ones are right, and of the others alone.

    ``others`` is ``None`` when every row is corrected.
    """

    corrections: int
    accuracy: float
    others: float | None


def simulate(prepared: Prepared, count: int) -> list[Corrected]:
    """The course from no correction to ``count``, or to as many rows as there are to correct, in steps of ten.

    Rows whose gold label is no candidate cannot be corrected, stay wrong, and are never asked for.
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
        # Rows that nobody can correct pass for known, so that the choice goes to others.
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
