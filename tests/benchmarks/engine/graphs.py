"""Our graph written in other ways, to see what each is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from worker.engine.graphs.bert import Arrays, Linears
from worker.engine.graphs.graph import Graph
from worker.engine.graphs.linears import InputQuantiser, Int8Linears


class JointLinears(Linears):
    """Query, key and value as one product, cut in three; in the last layer, where they read different rows, apart."""

    def __init__(self, arrays: Arrays, quantisers: Mapping[str, InputQuantiser], *, layers: int) -> None:
        self._joint_layers = {f"l{at}" for at in range(layers - 1)}
        joint = {
            f"{layer}.qkv.{end}": np.concatenate([arrays[f"{layer}.{part}.{end}"] for part in "qkv"])
            for layer in self._joint_layers
            for end in "wb"
        }
        shared = {f"{layer}.qkv": quantisers[f"{layer}.q"] for layer in self._joint_layers}
        self._inner = Int8Linears({**arrays, **joint}, {**quantisers, **shared})
        self._products: dict[str, str] = {}
        self._hidden = arrays["emb.type"].shape[1]

    def __call__(self, graph: Graph, hidden: str, name: str) -> str:
        layer, _, part = name.partition(".")
        if layer not in self._joint_layers or part not in ("q", "k", "v"):
            return self._inner(graph, hidden, name)
        if layer not in self._products:
            self._products[layer] = self._inner(graph, hidden, f"{layer}.qkv")
        first = "qkv".index(part) * self._hidden
        edges = graph.ints(first), graph.ints(first + self._hidden), graph.ints(2)
        return graph.node("Slice", self._products[layer], *edges)


def fuse_attention(model: Any) -> None:
    """Put OpenVINO's attention operator in the place of every written-out attention of ``model``.

    Raises :class:`ValueError` when there is none.
    """
    from worker.engine.sessions import openvino as session

    op = session.openvino.opset13
    softmaxes = [node for node in model.get_ops() if node.get_type_name() == "Softmax"]
    if not softmaxes:
        raise ValueError("the graph has no written-out attention")
    swap = op.constant(np.array([0, 1, 3, 2]))
    for softmax in softmaxes:
        biased = softmax.input_value(0).get_node()
        logits = biased.input_value(0).get_node()
        scaled = logits.input_value(0).get_node()
        (reader,) = softmax.output(0).get_target_inputs()
        product = reader.get_node()
        keys = op.transpose(logits.input_value(1), swap)
        # Its own scale is the same: one over the square root of a head's width.
        fused = op.scaled_dot_product_attention(
            scaled.input_value(0), keys, product.input_value(1), biased.input_value(1)
        )
        product.output(0).replace(fused.output(0))
