from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from worker.engine.manifest import Manifest, Variant
from worker.engine.sessions import trt_engines
from worker.engine.sessions.devices import Devices, Gpu
from worker.engine.sessions.machine import Machine
from worker.engine.sessions.selection import select
from worker.engine.sessions.trt_engines import EngineRecord

GPU = Gpu(index=0, name="NVIDIA L4", compute_capability=(8, 9), memory_bytes=24 * 2**30)
SESSIONS = frozenset({"openvino", "onnxruntime", "tensorrt", "torch"})
WITH_GPU = Machine(
    installed=SESSIONS,
    with_cuda=SESSIONS,
    tensorrt="11.4.0",
    devices=Devices(gpus=(GPU,), driver="580.95.05", cuda=(13, 0)),
)


@pytest.fixture
def built(manifest: Manifest) -> Manifest:
    """The real manifest, with the variants of a model that GPUs run."""
    variants = (
        Variant(precision="int8", sessions=("openvino", "onnxruntime"), graph="int8.onnx"),
        Variant(precision="fp32", sessions=("openvino", "onnxruntime", "torch"), graph="fp32.onnx"),
        Variant(precision="fp16", sessions=("onnxruntime", "tensorrt", "torch"), graph="fp16.onnx"),
    )
    return dataclasses.replace(manifest, variants=variants)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "model"


def test_an_engine_of_this_machine_is_opened_in_place_of_a_graph(folder: Path, built: Manifest) -> None:
    path = trt_engines.path_of(folder, built.fingerprint, WITH_GPU)
    record = EngineRecord(
        sha256="",
        model="",
        fingerprint="",
        precision="",
        gpu="",
        driver="",
        tensorrt="",
        shapes=(),
        build_s=0,
        built="",
    )

    assert select(folder, built, machine=WITH_GPU)[1] == folder / "fp16.onnx"
    trt_engines.write(path, b"plan", record)
    choice, opened = select(folder, built, machine=WITH_GPU)

    assert (choice.session, opened) == ("tensorrt", path)


def test_torch_opens_the_graph_whose_weights_it_takes(folder: Path, built: Manifest) -> None:
    assert select(folder, built, session="torch", precision="bf16", machine=WITH_GPU)[1] == folder / "fp32.onnx"
    assert select(folder, built, session="torch", precision="fp16", machine=WITH_GPU)[1] == folder / "fp16.onnx"


def test_a_model_without_builds_for_gpus_stays_on_the_cpu(folder: Path, manifest: Manifest) -> None:
    only_int8 = dataclasses.replace(
        manifest, variants=(Variant(precision="int8", sessions=("openvino",), graph="int8.onnx"),)
    )

    choice, graph = select(folder, only_int8, machine=WITH_GPU)

    assert (choice.session, choice.device, graph) == ("openvino", "cpu", folder / "int8.onnx")
    assert "the model has no build that tensorrt runs on cuda" in choice.reason


def test_the_choice_is_logged_with_its_reason(folder: Path, built: Manifest, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="worker.engine.sessions.selection"):
        select(folder, built, machine=WITH_GPU)

    (record,) = caplog.records
    facts = vars(record)
    assert (facts["action"], facts["session"], facts["device"]) == ("session_chosen", "onnxruntime", "cuda")
    assert f"run scripts/build_engine {built.name}" in facts["reason"]
