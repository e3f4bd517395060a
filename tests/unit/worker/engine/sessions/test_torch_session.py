from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra yeban[models]")

import torch

from tests.fixtures.agreement import agree, pairs
from tests.fixtures.cross_encoder import INPUTS, MAX_TOKENS, write_graph
from worker.engine.sessions import Inputs, Session, choose, open_session
from worker.engine.sessions.buckets import Recent, Shape
from worker.engine.sessions.torch import TorchSession
from worker.engine.sessions.torch_bert import Bert
from yeban.errors import EngineFailed, EngineUnavailable, ModelUnusable

SHAPES = ((1, 1), (1, 8), (3, 17), (20, 40), (2, MAX_TOKENS))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    write_graph(folder / "fp32.onnx")
    write_graph(folder / "fp16.onnx", np.float16)
    return folder


@pytest.fixture(scope="module")
def reference(folder: Path) -> Session:
    choice = choose(dict.fromkeys(("openvino", "onnxruntime"), ("fp32",)), device="cpu", threads=1)
    return open_session(folder / "fp32.onnx", choice)


@pytest.fixture(scope="module")
def session(folder: Path) -> Session:
    return TorchSession(folder / "fp32.onnx", precision="fp32", device="cpu", threads=1)


@pytest.mark.parametrize("shape", SHAPES)
def test_it_computes_what_the_graph_computes(session: Session, reference: Session, shape: tuple[int, int]) -> None:
    np.testing.assert_allclose(session.run([pairs(*shape)])[0], reference.run([pairs(*shape)])[0], atol=1e-5)


@pytest.mark.parametrize(("precision", "graph"), [("fp16", "fp16"), ("bf16", "fp32")])
def test_half_precisions_stay_near(folder: Path, reference: Session, precision: str, graph: str) -> None:
    """torch computes in them on a CPU too, slowly; the rounding is the same."""
    session = TorchSession(folder / f"{graph}.onnx", precision=precision, device="cpu", threads=1)

    assert max(figure.worst_difference for figure in agree(session, reference, max_tokens=MAX_TOKENS)) > 0


def test_padding_changes_nothing(session: Session) -> None:
    call = pairs(4, 20)
    wider = {name: np.pad(values, ((0, 3), (0, 11))) for name, values in call.items()}
    wider["attention_mask"][4:, 0] = 1

    np.testing.assert_allclose(session.run([wider])[0][:4], session.run([call])[0], atol=1e-5)


class Replayed:
    """Stands in for a recorded CUDA graph: takes inputs of its shape only."""

    def __init__(self, bert: Bert, shape: Shape) -> None:
        self._bert = bert
        self._shape = shape

    def replay(self, inputs: Inputs) -> torch.Tensor:
        assert all(values.shape == self._shape for values in inputs.values())
        return self._bert(*(torch.from_numpy(inputs[name]) for name in INPUTS))


def test_small_calls_go_through_graphs_of_a_few_shapes_and_large_ones_do_not(folder: Path, session: Session) -> None:
    graphed = TorchSession(folder / "fp32.onnx", precision="fp32", device="cpu", threads=1)
    graphed.graphs = cast("Any", Recent(lambda shape: Replayed(graphed._bert, shape), most=8))
    graphed.device = "cuda"
    calls = [pairs(*shape) for shape in ((1, 5), (3, 17), (4, 30), (200, 40), (1, MAX_TOKENS))]

    outputs = graphed.run(calls)

    for got, wanted in zip(outputs, session.run(calls), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5)
    assert len(graphed.graphs) == 3


def test_progress_is_told_after_each_call(session: Session) -> None:
    seen: list[None] = []

    session.run([pairs(1, 8), pairs(2, 9)], progress=lambda: seen.append(None))

    assert len(seen) == 2


def test_no_rows_are_no_work(session: Session) -> None:
    assert session.run([{name: values[:0] for name, values in pairs(1, 8).items()}])[0].shape == (0, 3)


def test_a_call_that_cannot_be_run_is_an_engine_failure(session: Session) -> None:
    with pytest.raises(EngineFailed, match="input_ids"):
        session.run([{"nonsense": np.zeros((1, 6), np.int64)}])
    with pytest.raises(EngineFailed):
        session.run([pairs(1, MAX_TOKENS + 1)])


def test_a_graph_that_says_nothing_of_its_geometry_is_refused(tmp_path: Path) -> None:
    write_graph(tmp_path / "graph.onnx", facts=False)

    with pytest.raises(ModelUnusable, match=r"graph\.onnx: it has no 'yeban\.bert'"):
        TorchSession(tmp_path / "graph.onnx", precision="fp32", device="cpu", threads=1)


def test_a_damaged_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "graph.onnx").write_bytes(b"not a graph")

    with pytest.raises(ModelUnusable, match=r"graph\.onnx"):
        TorchSession(tmp_path / "graph.onnx", precision="fp32", device="cpu", threads=1)


def test_a_gpu_that_does_not_start_is_an_error_and_not_the_cpu(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver() -> None:
        raise RuntimeError("Found no NVIDIA driver on your system")

    monkeypatch.setattr("torch.cuda.init", no_driver)

    with pytest.raises(EngineUnavailable, match="Found no NVIDIA driver"):
        TorchSession(folder / "fp16.onnx", precision="fp16", device="cuda", threads=1)
