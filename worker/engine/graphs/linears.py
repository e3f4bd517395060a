"""Matrix products of a graph: float, or int8 with static or run-time scales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.engine.graphs.bert import Arrays
from worker.engine.graphs.graph import Graph

_WEIGHT_LIMIT = 127


@dataclass(frozen=True, kw_only=True)
class InputQuantiser:
    """Quantiser of a matrix's input: ``round(x * factors / scale) + zero_point``, clipped.

    ``factors`` is ``(in,)`` float32: it evens out the channels, and the weights are divided by it. ``zero_point`` of
    None means signed and symmetric; a number means unsigned.
    """

    factors: NDArray[np.float32]
    scale: float
    zero_point: int | None = None


class FloatLinears:
    """Unquantised matrices, in float32 or float16."""

    def __init__(self, arrays: Arrays, dtype: type[np.floating[Any]] = np.float32) -> None:
        self._arrays = arrays
        self._dtype = dtype

    def __call__(self, graph: Graph, hidden: str, name: str) -> str:
        weight = graph.constant(f"{name}.w", self._arrays[f"{name}.w"].T.astype(self._dtype))
        bias = graph.constant(f"{name}.b", self._arrays[f"{name}.b"].astype(self._dtype))
        return graph.node("Add", graph.node("MatMul", hidden, weight), bias)


class Int8Linears:
    """Weights in 8 bits with one scale per output, and inputs in 8 bits with fixed scales.

    Without a quantiser only the weights are in 8 bits; a session may find input scales at run time, or multiply in
    float32.
    """

    def __init__(self, arrays: Arrays, quantisers: Mapping[str, InputQuantiser]) -> None:
        self._arrays = arrays
        self._quantisers = quantisers
        self._quantised: dict[tuple[str, int], str] = {}

    def __call__(self, graph: Graph, hidden: str, name: str) -> str:
        quantiser = self._quantisers.get(name)
        weights = self._arrays[f"{name}.w"]
        quants, scales = quantise_weights(weights if quantiser is None else weights / quantiser.factors)
        weight = graph.node(
            "DequantizeLinear",
            graph.constant(f"{name}.q8", quants.T),
            graph.constant(f"{name}.scales", scales),
            graph.constant(f"zeros_{len(scales)}", np.zeros(len(scales), np.int8)),
            axis=1,
        )
        if quantiser is not None:
            hidden = self._quantise(graph, hidden, name, quantiser)
        product = graph.node("MatMul", hidden, weight)
        return graph.node("Add", product, graph.constant(f"{name}.b", self._arrays[f"{name}.b"].astype(np.float32)))

    def _quantise(self, graph: Graph, hidden: str, name: str, quantiser: InputQuantiser) -> str:
        # Matrices that read the same tensor through the same quantiser share it.
        key = (hidden, id(quantiser))
        if key not in self._quantised:
            even = graph.node("Mul", hidden, graph.constant(f"{name}.factors", quantiser.factors))
            scale = graph.constant(f"{name}.scale", np.array(quantiser.scale, np.float32))
            kind = np.int8 if quantiser.zero_point is None else np.uint8
            zero = graph.constant(f"{name}.zero", np.array(quantiser.zero_point or 0, kind))
            self._quantised[key] = graph.node(
                "DequantizeLinear", graph.node("QuantizeLinear", even, scale, zero), scale, zero
            )
        return self._quantised[key]


def quantise_weights(weights: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """``(out, in)`` weights as int8 with one scale an output, ``(out,)`` float32."""
    largest = np.abs(weights).max(axis=1).astype(np.float32)
    scales = np.where(largest > 0, largest, 1).astype(np.float32) / np.float32(_WEIGHT_LIMIT)
    return np.round(weights / scales[:, None]).astype(np.int8), scales
