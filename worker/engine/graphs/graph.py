"""An ONNX graph in the making."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

_OPSET = 21
_IR_VERSION = 10


class Graph:
    """Nodes and constants. Methods take and return the names of tensors."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """A constant of this name; giving the same one twice is no error."""
        self._constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def scalar(self, value: float, dtype: type[np.floating[Any]] = np.float32) -> str:
        """A float without dimensions."""
        return self.constant(f"scalar_{np.dtype(dtype).name}_{value}", np.array(value, dtype))

    def ints(self, *values: int) -> str:
        """A vector of int64."""
        return self.constant("ints_" + "_".join(map(str, values)), np.array(values, np.int64))

    def index(self, value: int) -> str:
        """An int64 without dimensions."""
        return self.constant(f"index_{value}", np.array(value, np.int64))

    def node(self, op: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        """Add a node with one output, which is named after the operator unless ``out`` is given."""
        name = out or f"{op.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def model(
        self,
        name: str,
        *,
        inputs: Sequence[str],
        outputs: Mapping[str, Sequence[str | int]],
        facts: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> onnx.ModelProto:
        """The finished model. ``inputs`` are int64 ``(batch, tokens)``, ``outputs`` float32 of the shapes given.

        ``facts`` are kept as JSON in the model's metadata.
        """
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(entry, TensorProto.INT64, ["batch", "tokens"]) for entry in inputs],
            [helper.make_tensor_value_info(entry, TensorProto.FLOAT, list(shape)) for entry, shape in outputs.items()],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="yeban")
        helper.set_model_props(model, {key: json.dumps(value) for key, value in (facts or {}).items()})
        return model
