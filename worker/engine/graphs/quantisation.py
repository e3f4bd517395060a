"""Scales of static int8, fitted on a model's activations for sample texts.

Fixed scales let a kernel multiply bytes and hand on bytes, where scales found at run time cost a pass over every
activation. They must be chosen well: a few channels of a transformer are far larger than the rest, so each input is
evened out by channel and the weights take up the difference, after Xiao et al., "SmoothQuant" (2023). How far to even
out is searched for each input, by the error of the matrices' outputs. Nothing is clipped: the largest values
are those of the special tokens, which are few but which every other token attends to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.engine.graphs.bert import Arrays
from worker.engine.graphs.linears import InputQuantiser, quantise_weights

Floats = NDArray[np.float32]

_EVENNESS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
"""How much of a channel's size goes over to the weights."""

_SAMPLE_ROWS = 1536
_LEAST_SIZE = 1e-8


@dataclass(kw_only=True)
class _Sample:
    """Some rows of one input, and the smallest and largest value of each channel over all rows seen."""

    low: Floats
    high: Floats
    rows: list[Floats]


class Observer:
    """Collects the inputs of a model's matrices, block by block."""

    def __init__(self, total_rows: int) -> None:
        """``total_rows`` is the number of token rows to come; a fixed number of them is kept, evenly spread."""
        self._step = max(1, math.ceil(total_rows / _SAMPLE_ROWS))
        self._samples: dict[tuple[str, ...], _Sample] = {}

    def see(self, matrices: tuple[str, ...], rows: Floats) -> None:
        """Record the common input of ``matrices`` for one block: ``(rows, channels)`` without padding."""
        low, high = rows.min(axis=0), rows.max(axis=0)
        sample = self._samples.setdefault(matrices, _Sample(low=low, high=high, rows=[]))
        sample.low, sample.high = np.minimum(sample.low, low), np.maximum(sample.high, high)
        sample.rows.append(rows[:: self._step].copy())

    def quantisers(self, arrays: Arrays) -> dict[str, InputQuantiser]:
        """Fit the best quantiser for each matrix; matrices with the same input share one."""
        found: dict[str, InputQuantiser] = {}
        for matrices, sample in self._samples.items():
            found |= dict.fromkeys(matrices, _best(sample, [arrays[f"{matrix}.w"] for matrix in matrices]))
        return found


def quantised(rows: Floats, quantiser: InputQuantiser) -> Floats:
    """Return the quantised ``(rows, channels)`` as the matrices read them, factors included."""
    zero = quantiser.zero_point
    low, high = (-128, 127) if zero is None else (-zero, 255 - zero)
    scale = np.float32(quantiser.scale)
    return np.asarray(np.clip(np.round(rows * quantiser.factors / scale), low, high) * scale, np.float32)


def _best(sample: _Sample, matrices: Sequence[Floats]) -> InputQuantiser:
    rows = np.concatenate(sample.rows)
    weights = np.concatenate(matrices)
    wanted = rows @ weights.T
    candidates = (_evened(sample, weights, evenness) for evenness in _EVENNESS)

    def error(quantiser: InputQuantiser) -> float:
        quants, scales = quantise_weights(weights / quantiser.factors)
        got = quantised(rows, quantiser) @ (quants * scales[:, None]).T
        return float(np.square(got - wanted).mean())

    return min(candidates, key=error)


def _evened(sample: _Sample, weights: Floats, evenness: float) -> InputQuantiser:
    sizes = np.maximum(np.maximum(-sample.low, sample.high), _LEAST_SIZE)
    weight_sizes = np.maximum(np.abs(weights).max(axis=0), _LEAST_SIZE)
    factors = weight_sizes ** (1 - evenness) / sizes**evenness if evenness else np.ones_like(sizes)
    factors = (factors / np.exp(np.log(factors).mean())).astype(np.float32)
    low, high = float((sample.low * factors).min()), float((sample.high * factors).max())
    if -low > high / 2:
        return InputQuantiser(factors=factors, scale=max(-low, high, _LEAST_SIZE) / 127)
    # One-sided, as after a GELU: unsigned bytes lose nothing to the empty side.
    scale = max(high - min(low, 0.0), _LEAST_SIZE) / 255
    return InputQuantiser(factors=factors, scale=scale, zero_point=round(-min(low, 0.0) / scale))
