"""Rejection of rows that fit no label: one candidate is left out, and its rows should score lower than the others."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from worker.evaluation.decisions import Prepared, Setting, refined
from worker.evaluation.files import LabelledFile
from worker.evaluation.scorer import Scorer
from yeban.errors import InvalidLabels, msg
from yeban.labels import LABEL_JOINER

TRUE_ACCEPT_RATE = 0.95
#: The largest score among independent labels, as in a multi-label job.
ANY_LABEL = "any label"


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """Quality of one score. ``false_accept_rate`` is at a true-accept rate of :data:`TRUE_ACCEPT_RATE`."""

    auroc: float
    false_accept_rate: float


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Rejection, by each score, of the ``rejected`` rows that fit no label once ``label`` is left out.

    ``scores`` has the probability of the best label in each setting, and :data:`ANY_LABEL`.
    """

    label: str
    rows: int
    rejected: int
    scores: dict[str, Rejection]

    @property
    def best(self) -> str:
        """The score with the largest area under the ROC curve."""
        return max(self.scores, key=lambda name: self.scores[name].auroc)


def leave_out(prepared: Prepared, scorer: Scorer, label: str) -> LeftOut:
    """Decide the file without ``label``. Raises ``InvalidLabels`` for :func:`why_not`."""
    file = prepared.file
    if (reason := why_not(file, label)) is not None:
        raise InvalidLabels(msg("%(file)s: %(reason)s", file=file.name, reason=reason), label=label)
    kept = [number for number, name in enumerate(file.label_set.names) if name != label]
    remaining = replace(file.label_set, labels=tuple(file.label_set.labels[number] for number in kept))
    own = scorer.scores(file.texts, remaining)
    best = {Setting.ROW_BY_ROW.value: own.max(axis=1)}
    if not any(LABEL_JOINER in name for name in remaining.names):  # such labels cannot be in a multi-label set
        alone = scorer.scores(file.texts, replace(remaining, multi_label=True))
        best[ANY_LABEL] = alone.max(axis=1)
    if prepared.refines:
        examples = scorer.examples(remaining)
        best[Setting.REFINED.value] = refined(replace(prepared.rows, scores=own), examples=examples).max(axis=1)
    fits = np.isin(file.gold, kept)
    return LeftOut(
        label=label,
        rows=len(fits),
        rejected=int((~fits).sum()),
        scores={name: measure(scores, fits) for name, scores in best.items()},
    )


def why_not(file: LabelledFile, label: str) -> str | None:
    """The reason why ``label`` cannot be left out of ``file``; ``None`` if it can."""
    names = file.label_set.names
    if label not in names:
        return f"There is no label “{label}” to leave out; there are: {', '.join(names)}."
    if len(names) < 3:
        return "To leave one label out, at least three are needed."
    has_it = file.gold == names.index(label)
    if not has_it.any():
        return f"No row has the label “{label}”, so leaving it out measures nothing."
    if not (~has_it & (file.gold < len(names))).any():
        return f"No row has another label than “{label}”, so none could be accepted."
    return None


def measure(scores: NDArray[np.floating], fits: NDArray[np.bool_]) -> Rejection:
    """Measure ``(n_rows,)`` scores, which should be higher for rows that fit a label.

    Raises ``ValueError`` unless some rows fit and some do not.
    """
    fitting, others = scores[fits], scores[~fits]
    if not len(fitting) or not len(others):
        raise ValueError("rejection is measured on rows that fit a label and rows that fit none")
    return Rejection(auroc=auroc(fitting, others), false_accept_rate=false_accept_rate(fitting, others))


def auroc(fitting: NDArray[np.floating], others: NDArray[np.floating]) -> float:
    """The probability in [0, 1] that a fitting row scores higher than another; a tie counts half.

    Mann and Whitney's statistic, which is the area under the ROC curve (Hanley and McNeil, 1982).
    """
    ordered = np.sort(others)
    below = np.searchsorted(ordered, fitting, side="left")
    not_above = np.searchsorted(ordered, fitting, side="right")
    return float((below + not_above).mean() / (2 * len(ordered)))


def false_accept_rate(
    fitting: NDArray[np.floating], others: NDArray[np.floating], *, true_accept_rate: float = TRUE_ACCEPT_RATE
) -> float:
    """The share of other rows at or over the highest threshold that accepts ``true_accept_rate`` of fitting rows."""
    accepted = max(1, math.ceil(true_accept_rate * len(fitting) - 1e-9))
    threshold = np.sort(fitting)[len(fitting) - accepted]
    return float((others >= threshold).mean())
