"""BERT in NumPy, float32: an independent reference that the graphs are verified against."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.engine.graphs.bert import Arrays, Geometry
from worker.engine.sessions.base import Inputs

Floats = NDArray[np.float32]
Observe = Callable[[tuple[str, ...], Floats], None]


def logits(arrays: Arrays, geometry: Geometry, inputs: Inputs, observe: Observe | None = None) -> Floats:
    """``(batch, classes)`` float32 logits of one call.

    ``observe`` receives the inputs of the layers' matrices: their names, and the rows of unmasked tokens,
    ``(tokens, channels)``.
    """
    ids, types = inputs["input_ids"], inputs["token_type_ids"]
    hidden = arrays["emb.word"][ids] + arrays["emb.type"][types] + arrays["emb.pos"][: ids.shape[1]]
    hidden = _layer_norm(hidden, arrays, "emb.ln", geometry.epsilon)
    present = inputs["attention_mask"] == 1
    for at in range(geometry.layers):
        layer = _Layer(arrays=arrays, geometry=geometry, name=f"l{at}", observe=observe)
        hidden = layer(hidden, present)
    pooled = np.tanh(_linear(hidden[:, 0], arrays, "pooler"))
    return _linear(pooled, arrays, "cls")


def random_pairs(rows: int, tokens: int, *, vocabulary: int, pad: int) -> Inputs:
    """Random ids in two segments; every row but the first is shorter than the call."""
    random = np.random.default_rng(rows * 1000 + tokens)
    lengths = np.array([tokens, *random.integers(min(4, tokens), tokens + 1, rows - 1)])
    at = np.arange(tokens)
    mask = (at < lengths[:, None]).astype(np.int64)
    ids = random.integers(0, vocabulary, (rows, tokens))
    return {
        "input_ids": np.where(mask == 1, ids, pad),
        "attention_mask": mask,
        "token_type_ids": (at >= lengths[:, None] * 2 // 3).astype(np.int64) * mask,
    }


@dataclass(frozen=True, kw_only=True)
class _Layer:
    arrays: Arrays
    geometry: Geometry
    name: str
    observe: Observe | None

    def __call__(self, hidden: Floats, present: NDArray[np.bool_]) -> Floats:
        """Map ``(batch, tokens, hidden)`` to the same shape."""
        self._read(hidden, present, "q", "k", "v")
        context = self._attend(hidden, present)
        self._read(context, present, "ao")
        attended = self._norm(hidden + self._linear(context, "ao"), "aln")
        self._read(attended, present, "fi")
        wide = _gelu(self._linear(attended, "fi"))
        self._read(wide, present, "fo")
        return self._norm(attended + self._linear(wide, "fo"), "oln")

    def _attend(self, hidden: Floats, present: NDArray[np.bool_]) -> Floats:
        heads, width = self.geometry.heads, self.geometry.hidden // self.geometry.heads
        query, key, value = (
            self._linear(hidden, part).reshape(*hidden.shape[:2], heads, width).transpose(0, 2, 1, 3) for part in "qkv"
        )
        weights = query @ key.transpose(0, 1, 3, 2) / np.float32(math.sqrt(width))
        weights = np.where(present[:, None, None, :], weights, np.finfo(np.float32).min)
        weights = np.exp(weights - weights.max(axis=-1, keepdims=True))
        context = (weights / weights.sum(axis=-1, keepdims=True)) @ value
        return np.asarray(context.transpose(0, 2, 1, 3).reshape(hidden.shape))

    def _read(self, rows: Floats, present: NDArray[np.bool_], *parts: str) -> None:
        if self.observe is not None:
            self.observe(tuple(f"{self.name}.{part}" for part in parts), rows[present])

    def _linear(self, rows: Floats, part: str) -> Floats:
        return _linear(rows, self.arrays, f"{self.name}.{part}")

    def _norm(self, rows: Floats, part: str) -> Floats:
        return _layer_norm(rows, self.arrays, f"{self.name}.{part}", self.geometry.epsilon)


def _linear(hidden: Floats, arrays: Arrays, name: str) -> Floats:
    return np.asarray(hidden @ arrays[f"{name}.w"].T + arrays[f"{name}.b"])


def _layer_norm(hidden: Floats, arrays: Arrays, name: str, epsilon: float) -> Floats:
    centred = hidden - hidden.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    normed = centred / np.sqrt(variance + np.float32(epsilon))
    return np.asarray(normed * arrays[f"{name}.w"] + arrays[f"{name}.b"])


def _gelu(values: Floats) -> Floats:
    """``x * Phi(x)`` with the error function of Abramowitz and Stegun 7.1.26, whose error is under 1.5e-7."""
    x = np.abs(values) / np.float32(math.sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * x)
    coefficients = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
    polynomial = np.zeros_like(x)
    for coefficient in coefficients:
        polynomial = (polynomial + np.float32(coefficient)) * t
    error_function = np.sign(values) * (1 - polynomial * np.exp(-x * x))
    return np.asarray(values * (1 + error_function) / 2, np.float32)
