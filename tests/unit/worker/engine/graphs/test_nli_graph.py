"""The cross-encoder's graph against the network in NumPy, which shares nothing with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from worker.engine.graphs.bert import BertLayers, Geometry
from worker.engine.graphs.linears import FloatLinears
from worker.engine.graphs.nli import build_graph
from worker.engine.nli import oracle
from worker.engine.sessions import Inputs, choose, open_session
from worker.engine.sessions.base import Session

Arrays = dict[str, NDArray[Any]]

# More rows than any pair of sessions was asked for elsewhere, single tokens, and the longest pair.
SHAPES = ((1, 1), (1, 2), (2, 3), (1, 12), (7, 31), (13, 65), (4, 200), (2, 511), (1, 512))
TOLERANCE = 2e-4


def ask(arrays: Mapping[str, NDArray[Any]], rows: int, tokens: int) -> Inputs:
    return oracle.random_pairs(rows, tokens, vocabulary=len(arrays["emb.word"]), pad=0)


def start(model: onnx.ModelProto, folder: Path, session: str = "onnxruntime") -> Session:
    onnx.save(model, folder / "graph.onnx")
    return open_session(folder / "graph.onnx", choose({session: ("fp32",)}, session=session, device="cpu", threads=2))


def fp32(arrays: Arrays, geometry: Geometry) -> onnx.ModelProto:
    return build_graph(arrays, geometry, FloatLinears(arrays))


@pytest.mark.parametrize("session", ["openvino", "onnxruntime"])
def test_float32_is_the_network_in_numpy_at_any_length_and_padding(
    session: str, arrays: Arrays, geometry: Geometry, tmp_path: Path
) -> None:
    opened = start(fp32(arrays, geometry), tmp_path, session)
    calls = [ask(arrays, *shape) for shape in SHAPES]

    for call, logits in zip(calls, opened.run(calls), strict=True):
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, oracle.logits(arrays, geometry, call), atol=TOLERANCE)


def test_padding_and_neighbours_change_nothing(arrays: Arrays, geometry: Geometry, tmp_path: Path) -> None:
    opened = start(fp32(arrays, geometry), tmp_path)
    batch = ask(arrays, 6, 50)
    lengths = batch["attention_mask"].sum(axis=1)
    assert lengths.min() < 50

    alone = [
        {name: values[row : row + 1, :length] for name, values in batch.items()} for row, length in enumerate(lengths)
    ]

    np.testing.assert_allclose(opened.run([batch])[0], np.concatenate(opened.run(alone)), atol=1e-5)


def test_what_lies_under_the_padding_does_not_matter(arrays: Arrays, geometry: Geometry, tmp_path: Path) -> None:
    opened = start(fp32(arrays, geometry), tmp_path)
    call = ask(arrays, 5, 40)
    absent = call["attention_mask"] == 0
    other = {
        **call,
        "input_ids": np.where(absent, 9, call["input_ids"]),
        "token_type_ids": np.where(absent, 1, call["token_type_ids"]),
    }

    np.testing.assert_array_equal(*opened.run([call, other]))


def test_the_last_layer_for_the_first_token_alone_is_the_whole_layer(
    arrays: Arrays, geometry: Geometry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [ask(arrays, *shape) for shape in ((1, 1), (5, 40))]
    first_only = start(fp32(arrays, geometry), tmp_path).run(calls)
    layer = BertLayers.layer

    def whole(layers: BertLayers, hidden: str, at: int, *, first_only: bool = False) -> str:
        out = layer(layers, hidden, at)
        graph = layers._graph
        return graph.node("Slice", out, graph.ints(0), graph.ints(1), graph.ints(1)) if first_only else out

    monkeypatch.setattr(BertLayers, "layer", whole)
    everything = start(fp32(arrays, geometry), tmp_path).run(calls)

    for left, right in zip(first_only, everything, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-5)


@pytest.mark.parametrize("name", ["token_type_ids", "attention_mask", "input_ids"])
def test_every_input_matters(name: str, arrays: Arrays, geometry: Geometry, tmp_path: Path) -> None:
    opened = start(fp32(arrays, geometry), tmp_path)
    call = ask(arrays, 3, 20)
    changed = call[name].copy()
    changed[:, 2] = 1 - changed[:, 2] if name != "input_ids" else changed[:, 2] + 1

    before, after = opened.run([call, {**call, name: changed}])

    assert (np.abs(before - after).max(axis=1) > 0.01).all()


def test_the_order_of_tokens_matters(arrays: Arrays, geometry: Geometry, tmp_path: Path) -> None:
    opened = start(fp32(arrays, geometry), tmp_path)
    call = dict(ask(arrays, 1, 20))
    swapped = call["input_ids"].copy()
    swapped[0, [2, 3]] = swapped[0, [3, 2]]

    before, after = opened.run([call, {**call, "input_ids": swapped}])

    assert np.abs(before - after).max() > 0.01


@pytest.mark.parametrize("name", ["l0.k.b", "l1.fo.b", "emb.ln.b", "pooler.b", "l1.oln.w", "cls.w", "l0.ao.w"])
def test_every_kind_of_weight_is_where_it_belongs(
    name: str, arrays: Arrays, geometry: Geometry, tmp_path: Path
) -> None:
    changed = {**arrays, name: arrays[name] + np.random.default_rng(3).normal(0, 0.3, arrays[name].shape)}
    changed[name] = changed[name].astype(np.float32)
    call = ask(arrays, 3, 20)

    (logits,) = start(fp32(changed, geometry), tmp_path).run([call])

    np.testing.assert_allclose(logits, oracle.logits(changed, geometry, call), atol=TOLERANCE)


@pytest.mark.parametrize("shape", SHAPES)
def test_float16_is_near(shape: tuple[int, int], arrays: Arrays, geometry: Geometry) -> None:
    halves = FloatLinears(arrays, np.float16)
    model = build_graph(arrays, geometry, halves, dtype=np.float16, word_dtype=np.float16)
    opened = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    call = ask(arrays, *shape)

    (logits,) = opened.run(None, dict(call))

    expected = oracle.logits(arrays, geometry, call)
    assert logits.dtype == np.float32
    assert np.abs(logits - expected).max() < 0.05 * max(1.0, float(np.abs(expected).max()))


def test_float16_holds_halves_throughout(arrays: Arrays, geometry: Geometry) -> None:
    halves = FloatLinears(arrays, np.float16)
    model = build_graph(arrays, geometry, halves, dtype=np.float16, word_dtype=np.float16)

    kinds = {tensor.data_type for tensor in model.graph.initializer}

    assert kinds == {onnx.TensorProto.FLOAT16, onnx.TensorProto.INT64}


def test_the_graph_is_valid_and_tells_its_geometry(arrays: Arrays, geometry: Geometry) -> None:
    model = fp32(arrays, geometry)
    kept = {tensor.name: tensor for tensor in model.graph.initializer}

    onnx.checker.check_model(model, full_check=True)
    assert [entry.name for entry in model.graph.input] == ["input_ids", "attention_mask", "token_type_ids"]
    assert [entry.name for entry in model.graph.output] == ["logits"]
    assert len(kept) == len(model.graph.initializer)
    assert {entry.key for entry in model.metadata_props} == {"yeban.bert"}
    np.testing.assert_array_equal(numpy_helper.to_array(kept["l0.fi.w"]), arrays["l0.fi.w"].T)
