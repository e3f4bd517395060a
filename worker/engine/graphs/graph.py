"""A builder of ONNX graphs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

_OPSET = 21
_IR_VERSION = 10


class Graph:
    """Nodes and constants. Methods take and return the names of tensors."""

    def __init__(self) -> None:
        # Filled in place: assembling a graph from parts would copy every weight.
        self._model = onnx.ModelProto(ir_version=_IR_VERSION, producer_name="yeban")
        self._constants: set[str] = set()

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Add a constant; adding the same one twice is allowed."""
        if name not in self._constants:
            self._constants.add(name)
            self._model.graph.initializer.add(
                name=name,
                data_type=helper.np_dtype_to_tensor_dtype(value.dtype),
                dims=value.shape,
                raw_data=value.tobytes(),
            )
        return name

    def scalar(self, value: float, dtype: type[np.floating[Any]] = np.float32) -> str:
        """A float without dimensions."""
        return self.constant(f"scalar_{np.dtype(dtype).name}_{value}", np.array(value, dtype))

    def ints(self, *values: int) -> str:
        """A vector of int64."""
        return self.constant("ints_" + "_".join(map(str, values)), np.array(values, np.int64))

    def node(self, op: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        """Add a node with one output, which is named after the operator unless ``out`` is given."""
        nodes = self._model.graph.node
        name = out or f"{op.lower()}_{len(nodes)}"
        nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def model(
        self,
        name: str,
        *,
        inputs: Sequence[str],
        outputs: Mapping[str, Sequence[str | int]],
        facts: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> onnx.ModelProto:
        """Return the finished model. Call once.

        ``inputs`` are int64 ``(batch, tokens)``, ``outputs`` float32 of the shapes given. ``facts`` are kept as JSON
        in the model's metadata.
        """
        model = self._model
        model.graph.name = name
        model.graph.input.extend(
            helper.make_tensor_value_info(entry, TensorProto.INT64, ["batch", "tokens"]) for entry in inputs
        )
        model.graph.output.extend(
            helper.make_tensor_value_info(entry, TensorProto.FLOAT, list(shape)) for entry, shape in outputs.items()
        )
        model.opset_import.extend([helper.make_opsetid("", _OPSET), helper.make_opsetid("com.microsoft", 1)])
        helper.set_model_props(model, {key: json.dumps(value) for key, value in (facts or {}).items()})
        return model
