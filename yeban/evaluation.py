"""Accuracy and macro-F1 against gold labels. Pure: counts in, figures out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

_MAX_UNKNOWN_LISTED = 20


class Confusion:
    """Counts of (gold label, predicted label) pairs.

    Rows without a gold label are not judged. A gold label outside the label set counts as a miss, since
    the row was tagged wrongly whatever was predicted; such labels are listed so that a person can see why.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)
        self._pairs: Counter[tuple[str, str | None]] = Counter()
        self._ungraded = 0

    def add(self, gold: str | None, predicted: str | None, count: int = 1) -> None:
        """Count ``count`` rows; ``predicted`` is ``None`` for rows that abstained or failed."""
        if gold is None:
            self._ungraded += count
        else:
            self._pairs[gold, predicted] += count

    @property
    def rows(self) -> int:
        """Rows that have a gold label."""
        return self._pairs.total()

    @property
    def accuracy(self) -> float | None:
        """Share of judged rows whose prediction equals the gold label; ``None`` without judged rows."""
        if not self.rows:
            return None
        return sum(count for (gold, predicted), count in self._pairs.items() if gold == predicted) / self.rows

    @property
    def macro_f1(self) -> float | None:
        """Mean F1 over the labels that occur as gold or prediction; ``None`` without judged rows."""
        scores = [figures["f1"] for figures in self.per_label().values()]
        return sum(scores) / len(scores) if self.rows and scores else None

    def per_label(self) -> dict[str, dict[str, float]]:
        """Precision, recall, F1 and support of each label that occurs."""
        support: Counter[str] = Counter()
        predicted_as: Counter[str] = Counter()
        hits: Counter[str] = Counter()
        for (gold, predicted), count in self._pairs.items():
            support[gold] += count
            if predicted is not None:
                predicted_as[predicted] += count
                if predicted == gold:
                    hits[gold] += count
        figures = {}
        for label in (*self._labels, *sorted(set(support) - set(self._labels))):
            if not support[label] and not predicted_as[label]:
                continue
            precision = hits[label] / predicted_as[label] if predicted_as[label] else 0.0
            recall = hits[label] / support[label] if support[label] else 0.0
            f1 = 2 * precision * recall / (precision + recall) if hits[label] else 0.0
            figures[label] = {"precision": precision, "recall": recall, "f1": f1, "support": support[label]}
        return figures

    def to_json(self) -> dict[str, Any]:
        """The form stored in a job's summary."""
        unknown = Counter({gold: 0 for gold, _ in self._pairs if gold not in self._labels})
        for (gold, _), count in self._pairs.items():
            if gold in unknown:
                unknown[gold] += count
        return {
            "rows": self.rows,
            "without_gold": self._ungraded,
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "per_label": self.per_label(),
            "unknown_gold": dict(unknown.most_common(_MAX_UNKNOWN_LISTED)),
        }
