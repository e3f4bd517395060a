"""A BERT cross-encoder as an ONNX graph: three numbers for each pair of a text and a hypothesis.

Inputs ``input_ids``, ``attention_mask`` and ``token_type_ids``, int64 ``(batch, tokens)``; output ``logits``,
float32 ``(batch, classes)``.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from worker.engine.graphs.bert import Arrays, BertLayers, Geometry, Linears
from worker.engine.graphs.graph import Graph
from worker.engine.graphs.linears import FloatLinears

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUT = "logits"
FACTS = "yeban.bert"
"""Metadata that tells the geometry to whoever runs the constants without the nodes."""


def build_graph(
    arrays: Arrays,
    geometry: Geometry,
    linears: Linears,
    *,
    dtype: type[np.floating[Any]] = np.float32,
    word_dtype: type[np.floating[Any]] = np.float32,
) -> onnx.ModelProto:
    """The graph with its weights inside; arithmetic in ``dtype``, the word table kept in ``word_dtype``."""
    graph = Graph()
    layers = BertLayers(graph, arrays, geometry, linears, dtype)
    hidden = layers.layer_norm(_embed(graph, layers, arrays, dtype, word_dtype), "emb.ln")
    for at in range(geometry.layers):
        hidden = layers.layer(hidden, at, first_only=at == geometry.layers - 1)
    first = graph.node("Squeeze", hidden, graph.ints(1))
    # Two small products per pair: lower precision would not pay.
    exact = FloatLinears(arrays, dtype)
    pooled = graph.node("Tanh", exact(graph, first, "pooler"))
    graph.node("Cast", exact(graph, pooled, "cls"), to=TensorProto.FLOAT, out=OUTPUT)
    classes = arrays["cls.b"].shape[0]
    facts = {FACTS: {**asdict(geometry), "classes": classes}}
    return graph.model("bert cross-encoder", inputs=INPUTS, outputs={OUTPUT: ["batch", classes]}, facts=facts)


def _embed(
    graph: Graph,
    layers: BertLayers,
    arrays: Arrays,
    dtype: type[np.floating[Any]],
    word_dtype: type[np.floating[Any]],
) -> str:
    """Word, token-type and position embeddings, summed: ``(batch, tokens, hidden)``."""
    kind = TensorProto.FLOAT16 if dtype is np.float16 else TensorProto.FLOAT
    words = graph.node("Gather", graph.constant("emb.word", arrays["emb.word"].astype(word_dtype)), "input_ids")
    if word_dtype is not dtype:
        words = graph.node("Cast", words, to=kind)
    types = graph.node("Gather", graph.constant("emb.type", arrays["emb.type"].astype(dtype)), "token_type_ids")
    return graph.node("Add", graph.node("Add", words, types), layers.positions(arrays["emb.pos"]))
