from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from worker.engine.sessions import trt_engines
from worker.engine.sessions.devices import Devices, Gpu
from worker.engine.sessions.machine import Machine
from worker.engine.sessions.trt_engines import EngineRecord
from yeban.errors import EngineUnavailable, ModelUnusable

PLAN = b"the engine's bytes"
FINGERPRINT = "0123456789abcdef" * 4


def machine(name: str = "NVIDIA L4", driver: str = "580.95.05", tensorrt: str | None = "11.4.0.106") -> Machine:
    gpu = Gpu(index=0, name=name, compute_capability=(8, 9), memory_bytes=24 * 2**30)
    return Machine(
        installed=frozenset({"tensorrt"}), tensorrt=tensorrt, devices=Devices(gpus=(gpu,), driver=driver, cuda=(13, 0))
    )


def record(plan: bytes = PLAN) -> EngineRecord:
    return EngineRecord(
        sha256=hashlib.sha256(plan).hexdigest(),
        model="structbert-base",
        fingerprint=FINGERPRINT,
        precision="fp16",
        gpu="NVIDIA L4",
        driver="580.95.05",
        tensorrt="11.4.0.106",
        shapes=("16 x 64",),
        build_s=1.5,
        built="2026-01-01T00:00:00+00:00",
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tmp_path / "structbert-base"


@pytest.fixture
def engine(model: Path) -> Path:
    path = trt_engines.path_of(model, FINGERPRINT, machine())
    trt_engines.write(path, PLAN, record())
    return path


def test_an_engine_is_found_beside_its_model(model: Path, engine: Path) -> None:
    assert trt_engines.find(model, FINGERPRINT, machine()) == engine
    assert trt_engines.read(engine) == PLAN
    assert engine.relative_to(model.parent).parts == (
        ".engines",
        FINGERPRINT[:12],
        "NVIDIA_L4-8.9-driver580.95.05-trt11.4.0.106",
        "fp16.plan",
    )
    assert json.loads(engine.with_suffix(".json").read_text())["model"] == "structbert-base"


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    "other",
    [
        machine(name="NVIDIA H100"),
        machine(driver="590.1"),
        machine(tensorrt="11.5.0"),
        machine(tensorrt=None),
        Machine(installed=frozenset(), devices=Devices(reason="none")),
    ],
)
def test_no_other_machine_finds_it(model: Path, other: Machine) -> None:
    assert trt_engines.find(model, FINGERPRINT, other) is None


@pytest.mark.usefixtures("engine")
def test_a_model_that_was_built_anew_has_no_engine(model: Path) -> None:
    assert trt_engines.find(model, "f" * 64, machine()) is None


def test_tampered_bytes_are_refused(engine: Path) -> None:
    engine.write_bytes(PLAN + b"!")

    with pytest.raises(ModelUnusable, match=r"recorded contents.*Build it again"):
        trt_engines.read(engine)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sha256": 1}'])
def test_a_record_that_says_nothing_is_refused(engine: Path, content: str) -> None:
    engine.with_suffix(".json").write_text(content)

    with pytest.raises(ModelUnusable, match="Build it again"):
        trt_engines.read(engine)


def test_an_engine_without_its_record_is_none(model: Path, engine: Path) -> None:
    engine.with_suffix(".json").unlink()

    assert trt_engines.find(model, FINGERPRINT, machine()) is None
    with pytest.raises(ModelUnusable, match="cannot be read"):
        trt_engines.read(engine)


def test_building_again_replaces_it_and_leaves_nothing_behind(model: Path, engine: Path) -> None:
    trt_engines.write(engine, b"another", record(b"another"))

    assert trt_engines.read(engine) == b"another"
    assert sorted(path.name for path in engine.parent.iterdir()) == [".lock", "fp16.json", "fp16.plan"]
    trt_engines.remove(engine)
    assert trt_engines.find(model, FINGERPRINT, machine()) is None


def test_the_names_of_gpus_cannot_leave_the_folder(model: Path) -> None:
    path = trt_engines.path_of(model, FINGERPRINT, machine(name="../../etc", driver="/"))

    assert path.is_relative_to(model.parent / ".engines")
    assert ".." not in path.parts


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (Machine(installed=frozenset(), devices=Devices(reason="no NVIDIA driver")), "no NVIDIA driver"),
        (machine(tensorrt=None), r"yeban\[gpu\]"),
    ],
)
def test_without_a_gpu_or_tensorrt_there_is_no_place_for_one(model: Path, where: Machine, message: str) -> None:
    with pytest.raises(EngineUnavailable, match=message):
        trt_engines.path_of(model, FINGERPRINT, where)
