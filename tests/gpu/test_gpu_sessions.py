"""What only a GPU shows: that the sessions compute the right thing there, and really there."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from tests.fixtures.agreement import agree, pairs
from tests.fixtures.cross_encoder import INPUTS, MAX_TOKENS
from worker.engine.manifest import Manifest, Variant
from worker.engine.sessions import Session, trt_engines
from worker.engine.sessions.machine import Machine
from yeban.errors import EngineFailed, ModelUnusable

pytestmark = pytest.mark.gpu

Open = Callable[[str], Session]
OPENED = ("onnxruntime fp16", "onnxruntime fp32", "tensorrt fp16", "torch fp16", "torch bf16", "torch fp32")


class SmallManifest:
    """As much of a manifest as a build reads."""

    name = "small"
    fingerprint = "ab" * 32
    spec = SimpleNamespace(max_tokens=MAX_TOKENS)

    def variant(self, precision: str, session: str) -> Variant:
        return Variant(precision=precision, sessions=(session,), graph=f"{precision}.onnx")


@pytest.fixture(scope="session")
def engine(machine: Machine, model: Path, reference: Session) -> Path:
    if "tensorrt" not in machine.with_cuda:
        pytest.skip("needs TensorRT and cuda-bindings: the extra yeban[gpu]")
    from worker.engine.sessions.trt_build import build_engine

    def verify(session: Session, _folder: Path) -> None:
        agree(session, reference, max_tokens=MAX_TOKENS)

    return build_engine(model, cast("Manifest", SmallManifest()), machine, verify=verify)


@pytest.fixture(scope="session")
def opened(request: pytest.FixtureRequest, machine: Machine, model: Path) -> Open:
    """Opens a session by name and precision, each once."""
    sessions: dict[str, Session] = {}

    def open_one(what: str) -> Session:
        name, precision = what.split()
        if name not in machine.with_cuda:
            pytest.skip(f"needs {name} with CUDA: the extra yeban[{'models' if name == 'torch' else 'gpu'}]")
        if what not in sessions:
            sessions[what] = _open(name, precision)
        return sessions[what]

    def _open(name: str, precision: str) -> Session:
        if name == "tensorrt":
            from worker.engine.sessions.tensorrt import TensorRtSession

            return TensorRtSession(request.getfixturevalue("engine"), threads=1)
        if name == "torch":
            from worker.engine.sessions.torch import TorchSession

            return TorchSession(model / "fp32.onnx", precision=precision, device="cuda", threads=1)
        from worker.engine.sessions.onnxruntime import CudaOnnxRuntimeSession

        return CudaOnnxRuntimeSession(model / f"{precision}.onnx", threads=1)

    return open_one


@pytest.fixture(params=OPENED)
def session(request: pytest.FixtureRequest, opened: Open) -> Session:
    return opened(request.param)


def test_it_agrees_with_float32_on_the_cpu(session: Session, reference: Session) -> None:
    agree(session, reference, max_tokens=MAX_TOKENS)


def test_large_and_small_calls_in_turn_are_right(session: Session, reference: Session) -> None:
    calls = [pairs(*shape) for shape in ((1, 5), (400, 100), (16, 128), (1, 5), (40, 17), (1500, 9), (1, 5))]

    for got, wanted in zip(session.run(calls), reference.run(calls), strict=True):
        np.testing.assert_allclose(got, wanted, atol=0.1)


def test_the_same_call_gives_the_same_answer(session: Session) -> None:
    np.testing.assert_array_equal(session.run([pairs(7, 30)])[0], session.run([pairs(7, 30)])[0])


def test_two_threads_at_once_get_their_own_results(session: Session, reference: Session) -> None:
    work = [[pairs(rows, 20) for rows in range(start, start + 8)] for start in (1, 20)]

    with ThreadPoolExecutor(2) as pool:
        got = list(pool.map(session.run, work))

    for outputs, calls in zip(got, work, strict=True):
        for left, right in zip(outputs, reference.run(calls), strict=True):
            np.testing.assert_allclose(left, right, atol=0.1)


def test_a_call_that_cannot_be_run_is_a_failure_and_the_next_one_runs(session: Session, reference: Session) -> None:
    with pytest.raises(EngineFailed):
        session.run([{"nonsense": np.zeros((1, 6), np.int64)}])

    np.testing.assert_allclose(session.run([pairs(2, 9)])[0], reference.run([pairs(2, 9)])[0], atol=0.1)


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_onnxruntime_runs_its_matrices_on_the_gpu(opened: Open, model: Path, precision: str, tmp_path: Path) -> None:
    """The provider is there and could still leave the work to the CPU, node by node."""
    opened(f"onnxruntime {precision}")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "profile")
    session = onnxruntime.InferenceSession(
        str(model / f"{precision}.onnx"),
        options,
        providers=["CUDAExecutionProvider"],
        enable_fallback=0,
    )
    session.run(None, dict(pairs(4, 20)))

    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    placed = {
        event["args"]["provider"]
        for event in events
        if event.get("args", {}).get("op_name", "") in {"MatMul", "FusedMatMul", "Gemm", "LayerNormalization"}
    }
    assert placed == {"CUDAExecutionProvider"}


def test_torch_replays_the_graph_of_a_shape_instead_of_recording_another(opened: Open) -> None:
    session = cast("Any", opened("torch fp16"))
    session.run([pairs(3, 20)])
    recorded = session.graphs.get((4, 32))
    before = len(session.graphs)

    session.run([pairs(4, 31), pairs(3, 20)])

    assert session.graphs.get((4, 32)) is recorded
    assert len(session.graphs) == before


def test_torch_keeps_a_bounded_number_of_graphs(opened: Open, reference: Session) -> None:
    session = cast("Any", opened("torch fp16"))
    calls = [pairs(rows, tokens) for rows in (1, 2, 4, 8, 16, 32) for tokens in range(10, MAX_TOKENS, 16)]

    outputs = session.run(calls)

    assert len(session.graphs) <= 32
    for got, wanted in zip(outputs, reference.run(calls), strict=True):
        np.testing.assert_allclose(got, wanted, atol=0.1)


def test_an_engine_is_found_again_and_refused_when_tampered_with(
    machine: Machine, model: Path, engine: Path, tmp_path: Path
) -> None:
    from worker.engine.sessions.tensorrt import TensorRtSession

    assert trt_engines.find(model, SmallManifest.fingerprint, machine) == engine
    assert trt_engines.timing_cache_of(model, machine).stat().st_size > 0
    copy = tmp_path / engine.name
    copy.write_bytes(engine.read_bytes()[:-1] + b"!")
    copy.with_suffix(".json").write_bytes(engine.with_suffix(".json").read_bytes())

    with pytest.raises(ModelUnusable, match="recorded contents"):
        TensorRtSession(copy, threads=1)


def test_no_rows_are_no_work(opened: Open) -> None:
    empty = {name: np.zeros((0, 9), np.int64) for name in INPUTS}

    assert opened("tensorrt fp16").run([empty])[0].shape == (0, 3)
