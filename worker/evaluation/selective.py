"""Selective classification: the precision and the coverage of each threshold.

Coverage after Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks" (2017); the lower bound after
Wilson, "Probable Inference, the Law of Succession, and Statistical Inference" (1927).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: The 97.5 % quantile of the normal distribution: a two-sided interval of 95 %.
_Z = 1.959964


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """Result of tagging only rows at or over ``threshold``: ``kept`` rows with a ``precision``.

    ``precision_low`` is the lower end of the 95 % Wilson interval, a bound for other rows.
    """

    threshold: float
    kept: int
    coverage: float
    precision: float
    precision_low: float


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Distinct thresholds, highest first, with the numbers of ``kept`` and of ``right`` rows."""

    thresholds: NDArray[np.float64]
    kept: NDArray[np.intp]
    right: NDArray[np.intp]

    def lowest(self, precision: float) -> Threshold | None:
        """The lowest threshold with at least this precision; ``None`` without one."""
        # A product, not a quotient: 9 of 10 rows must meet 0.9 despite rounding.
        meeting = np.flatnonzero(self.right >= precision * self.kept - 1e-9)
        return self._point(int(meeting[-1])) if len(meeting) else None

    def at_coverage(self, coverage: float) -> Threshold:
        """The highest threshold that keeps at least this share of the rows."""
        return self._point(int(np.searchsorted(self.kept, coverage * self.kept[-1] - 1e-9)))

    def _point(self, at: int) -> Threshold:
        kept, right = int(self.kept[at]), int(self.right[at])
        return Threshold(
            threshold=round(float(self.thresholds[at]), 6),
            kept=kept,
            coverage=kept / int(self.kept[-1]),
            precision=right / kept,
            precision_low=wilson(right, kept)[0],
        )


def coverage_curve(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> Curve:
    """The curve of ``(n_rows,)`` confidences, n ≥ 1, and right rows. Equal confidences make one point."""
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    last_of_its_kind = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
    return Curve(
        thresholds=ordered[last_of_its_kind].astype(np.float64),
        kept=last_of_its_kind + 1,
        right=np.cumsum(right[order], dtype=np.intp)[last_of_its_kind],
    )


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a probability from ``successes`` in ``trials``; (0, 1) without trials."""
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials
    spread = _Z**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * ((share * (1 - share) + spread / 4) / trials) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)
