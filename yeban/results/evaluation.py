"""Accuracy, macro-F1, confusions and thresholds against gold labels, computed from counts of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from yeban.jobs.reports import ConfusionMatrix, Evaluation, LabelFigures, Threshold
from yeban.labels import MAX_LABELS

#: Precisions for which a threshold is computed.
PRECISIONS = (0.8, 0.9, 0.95)
#: Largest cells of a confusion matrix that are kept; a full matrix of 1,000 labels has a million.
MAX_CELLS = 2_000

_MAX_UNKNOWN_LISTED = 20
_FEWEST_ROWS = 20  # fewer rows do not give a reliable precision


class Agreement:
    """Agreement of predicted labels with gold labels.

    Gold and prediction are sets of one label where labels exclude one another, else of any number. The prediction is
    empty for a row that abstained or failed. A row without a gold label is not judged. A gold label outside the label
    set counts as a miss, and such labels are listed.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)
        self._rows = self._exact = self._ungraded = 0
        self._support: Counter[str] = Counter()
        self._predicted: Counter[str] = Counter()
        self._hits: Counter[str] = Counter()

    def add(self, gold: Collection[str], predicted: Collection[str], count: int = 1) -> None:
        """Count ``count`` rows with these labels."""
        if not gold:
            self._ungraded += count
            return
        self._rows += count
        self._exact += count if set(gold) == set(predicted) else 0
        for label in set(gold):
            self._support[label] += count
        for label in set(predicted):
            self._predicted[label] += count
        for label in set(gold) & set(predicted):
            self._hits[label] += count

    @property
    def rows(self) -> int:
        """Rows that have a gold label."""
        return self._rows

    @property
    def accuracy(self) -> float | None:
        """Share of judged rows whose labels equal the gold labels; ``None`` without judged rows."""
        return self._exact / self._rows if self._rows else None

    @property
    def macro_f1(self) -> float | None:
        """Mean F1 over the labels that occur as gold or prediction; ``None`` without judged rows."""
        scores = [figures.f1 for figures in self.per_label().values()]
        return sum(scores) / len(scores) if scores else None

    def per_label(self) -> dict[str, LabelFigures]:
        """Figures of each label that occurs as gold or prediction."""
        figures = {}
        for label in dict.fromkeys((*self._labels, *sorted(self._support))):
            support, predicted, hits = self._support[label], self._predicted[label], self._hits[label]
            if support or predicted:
                figures[label] = LabelFigures(
                    precision=hits / predicted if predicted else 0.0,
                    recall=hits / support if support else 0.0,
                    f1=2 * hits / (support + predicted),
                    support=support,
                )
        return figures

    def evaluation(self) -> Evaluation:
        """Build the evaluation, without its parts for some jobs only."""
        known = set(self._labels)
        unknown = Counter({label: count for label, count in self._support.items() if label not in known})
        return Evaluation(
            rows=self.rows,
            without_gold=self._ungraded,
            accuracy=self.accuracy,
            macro_f1=self.macro_f1,
            # Of the label set only: a wrongly chosen gold column may hold a million different values.
            per_label={label: figures for label, figures in self.per_label().items() if label in known},
            unknown_gold=dict(unknown.most_common(_MAX_UNKNOWN_LISTED)),
            unknown_gold_left_out=max(len(unknown) - _MAX_UNKNOWN_LISTED, 0),
        )


class Confusion:
    """Sparse confusion matrix of labels that exclude one another.

    Labels are indexes into the label set. A gold label of ``None`` is outside the label set, a predicted label of
    ``None`` means that the row abstained or failed. Rows without a gold label are left out.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._numbers = {label: number for number, label in enumerate(labels)}
        self._cells: Counter[tuple[int | None, int | None]] = Counter()

    def add(self, gold: Collection[str], predicted: Collection[str], count: int = 1) -> None:
        """Count ``count`` rows with these labels, at most one on either side."""
        for label in gold:
            self._cells[self._numbers.get(label), next((self._numbers[name] for name in predicted), None)] += count

    def matrix(self) -> ConfusionMatrix:
        """Build the matrix of the largest cells."""
        cells = sorted(self._cells.items(), key=_most_first)[:MAX_CELLS]
        left_out = self._cells.total() - sum(count for _, count in cells)
        return ConfusionMatrix(cells=tuple((gold, label, count) for (gold, label), count in cells), left_out=left_out)


def _most_first(cell: tuple[tuple[int | None, int | None], int]) -> tuple[int, ...]:
    """Sort key: most rows first, then in label order, with other labels last."""
    labels, count = cell
    return -count, *(MAX_LABELS if number is None else number for number in labels)


def curve(scored: Iterable[tuple[float, bool, int]]) -> tuple[tuple[float, float, float], ...]:
    """Compute ``(threshold, coverage, accuracy)`` for each threshold, from the lowest on.

    ``scored`` is as for :func:`thresholds`; every score in it makes a point: 101 at most of two decimals.
    """
    kept = _kept(scored)
    total = kept[-1][1] if kept else 0
    return tuple(
        (round(score, 6), round(rows / total, 4), round(hits / rows, 4)) for score, rows, hits in reversed(kept)
    )


def thresholds(scored: Iterable[tuple[float, bool, int]]) -> tuple[Threshold, ...]:
    """Compute the lowest threshold for each of :data:`PRECISIONS` that can be reached.

    ``scored`` are counts of rows by their score and whether their label is right. ``coverage`` is the share of them
    that reach the threshold. Thresholds that fewer than twenty rows reach are not named.
    """
    kept = _kept(scored)
    total = kept[-1][1] if kept else 0
    lowest: dict[float, Threshold] = {}
    for score, rows, hits in kept:
        for wanted in PRECISIONS:
            if rows >= _FEWEST_ROWS and hits >= wanted * rows:
                lowest[wanted] = Threshold(wanted=wanted, threshold=score, precision=hits / rows, coverage=rows / total)
    return tuple(lowest[wanted] for wanted in PRECISIONS if wanted in lowest)


def _kept(scored: Iterable[tuple[float, bool, int]]) -> list[tuple[float, int, int]]:
    """Count the rows that reach each score, highest first, and the right ones among them."""
    at: dict[float, list[int]] = {}
    for score, right, count in scored:
        found = at.setdefault(score, [0, 0])
        found[0] += count
        found[1] += count if right else 0
    kept, rows, hits = [], 0, 0
    for score in sorted(at, reverse=True):
        rows, hits = rows + at[score][0], hits + at[score][1]
        kept.append((score, rows, hits))
    return kept
