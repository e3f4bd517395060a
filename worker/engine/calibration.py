"""Calibration: cosines to probabilities, and the fit of its constants.

Labels that exclude each other: a softmax over ``cosine / temperature``. Independent labels (multi-label,
or one label): a sigmoid of ``(lift - midpoint) / width``, where the lift is how far a label's cosine is
above that of a neutral label. Expected calibration error follows Guo et al.,
"On Calibration of Modern Neural Networks" (2017).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Constants of one model, in units of cosine."""

    temperature: float
    midpoint: float
    width: float

    def exclusive(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities that sum to 1 over the labels, for ``(n_texts, n_labels)`` cosines; same shape."""
        return softmax(cosines / np.float32(self.temperature)).astype(np.float32)

    def independent(self, lifts: NDArray[np.float32]) -> NDArray[np.float32]:
        """One probability a label, for ``(n_texts, n_labels)`` lifts; same shape."""
        return sigmoid((lifts - np.float32(self.midpoint)) / np.float32(self.width)).astype(np.float32)


def softmax(logits: Floats) -> Floats:
    """Softmax over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def sigmoid(logits: Floats) -> Floats:
    """Logistic function that does not overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)))


def fit_temperature(files: Sequence[tuple[Floats, NDArray[np.intp]]]) -> float:
    """The temperature with the least negative log-likelihood, each file counting the same.

    Each file is ``(n_texts, n_labels)`` cosines, and ``(n_texts,)`` indices of the right label.
    """

    def loss(log_temperature: float) -> float:
        return float(
            np.mean([_cross_entropy(np.asarray(cosines) / np.exp(log_temperature), gold) for cosines, gold in files])
        )

    return float(np.exp(_golden_section(loss, np.log(1e-4), np.log(1.0))))


def fit_sigmoid(files: Sequence[tuple[Floats, NDArray[np.intp]]], *, rounds: int = 50) -> tuple[float, float]:
    """``(midpoint, width)`` of the sigmoid, by Newton's method on the likelihood of "is the right label".

    Each file is ``(n_texts, n_labels)`` lifts, and ``(n_texts,)`` indices of the right label, and
    counts the same regardless of its size.
    """
    values, targets, weights = [], [], []
    for lifts, gold in files:
        hit = np.zeros(lifts.shape)
        hit[np.arange(len(gold)), gold] = 1.0
        values.append(np.asarray(lifts, np.float64).ravel())
        targets.append(hit.ravel())
        weights.append(np.full(hit.size, 1.0 / hit.size))
    value, target, weight = np.concatenate(values), np.concatenate(targets), np.concatenate(weights)
    centre, spread = value.mean(), value.std()
    design = np.stack([(value - centre) / spread, np.ones_like(value)], axis=1)
    beta = np.zeros(2)
    for _ in range(rounds):
        predicted = sigmoid(design @ beta)
        gradient = design.T @ (weight * (predicted - target))
        hessian = (design * (weight * predicted * (1.0 - predicted))[:, None]).T @ design
        step = np.linalg.solve(hessian + 1e-9 * np.eye(2), gradient)
        beta -= step
        if np.abs(step).max() < 1e-9:
            break
    width = spread / beta[0]
    return float(centre - beta[1] * width), float(width)


def expected_calibration_error(probabilities: Floats, gold: NDArray[np.intp], *, bins: int = 15) -> float:
    """Mean distance of confidence from accuracy over equal-width bins, weighted by their rows; in [0, 1].

    ``probabilities`` is ``(n_texts, n_labels)``; ``gold`` ``(n_texts,)`` holds the right label's index.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == gold
    which = np.minimum((confidence * bins).astype(np.intp), bins - 1)
    error = 0.0
    for at in range(bins):
        inside = which == at
        if inside.any():
            error += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return float(error)


def _cross_entropy(logits: Floats, gold: NDArray[np.intp]) -> float:
    top = logits.max(axis=1)
    log_sum = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return float(np.mean(log_sum - logits[np.arange(len(gold)), gold]))


def _golden_section(loss: Callable[[float], float], low: float, high: float, *, tolerance: float = 1e-6) -> float:
    """Argument of the minimum of a unimodal function on [low, high]."""
    ratio = (5**0.5 - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    loss_left, loss_right = loss(left), loss(right)
    while high - low > tolerance:
        if loss_left < loss_right:
            high, right, loss_right = right, left, loss_left
            left = high - ratio * (high - low)
            loss_left = loss(left)
        else:
            low, left, loss_left = left, right, loss_right
            right = low + ratio * (high - low)
            loss_right = loss(right)
    return (low + high) / 2
