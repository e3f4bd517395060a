"""The code around TensorRT, over stand-ins that compute on the CPU; on a GPU, see tests/gpu."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from yeban.errors import msg

pytest.importorskip("onnxruntime")

from tests.fixtures.agreement import agree, pairs
from tests.fixtures.cross_encoder import INPUTS, MAX_TOKENS, write_graph
from tests.fixtures.fake_tensorrt import FakeCuda, fake_tensorrt
from worker.engine.manifest import Manifest, Variant
from worker.engine.sessions import Session, trt_engines
from worker.engine.sessions.devices import Devices, Gpu
from worker.engine.sessions.machine import Machine
from worker.engine.sessions.onnxruntime import OnnxRuntimeSession
from yeban.errors import EngineFailed, EngineUnavailable, ModelUnusable

GPU = Gpu(index=0, name="NVIDIA L4", compute_capability=(8, 9), memory_bytes=24 * 2**30)
MACHINE = Machine(
    installed=frozenset({"tensorrt"}),
    with_cuda=frozenset({"tensorrt"}),
    tensorrt="0.fake",
    devices=Devices(gpus=(GPU,), driver="580.95.05", cuda=(13, 0)),
)


@pytest.fixture
def cuda() -> Iterator[FakeCuda]:
    with fake_tensorrt() as found:
        yield found


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    write_graph(folder / "fp16.onnx", np.float16)
    write_graph(folder / "fp32.onnx")
    return folder


class SmallManifest:
    """As much of a manifest as a build reads."""

    name = "small"
    fingerprint = "ab" * 32
    spec = SimpleNamespace(max_tokens=MAX_TOKENS)

    def variant(self, precision: str, session: str) -> Variant:
        return Variant(precision=precision, sessions=(session,), graph=f"{precision}.onnx")


@pytest.fixture
def manifest() -> Manifest:
    return cast("Manifest", SmallManifest())


def build(model: Path, manifest: Manifest, **options: Any) -> Path:
    from worker.engine.sessions.trt_build import build_engine

    def verify(session: Session, folder: Path) -> None:
        agree(session, OnnxRuntimeSession(folder / "fp32.onnx", threads=1), max_tokens=MAX_TOKENS)

    return build_engine(model, manifest, MACHINE, **{"verify": verify, **options})


@pytest.fixture
def engine(cuda: FakeCuda, model: Path, manifest: Manifest) -> Path:
    return build(model, manifest)


@pytest.fixture
def session(engine: Path) -> Session:
    from worker.engine.sessions.tensorrt import TensorRtSession

    return TensorRtSession(engine, threads=1)


@pytest.fixture
def reference(model: Path) -> Session:
    return OnnxRuntimeSession(model / "fp16.onnx", threads=1)


def ran(session: Any) -> list[tuple[int, tuple[int, ...]]]:
    """Profiles and shapes, in the order in which the engine got them."""
    return list(session._engine.ran)


def test_it_returns_what_the_graph_returns_for_calls_of_all_shapes(session: Session, reference: Session) -> None:
    calls = [pairs(*shape) for shape in ((1, 5), (300, 100), (16, 128), (1, 5), (40, 17), (2000, 9))]

    for got, wanted in zip(session.run(calls), reference.run(calls), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-3)


def test_calls_wider_than_a_profile_are_cut(session: Session) -> None:
    session.run([pairs(300, 100)])

    assert [shape for _, shape in ran(session)] == [(100, 100)] * 3


def test_a_profile_is_chosen_by_the_shape(session: Session) -> None:
    session.run([pairs(1, 30), pairs(100, 30), pairs(1, 31)])

    profiles = [profile for profile, _ in ran(session)]
    assert profiles[0] == profiles[2] != profiles[1]


def test_progress_is_told_after_each_call(session: Session) -> None:
    seen: list[int] = []

    session.run([pairs(2, 9), pairs(300, 100)], progress=lambda: seen.append(len(ran(session))))

    assert seen == [1, 4]


def test_no_rows_are_no_work(session: Session) -> None:
    (output,) = session.run([{name: np.zeros((0, 9), np.int64) for name in INPUTS}])

    assert output.shape == (0, 3)
    assert ran(session) == []


def test_two_threads_at_once_get_their_own_results(session: Session, reference: Session) -> None:
    work = [[pairs(rows, 20) for rows in range(start, start + 8)] for start in (1, 20)]

    with ThreadPoolExecutor(2) as pool:
        got = list(pool.map(session.run, work))

    for outputs, calls in zip(got, work, strict=True):
        for left, right in zip(outputs, reference.run(calls), strict=True):
            np.testing.assert_allclose(left, right, atol=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (pairs(1, MAX_TOKENS + 1), f"1 to {MAX_TOKENS} tokens, but got {MAX_TOKENS + 1}"),
        ({"nonsense": np.zeros((1, 6), np.int64)}, "expects input_ids, attention_mask, token_type_ids"),
    ],
)
def test_calls_that_the_engine_is_not_for_are_failures(session: Session, call: Any, message: str) -> None:
    with pytest.raises(EngineFailed, match=message):
        session.run([call])


def test_after_a_failure_the_next_call_is_right(session: Session, reference: Session) -> None:
    with pytest.raises(EngineFailed):
        session.run([pairs(1, MAX_TOKENS + 1)])

    np.testing.assert_allclose(session.run([pairs(2, 9)])[0], reference.run([pairs(2, 9)])[0], atol=1e-3)


def test_memory_of_the_gpu_goes_back_with_the_session(engine: Path, cuda: FakeCuda) -> None:
    from worker.engine.sessions.tensorrt import TensorRtSession

    before = len(cuda.memory)
    session = TensorRtSession(engine, threads=1)
    assert len(cuda.memory) == before + 4
    del session

    assert len(cuda.memory) == before


def test_a_gpu_without_memory_is_said_to_be_one(engine: Path, cuda: FakeCuda) -> None:
    from worker.engine.sessions.tensorrt import TensorRtSession

    cuda.full = True

    with pytest.raises(
        EngineUnavailable, match="not have enough memory for the engine: cudaErrorMemoryAllocation, out of memory"
    ):
        TensorRtSession(engine, threads=1)


def test_an_engine_that_was_tampered_with_is_never_loaded(engine: Path) -> None:
    from worker.engine.sessions.tensorrt import TensorRtSession

    engine.write_bytes(engine.read_bytes() + b" ")

    with pytest.raises(ModelUnusable, match="recorded contents"):
        TensorRtSession(engine, threads=1)


def test_an_engine_that_tensorrt_refuses_is_named_with_its_reason(engine: Path) -> None:
    from worker.engine.sessions.tensorrt import TensorRtSession

    bad = b"not an engine"
    engine.write_bytes(bad)
    record = json.loads(engine.with_suffix(".json").read_text())
    engine.with_suffix(".json").write_text(json.dumps({**record, "sha256": hashlib.sha256(bad).hexdigest()}))

    with pytest.raises(ModelUnusable, match="made by another version"):
        TensorRtSession(engine, threads=1)


def test_the_record_says_how_the_engine_was_built(engine: Path) -> None:
    record = json.loads(engine.with_suffix(".json").read_text())

    assert record["model"] == "small"
    assert record["gpu"].startswith("NVIDIA L4")
    assert "128 x 128" in record["shapes"]


def test_a_batch_can_be_bounded(cuda: FakeCuda, model: Path, manifest: Manifest) -> None:
    from worker.engine.sessions.tensorrt import TensorRtSession

    session = TensorRtSession(build(model, manifest, max_batch=4), threads=1)
    session.run([pairs(9, 20)])

    assert [shape for _, shape in ran(session)] == [(3, 20)] * 3


def test_timings_are_kept_and_used_again(cuda: FakeCuda, model: Path, manifest: Manifest) -> None:
    kept = trt_engines.timing_cache_of(model, MACHINE)

    build(model, manifest)
    assert kept.read_bytes() == b"timed;"
    build(model, manifest)
    assert kept.read_bytes() == b"timed;timed;"


@pytest.mark.usefixtures("cuda")
def test_timings_of_another_gpu_are_left(model: Path, manifest: Manifest) -> None:
    kept = trt_engines.timing_cache_of(model, MACHINE)
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"another GPU")

    build(model, manifest)

    assert kept.read_bytes() == b"timed;"


@pytest.mark.usefixtures("cuda")
def test_what_fails_the_check_is_not_kept(model: Path, manifest: Manifest) -> None:
    def refuse(session: Session, folder: Path) -> None:
        raise ModelUnusable(msg("too far off"))

    with pytest.raises(ModelUnusable, match="too far off"):
        build(model, manifest, verify=refuse)

    assert trt_engines.find(model, manifest.fingerprint, MACHINE) is None
    assert not list(model.parent.rglob("*.plan"))


@pytest.mark.usefixtures("cuda")
def test_a_graph_that_tensorrt_cannot_read_is_named(model: Path, manifest: Manifest) -> None:
    (model / "fp16.onnx").write_bytes(b"not a graph")

    with pytest.raises(ModelUnusable, match=r"cannot read fp16\.onnx: no such operator"):
        build(model, manifest)
