from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest

from worker.engine.graphs.graph import Graph


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3).T,
        np.array(2.5, np.float16),
        np.arange(-3, 3, dtype=np.int8),
        np.arange(3, dtype=np.uint8)[::2],
        np.zeros((0, 3), np.int64),
        np.arange(4, dtype="<f4"),
    ],
)
def test_a_constant_is_kept_as_it_is_whatever_its_layout(value: np.ndarray) -> None:
    graph = Graph()
    graph.constant("c", value)
    model = graph.model("m", inputs=(), outputs={})

    (kept,) = (onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer)

    assert kept.dtype == value.dtype
    np.testing.assert_array_equal(kept, value)


def test_a_constant_that_is_asked_for_twice_is_there_once() -> None:
    graph = Graph()
    names = [graph.ints(0, 1), graph.ints(0, 1), graph.scalar(0.5), graph.scalar(0.5), graph.scalar(0.5, np.float16)]

    model = graph.model("m", inputs=(), outputs={})

    assert len(set(names)) == len(model.graph.initializer) == 3


def test_a_model_runs_and_carries_its_facts() -> None:
    graph = Graph()
    floats = graph.node("Cast", "ids", to=onnx.TensorProto.FLOAT)
    graph.node("Mul", floats, graph.scalar(2.0), out="doubled")
    facts = {"yeban.x": {"layers": 2, "name": "夜"}}
    model = graph.model("m", inputs=("ids",), outputs={"doubled": ["batch", "tokens"]}, facts=facts)

    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for shape in ((1, 1), (3, 7)):
        ids = np.ones(shape, np.int64)
        np.testing.assert_array_equal(session.run(None, {"ids": ids})[0], 2 * ids)
    assert {entry.key: json.loads(entry.value) for entry in model.metadata_props} == facts
