"""Layers that BERT models share: post-normalised attention and feed-forward blocks.

After Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding" (2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from worker.engine.graphs.graph import Graph

Arrays = Mapping[str, NDArray[Any]]
"""Weights by their canonical names: ``emb.*``, ``l0.q.w`` … ``l0.oln.b``; matrices are (out, in)."""

_MASKED = 10_000.0
"""Taken from the attention logits of padding; within the range of float16."""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Sizes that the arrays' shapes do not determine, and the layer count."""

    layers: int
    hidden: int
    heads: int
    epsilon: float


class Linears(Protocol):
    """A way to multiply by the matrices of a graph."""

    def __call__(self, graph: Graph, hidden: str, name: str) -> str:
        """Add ``hidden @ W.T + b`` with the matrix and bias called ``name``; the output's name."""


class BertLayers:
    """Adds embeddings' norm and encoder layers to a graph, in float32 or float16."""

    def __init__(
        self,
        graph: Graph,
        arrays: Arrays,
        geometry: Geometry,
        linears: Linears,
        dtype: type[np.floating[Any]] = np.float32,
    ) -> None:
        self._graph = graph
        self._arrays = arrays
        self._geometry = geometry
        self._linears = linears
        self._dtype = dtype
        self._bias = self._attention_bias()

    def layer_norm(self, hidden: str, name: str) -> str:
        """Normalise over the last axis with the weights called ``name``."""
        weight, bias = (
            self._graph.constant(f"{name}.{end}", self._arrays[f"{name}.{end}"].astype(self._dtype)) for end in "wb"
        )
        return self._graph.node(
            "LayerNormalization", hidden, weight, bias, axis=-1, epsilon=float(self._geometry.epsilon)
        )

    def linear(self, hidden: str, name: str) -> str:
        """Multiply by the matrix called ``name`` and add its bias."""
        return self._linears(self._graph, hidden, name)

    def layer(self, hidden: str, at: int, *, first_only: bool = False) -> str:
        """One layer over ``(batch, tokens, hidden)``.

        With ``first_only`` the output is that of the first token alone, ``(batch, 1, hidden)``, since a pooler reads
        nothing else of the last layer.
        """
        graph, name = self._graph, f"l{at}"
        asking = graph.node("Slice", hidden, graph.ints(0), graph.ints(1), graph.ints(1)) if first_only else hidden
        query = self._split_heads(self.linear(asking, f"{name}.q"), [0, 2, 1, 3])
        key = self._split_heads(self.linear(hidden, f"{name}.k"), [0, 2, 3, 1])
        value = self._split_heads(self.linear(hidden, f"{name}.v"), [0, 2, 1, 3])
        width = self._geometry.hidden // self._geometry.heads
        scaled = graph.node("Mul", query, graph.scalar(float(width**-0.5), self._dtype))
        logits = graph.node("Add", graph.node("MatMul", scaled, key), self._bias)
        context = graph.node("MatMul", graph.node("Softmax", logits, axis=-1), value)
        joined = graph.node("Transpose", context, perm=[0, 2, 1, 3])
        joined = graph.node("Reshape", joined, graph.ints(0, 0, self._geometry.hidden))
        attended = self.layer_norm(graph.node("Add", asking, self.linear(joined, f"{name}.ao")), f"{name}.aln")
        wide = graph.node("Gelu", self.linear(attended, f"{name}.fi"))
        return self.layer_norm(graph.node("Add", attended, self.linear(wide, f"{name}.fo")), f"{name}.oln")

    def positions(self, table: NDArray[Any]) -> str:
        """The first rows of a position table, as many as there are tokens: ``(tokens, hidden)``."""
        graph = self._graph
        length = graph.node("Shape", "input_ids", start=1, end=2)
        whole = graph.constant("positions", table.astype(self._dtype))
        return graph.node("Slice", whole, graph.ints(0), length, graph.ints(0))

    def _split_heads(self, hidden: str, perm: list[int]) -> str:
        heads, width = self._geometry.heads, self._geometry.hidden // self._geometry.heads
        split = self._graph.node("Reshape", hidden, self._graph.ints(0, 0, heads, width))
        return self._graph.node("Transpose", split, perm=perm)

    def _attention_bias(self) -> str:
        graph = self._graph
        kind = TensorProto.FLOAT16 if self._dtype is np.float16 else TensorProto.FLOAT
        mask = graph.node("Cast", graph.node("Unsqueeze", "attention_mask", graph.ints(1, 2)), to=kind)
        absent = graph.node("Sub", mask, graph.scalar(1.0, self._dtype))
        return graph.node("Mul", absent, graph.scalar(_MASKED, self._dtype))
