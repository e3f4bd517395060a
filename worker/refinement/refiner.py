"""Learn the shape of a file's labels from the file, and relabel every row.

Expectation-maximisation over the rows of one file, starting from the row-by-row scores. Each round gives
every label a Gaussian in embedding space, all of one shape (linear discriminant analysis, Fisher 1936), and a
multinomial over n-grams (naive Bayes with EM, Nigam et al., "Text Classification from Labeled and Unlabeled Documents
using EM", 2000), and then reassigns the rows. Row-by-row scores keep their weight, and the views are finally
tempered by how well they explain those scores, so that a file with good row-by-row scores changes little.

Rows that a person corrected, and examples of a label, count as known and weigh more. All of it is deterministic, is
learnt from a sample, and is applied in one pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import log_softmax, softmax

from worker.refinement.geometry import Discriminant, fit_plane
from worker.refinement.ngrams import NGrams

Floats = NDArray[np.float32]
Labels = NDArray[np.intp]

#: The row has no known label.
UNKNOWN = -1
#: A reviewer decided that no label fits the row.
NONE = -2

_ROUNDS = 6
#: Weight of the label sizes. A little more than their likelihood says: it costs balanced files a point of
#: accuracy at most, and keeps files with unused labels from spreading their rows over them. Once rows of
#: each label are known, a small label is no longer suspicious.
_SIZE_BELIEF, _SIZE_BELIEF_KNOWN = 1.1, 0.4
#: Pseudo-rows of the file's mean per label, so that an unused label stays defined.
_RESERVE = 1.0
#: Weight of a known row, in rows: this times the root of how many rows there are for each label, up to a limit.
#: In a small file ten rows' weight would drown what the others say.
_KNOWN_WEIGHT, _MOST_KNOWN_WEIGHT = 0.5, 10.0
#: Trust in the views, as a multiple of how well they explain the row-by-row scores: those err at times, and more so
#: than the views once rows are known.
_TRUST, _TRUST_KNOWN = 1.5, 8.0
_KNOWN_PER_LABEL = 5.0
_TEMPERS = np.geomspace(0.01, 2.0, 24)
_TEMPER_ROWS = 4_000
#: Share of each row's scores for "none of these", once reviewers have chosen it for some rows.
_NONE_SHARE = 0.2
#: Softening of the final probabilities: scores and views are not independent and together overconfident.
#: Fitted by likelihood on labelled files; changes no row's best label.
_SOFTNESS = 1.75
_LEAST_PROBABILITY = 1e-6  # scores are kept with six decimals
_SMOOTHING = 1.0


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of one file: unit ``vectors`` ``(n, dimension)``, and ``scores`` ``(n, n_labels)``, row by row."""

    texts: Sequence[str]
    vectors: Floats
    scores: Floats

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Texts with a known label that are not rows of the file."""

    texts: Sequence[str]
    vectors: Floats
    labels: Labels


@dataclass(frozen=True, kw_only=True)
class Refiner:
    """The learned model of one file's labels. ``temper`` is the trust in the views beside the scores.

    ``rejects`` is true if it also learned rows that fit no label.
    """

    rejects: bool
    log_sizes: Floats
    plane: Discriminant
    ngrams: NGrams
    words: Floats
    temper: float

    def __call__(self, rows: Rows) -> Floats:
        """Probabilities ``(n, n_labels)`` float32 of rows of the same file; each sums to 1.

        Where it ``rejects``, a last column is added for "no label fits".
        """
        views = self.plane(rows.vectors) + self.ngrams.matrix(rows.texts) @ self.words
        logits = _logits(rows.scores, self.rejects) + self.log_sizes + np.float32(self.temper) * views
        return np.asarray(softmax(logits / np.float32(_SOFTNESS), axis=1), np.float32)


def fit(rows: Rows, known: Labels | None = None, examples: Examples | None = None) -> Refiner:
    """Learn from ``rows`` (a fair sample of the file, and every row that is known) the shape of the labels.

    ``known`` has a label's number, or :data:`NONE`, for each reviewed row, and :data:`UNKNOWN` for all
    others. A text that occurs several times counts by the logarithm of how often.
    """
    labels = np.full(len(rows), UNKNOWN, np.intp) if known is None else known
    rows, labels, weights = _distinct(rows, labels)
    rejects = bool((labels == NONE).any())
    n_labels = rows.scores.shape[1] + rejects
    labels = np.where(labels == NONE, n_labels - 1, labels)
    own = _logits(rows.scores, rejects)
    texts, vectors = list(rows.texts), rows.vectors
    if examples is not None and len(examples.labels):
        texts += examples.texts
        vectors = np.concatenate([vectors, examples.vectors])
        own = np.concatenate([own, np.zeros((len(examples.labels), n_labels), np.float32)])
        labels = np.concatenate([labels, examples.labels])
        weights = np.concatenate([weights, np.ones(len(examples.labels), np.float32)])
    settled = labels != UNKNOWN
    share_known = min(1.0, settled.sum() / (_KNOWN_PER_LABEL * n_labels))
    size_belief = _SIZE_BELIEF + (_SIZE_BELIEF_KNOWN - _SIZE_BELIEF) * share_known
    trust = _TRUST + (_TRUST_KNOWN - _TRUST) * share_known
    known_weight = max(1.0, min(_KNOWN_WEIGHT * (len(rows) / n_labels) ** 0.5, _MOST_KNOWN_WEIGHT))
    weights = np.where(settled, np.float32(known_weight), weights)
    ngrams = NGrams.fit(texts)
    words_of = ngrams.matrix(texts)
    plane = fit_plane(vectors, n_labels)
    began = softmax(own, axis=1)
    belongs = _settle(began, labels, settled)
    for round_ in range(_ROUNDS):
        mass = belongs * weights[:, None]
        discriminant = plane.separate(mass, reserve=_RESERVE)
        words = _word_weights(words_of, mass)
        views = plane.scores(discriminant) + words_of @ words
        sizes = belongs.sum(axis=0) + _RESERVE
        log_sizes = np.asarray(size_belief * np.log(sizes / sizes.sum()), np.float32)
        if round_ < _ROUNDS - 1:
            belongs = _settle(softmax(own + log_sizes + views, axis=1), labels, settled)
    return Refiner(
        rejects=rejects,
        log_sizes=log_sizes,
        plane=discriminant,
        ngrams=ngrams,
        words=words,
        temper=float(trust * _temper(views[~settled], began[~settled])),
    )


def _logits(scores: Floats, rejects: bool) -> Floats:
    if rejects:
        none = np.full((len(scores), 1), _NONE_SHARE, np.float32)
        scores = np.concatenate([scores * np.float32(1 - _NONE_SHARE), none], axis=1)
    return np.log(np.maximum(scores, np.float32(_LEAST_PROBABILITY)))


def _settle(belongs: Floats, labels: Labels, settled: NDArray[np.bool_]) -> Floats:
    belongs[settled] = 0.0
    belongs[settled, labels[settled]] = 1.0
    return belongs


def _word_weights(words_of: sparse.csr_matrix, mass: Floats) -> Floats:
    """Log odds of each n-gram for each label, ``(n_columns, n_labels)``, less their mean over the labels."""
    ordinary = np.asarray(words_of.mean(axis=0), np.float32).T
    counts = np.asarray(words_of.T @ mass, np.float32) + _SMOOTHING * ordinary
    weights = np.log(counts / counts.sum(axis=0))
    return np.asarray(weights - weights.mean(axis=1, keepdims=True), np.float32)


def _temper(views: Floats, began: Floats) -> float:
    """The factor with which the views explain the row-by-row probabilities best, by likelihood."""
    if not len(views):
        return 1.0
    step = -(-len(views) // _TEMPER_ROWS)
    views, began = views[::step], began[::step]
    likelihoods = [float((began * log_softmax(temper * views, axis=1)).sum()) for temper in _TEMPERS]
    return float(_TEMPERS[int(np.argmax(likelihoods))])


def _distinct(rows: Rows, labels: Labels) -> tuple[Rows, Labels, Floats]:
    """Merge equal texts without a known label, with weights; known rows stay separate."""
    first: dict[str, int] = {}
    counts: dict[int, int] = {}
    for at, text in enumerate(rows.texts):
        if labels[at] != UNKNOWN:
            counts[at] = 1
            continue
        kept = first.setdefault(text, at)
        counts[kept] = counts.get(kept, 0) + 1
    kept_rows = np.fromiter(counts, np.intp, len(counts))
    weights = np.log2(1.0 + np.fromiter(counts.values(), np.float32, len(counts))).astype(np.float32)
    if len(kept_rows) == len(rows):
        return rows, labels, weights
    distinct = replace(
        rows, texts=[rows.texts[at] for at in kept_rows], vectors=rows.vectors[kept_rows], scores=rows.scores[kept_rows]
    )
    return distinct, labels[kept_rows], weights


#: Rows to learn from: more change the result little and cost memory and time.
SAMPLE_ROWS = 20_000


def sample(row_count: int, also: Iterable[int] = ()) -> NDArray[np.intp]:
    """Indices of a deterministic, even sample of ``row_count`` rows, in order, plus those in ``also``."""
    if row_count <= SAMPLE_ROWS:
        return np.arange(row_count)
    drawn = np.random.default_rng(0).choice(row_count, SAMPLE_ROWS, replace=False)
    return np.union1d(drawn, np.fromiter(also, np.intp)).astype(np.intp)
