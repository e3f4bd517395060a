"""The encoder of multilingual-e5-small as an ONNX graph, built straight from its weights.

Inputs ``input_ids`` and ``attention_mask``, both int64 ``(batch, tokens)``; output ``embedding``,
float32 ``(batch, hidden)``, mean-pooled over the unmasked tokens and of unit length.

Nothing is traced, so no length is baked in. The word table stays 4-bit in every variant: rows are
unpacked after the lookup, which keeps 250,000 rows at 54 MB on disk and in memory.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from worker.engine.e5_file import BLOCK, E5Weights, Packed

Linear = Literal["fp32", "int8"]
"""How matrices are kept: as float32, or in the file's own 4-bit blocks, which lose nothing more and which
the runtimes multiply by int8 activations."""

_OPSET = 20
_INT8_ACTIVATIONS = 4
"""``accuracy_level`` of MatMulNBits that lets the kernel quantise activations to int8."""


def build_graph(weights: E5Weights, linear: Linear) -> onnx.ModelProto:
    """Build the graph with its weights inside."""
    graph = _Graph(weights, linear)
    hidden = graph.embed()
    for layer in range(weights.layers):
        hidden = graph.encoder_layer(hidden, layer)
    graph.pool(hidden)
    return graph.model()


class _Graph:
    """Nodes and initialisers in the making. Methods take and return the names of tensors."""

    def __init__(self, weights: E5Weights, linear: Linear) -> None:
        self.weights = weights
        self.linear_kind = linear
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def scalar(self, value: float) -> str:
        return self.constant(f"scalar_{value}", np.array(value, np.float32))

    def ints(self, *values: int) -> str:
        return self.constant("ints_" + "_".join(map(str, values)), np.array(values, np.int64))

    def node(self, op: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        name = out or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def embed(self) -> str:
        """Word, position and token-type embeddings, normalised: ``(batch, tokens, hidden)``."""
        weights = self.weights
        word = weights.packed["emb.word"]
        nibbles = self.constant("word.nibbles", word.nibbles)
        scales = self.constant("word.scales", word.scales[..., None])
        packed = self.node("Cast", self.node("Gather", nibbles, "input_ids"), to=TensorProto.FLOAT)
        high = self.node("Floor", self.node("Mul", packed, self.scalar(1 / 16)))
        low = self.node("Sub", packed, self.node("Mul", high, self.scalar(16.0)))
        quants = self.node("Sub", self.node("Concat", low, high, axis=-1), self.scalar(8.0))
        row_scales = self.node("Cast", self.node("Gather", scales, "input_ids"), to=TensorProto.FLOAT)
        words = self.node("Reshape", self.node("Mul", quants, row_scales), self.ints(0, 0, weights.hidden))
        # Every token is of type 0, so its vector is added to the positions once and for all.
        positions = weights.arrays["emb.pos"].reshape(-1, weights.hidden) + weights.arrays["emb.type"][: weights.hidden]
        length = self.node("Shape", "input_ids", start=1, end=2)
        table = self.constant("positions", positions)
        summed = self.node("Add", words, self.node("Slice", table, self.ints(0), length, self.ints(0)))
        mask = self.node("Cast", self.node("Unsqueeze", "attention_mask", self.ints(1, 2)), to=TensorProto.FLOAT)
        self.bias = self.node("Mul", self.node("Sub", mask, self.scalar(1.0)), self.scalar(10_000.0))
        return self.layer_norm(summed, "emb.ln")

    def encoder_layer(self, hidden: str, layer: int) -> str:
        """One transformer layer over ``(batch, tokens, hidden)``, normalised after each half."""
        heads, width = self.weights.heads, self.weights.hidden // self.weights.heads
        at = f"l{layer}"
        joint = self.linear(hidden, f"{at}.qkv", [f"{at}.q", f"{at}.k", f"{at}.v"])
        split = self.node("Reshape", joint, self.ints(0, 0, 3, heads, width))
        query, key, value = (
            self.node("Transpose", self.node("Gather", split, self.ints_scalar(part), axis=2), perm=perm)
            for part, perm in ((0, [0, 2, 1, 3]), (1, [0, 2, 3, 1]), (2, [0, 2, 1, 3]))
        )
        scaled = self.node("Mul", self.node("MatMul", query, key), self.scalar(float(width**-0.5)))
        attention = self.node("Softmax", self.node("Add", scaled, self.bias), axis=-1)
        context = self.node("Transpose", self.node("MatMul", attention, value), perm=[0, 2, 1, 3])
        context = self.node("Reshape", context, self.ints(0, 0, self.weights.hidden))
        attended = self.node("Add", hidden, self.linear(context, f"{at}.ao", [f"{at}.ao"]))
        hidden = self.layer_norm(attended, f"{at}.aln")
        wide = self.node("Gelu", self.linear(hidden, f"{at}.fi", [f"{at}.fi"]))
        return self.layer_norm(self.node("Add", hidden, self.linear(wide, f"{at}.fo", [f"{at}.fo"])), f"{at}.oln")

    def pool(self, hidden: str) -> str:
        """Mean over unmasked tokens, scaled to unit length."""
        mask = self.node("Cast", self.node("Unsqueeze", "attention_mask", self.ints(-1)), to=TensorProto.FLOAT)
        total = self.node("ReduceSum", self.node("Mul", hidden, mask), self.ints(1), keepdims=0)
        # The mean's divisor cancels out in the scaling to unit length.
        norm = self.node("ReduceL2", total, self.ints(-1), keepdims=1)
        return self.node("Div", total, norm, out="embedding")

    def ints_scalar(self, value: int) -> str:
        return self.constant(f"index_{value}", np.array(value, np.int64))

    def layer_norm(self, hidden: str, name: str) -> str:
        weight, bias = (self.constant(f"{name}.{end}", self.weights.arrays[f"{name}.{end}"]) for end in "wb")
        return self.node("LayerNormalization", hidden, weight, bias, axis=-1, epsilon=self.weights.epsilon)

    def linear(self, hidden: str, name: str, parts: list[str]) -> str:
        """``hidden @ W.T + b`` where W and b join those of ``parts`` along the output."""
        packed = [self.weights.packed[f"{part}.w"] for part in parts]
        joined = Packed(
            nibbles=np.concatenate([part.nibbles for part in packed]),
            scales=np.concatenate([part.scales for part in packed]),
        )
        bias = self.constant(f"{name}.b", np.concatenate([self.weights.arrays[f"{part}.b"] for part in parts]))
        if self.linear_kind == "int8":
            return self.node("Add", self._int8_product(hidden, name, joined), bias)
        weight = self.constant(f"{name}.w", joined.dequantise().T)
        return self.node("Add", self.node("MatMul", hidden, weight), bias)

    def _int8_product(self, hidden: str, name: str, packed: Packed) -> str:
        # MatMulNBits wants neighbours in one byte; the file pairs weight j with weight j + 16.
        quants = np.concatenate([packed.nibbles & 0x0F, packed.nibbles >> 4], axis=-1)
        paired = quants[..., 0::2] | quants[..., 1::2] << 4
        rows, blocks, _ = paired.shape
        return self.node(
            "MatMulNBits",
            hidden,
            self.constant(f"{name}.q", paired),
            self.constant(f"{name}.s", packed.scales.astype(np.float32)),
            domain="com.microsoft",
            K=blocks * BLOCK,
            N=rows,
            bits=4,
            block_size=BLOCK,
            accuracy_level=_INT8_ACTIVATIONS,
        )

    def model(self) -> onnx.ModelProto:
        shape = ["batch", "tokens"]
        graph = helper.make_graph(
            self.nodes,
            "multilingual-e5-small",
            [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in ("input_ids", "attention_mask")],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", self.weights.hidden])],
            list(self.constants.values()),
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="yeban")
