"""Accuracy and calibration of probabilities against gold labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from worker.engine.calibration import expected_calibration_error
from worker.evaluation.bootstrap import Intervals, bootstrap
from worker.evaluation.selective import Threshold, coverage_curve
from yeban.results.evaluation import Agreement

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]

_COVERAGES = tuple(tenths / 10 for tenths in range(1, 11))


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Figures of one setting: ``ece`` over 15 bins, ``curve`` at each tenth of the rows, the surest first.

    ``threshold`` is the lowest with the requested precision; ``None`` without one.
    """

    rows: int
    accuracy: float
    macro_f1: float
    intervals: Intervals
    ece: float
    curve: tuple[Threshold, ...]
    threshold: Threshold | None
    per_label: dict[str, dict[str, float]]


def judge(
    probabilities: Floats, gold: Indices, names: Sequence[str], *, precision: float | None = None, seed: int = 0
) -> Figures:
    """Compare ``(n_rows, n_labels)`` probabilities, n ≥ 1, with ``(n_rows,)`` gold labels.

    ``gold`` indexes ``names``: the labels of the columns in order, then labels that are no candidates, whose rows are
    misses. ``seed`` is for the bootstrap.
    """
    predicted = probabilities.argmax(axis=1)
    agreement = Agreement(names)
    pairs, counts = np.unique(np.stack([gold, predicted], axis=1), axis=0, return_counts=True)
    for (right, chosen), count in zip(pairs.tolist(), counts.tolist(), strict=True):
        agreement.add([names[right]], [names[chosen]], count)
    of_label = agreement.per_label()
    curve = coverage_curve(probabilities.max(axis=1), predicted == gold)
    return Figures(
        rows=agreement.rows,
        accuracy=agreement.accuracy or 0.0,
        macro_f1=agreement.macro_f1 or 0.0,
        intervals=bootstrap(gold, predicted, n_labels=len(names), seed=seed),
        ece=expected_calibration_error(probabilities.astype(np.float64), gold),
        curve=tuple(curve.at_coverage(coverage) for coverage in _COVERAGES),
        threshold=None if precision is None else curve.lowest(precision),
        # Candidates only: a wrongly chosen gold column may hold a million values.
        per_label={name: asdict(of_label[name]) for name in names[: probabilities.shape[1]] if name in of_label},
    )
