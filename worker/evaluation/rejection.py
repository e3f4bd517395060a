"""Whether a score tells rows that fit some label from rows that fit none."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TRUE_ACCEPT_RATE = 0.95


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """How well one score does it. ``false_accept_rate`` is that at a true-accept rate of :data:`TRUE_ACCEPT_RATE`."""

    auroc: float
    false_accept_rate: float


def measure(scores: NDArray[np.floating], fits: NDArray[np.bool_]) -> Rejection:
    """Both figures for ``(n_rows,)`` scores, of which those of rows that fit a label should be the higher.

    Raises ``ValueError`` unless some rows fit and some do not.
    """
    fitting, others = scores[fits], scores[~fits]
    if not len(fitting) or not len(others):
        raise ValueError("rejection is measured on rows that fit a label and rows that fit none")
    return Rejection(auroc=auroc(fitting, others), false_accept_rate=false_accept_rate(fitting, others))


def auroc(fitting: NDArray[np.floating], others: NDArray[np.floating]) -> float:
    """The probability that a fitting row's score is over another's, a tie counting half; in [0, 1].

    Mann and Whitney's statistic, which is the area under the ROC curve (Hanley and McNeil, 1982).
    """
    ordered = np.sort(others)
    below = np.searchsorted(ordered, fitting, side="left")
    not_above = np.searchsorted(ordered, fitting, side="right")
    return float((below + not_above).mean() / (2 * len(ordered)))


def false_accept_rate(
    fitting: NDArray[np.floating], others: NDArray[np.floating], *, true_accept_rate: float = TRUE_ACCEPT_RATE
) -> float:
    """The share of other rows at or over the highest threshold that accepts this share of the fitting ones."""
    accepted = max(1, math.ceil(true_accept_rate * len(fitting) - 1e-9))
    threshold = np.sort(fitting)[len(fitting) - accepted]
    return float((others >= threshold).mean())
