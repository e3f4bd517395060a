"""How good one setting's probabilities are on the rows whose right label is known."""

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
    """``ece`` is the expected calibration error over 15 bins; ``curve`` has each tenth of the rows, the surest first.

    ``threshold`` is the lowest that meets the precision asked for; ``None`` if none was, or none does.
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
    """Hold ``(n_rows, n_labels)`` probabilities, n ≥ 1, against ``(n_rows,)`` gold labels.

    ``gold`` points into ``names``: the labels of the columns, in their order, and then any that are no candidates; a
    row of those is a miss. ``seed`` is that of the bootstrap.
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
        # Of the candidates only: a wrongly chosen gold column may hold a million different values.
        per_label={name: asdict(of_label[name]) for name in names[: probabilities.shape[1]] if name in of_label},
    )
