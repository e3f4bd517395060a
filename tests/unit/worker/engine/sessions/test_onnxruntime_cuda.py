"""The session for CUDA, bound to the CPU's provider where no GPU is needed; on a GPU, see tests/gpu."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from tests.fixtures.agreement import pairs
from tests.fixtures.cross_encoder import write_graph
from worker.engine.sessions.devices import find_devices
from worker.engine.sessions.onnxruntime import CudaOnnxRuntimeSession, OnnxRuntimeSession
from yeban.errors import EngineFailed, EngineUnavailable, ModelUnusable


class BoundToTheCpu(CudaOnnxRuntimeSession):
    device = "cpu"
    _provider = "CPUExecutionProvider"
    _provider_options = {}  # noqa: RUF012


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_graph(tmp_path_factory.mktemp("model") / "fp32.onnx")


def test_bound_buffers_carry_calls_of_any_shape_one_after_another(graph: Path) -> None:
    calls = [pairs(*shape) for shape in ((3, 9), (50, 60), (3, 9), (1, 1), (100, 128), (2, 128))]

    bound = BoundToTheCpu(graph, threads=1).run(calls)

    for got, wanted in zip(bound, OnnxRuntimeSession(graph, threads=1).run(calls), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_outputs_do_not_share_memory(graph: Path) -> None:
    session = BoundToTheCpu(graph, threads=1)
    (first,) = session.run([pairs(2, 9)])
    kept = first.copy()

    session.run([pairs(2, 30)])

    np.testing.assert_array_equal(first, kept)


def test_a_call_that_cannot_be_bound_is_an_engine_failure(graph: Path) -> None:
    with pytest.raises(EngineFailed, match="nonsense"):
        BoundToTheCpu(graph, threads=1).run([{"nonsense": np.zeros((1, 6), np.int64)}])


@pytest.mark.skipif(bool(find_devices().gpus), reason="there is a GPU, so CUDA may well start")
@pytest.mark.filterwarnings("ignore:Specified provider")  # ONNX Runtime's words when its package is that for CPUs
def test_where_cuda_does_not_start_nothing_runs_on_the_cpu_instead(graph: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"cannot start CUDA: .*yeban\[gpu\].*580"):
        CudaOnnxRuntimeSession(graph, threads=1)


def test_a_driver_that_does_not_do_is_told_from_a_bad_graph(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The words are those of ONNX Runtime 1.31 over a driver that is too old."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(
            'provider_options_utils.h:187 Parse Failed to parse provider option "device_id": CUDA failure 35: CUDA '
            "driver version is insufficient for CUDA runtime version ; GPU=-1 ; hostname=host ; line=70"
        )

    monkeypatch.setattr("onnxruntime.InferenceSession", fail)

    with pytest.raises(EngineUnavailable, match=r"CUDA failure 35: CUDA driver version is insufficient .*version\. "):
        CudaOnnxRuntimeSession(graph, threads=1)


def test_a_damaged_graph_is_a_model_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "graph.onnx").write_bytes(b"not a graph")

    with pytest.raises(ModelUnusable, match=r"graph\.onnx"):
        BoundToTheCpu(tmp_path / "graph.onnx", threads=1)
