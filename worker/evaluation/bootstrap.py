"""Confidence intervals of accuracy and macro-F1 over the sample of texts in a file.

Percentile bootstrap (Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Indices = NDArray[np.intp]

RESAMPLES = 1_000
LEVEL = 0.95

# Most counts in memory; a wrongly chosen gold column has as many labels as rows.
_MOST_COUNTS = 4_000_000


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The interval of a figure at a confidence of :data:`LEVEL`."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Intervals:
    accuracy: Interval
    macro_f1: Interval


def bootstrap(gold: Indices, predicted: Indices, *, n_labels: int, seed: int = 0) -> Intervals:
    """Intervals of both figures for ``(n_rows,)`` indices below ``n_labels``; deterministic for one ``seed``.

    Rows differ only by their gold and predicted labels, so a resample of rows is a multinomial draw of the counts of
    label pairs. Macro-F1 is that of
    :class:`yeban.results.evaluation.Agreement`: the mean over the labels that occur in the resample.
    """
    pairs, counts = np.unique(gold * n_labels + predicted, return_counts=True)
    gold_of, predicted_of = np.divmod(pairs, n_labels)
    total = int(counts.sum())
    random = np.random.default_rng(seed)
    same = gold_of == predicted_of
    at_a_time = max(1, _MOST_COUNTS // max(n_labels, len(pairs)))
    accuracy, macro_f1 = [], []
    for first in range(0, RESAMPLES, at_a_time):
        drawn = random.multinomial(total, counts / total, size=min(at_a_time, RESAMPLES - first))
        right = _per_label(drawn[:, same], gold_of[same], n_labels)
        occurs = _per_label(drawn, gold_of, n_labels) + _per_label(drawn, predicted_of, n_labels)
        f1 = np.divide(2.0 * right, occurs, out=np.zeros(right.shape), where=occurs > 0)
        accuracy.append(right.sum(axis=1) / total)
        macro_f1.append(f1.sum(axis=1) / (occurs > 0).sum(axis=1))
    return Intervals(accuracy=_interval(np.concatenate(accuracy)), macro_f1=_interval(np.concatenate(macro_f1)))


def _per_label(draws: NDArray[np.int64], label_of: Indices, n_labels: int) -> NDArray[np.int64]:
    """Sum the columns of ``(n_resamples, n_pairs)`` draws by label: ``(n_resamples, n_labels)``."""
    columns = np.arange(len(label_of))
    adding = sparse.csr_matrix((np.ones(len(label_of), np.int64), (label_of, columns)), shape=(n_labels, len(label_of)))
    return np.asarray((adding @ draws.T).T)


def _interval(values: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(low=float(low), high=float(high))
