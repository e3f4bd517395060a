from __future__ import annotations

import sys
from pathlib import Path

import pytest

from worker.engine.sessions import machine
from worker.engine.sessions.machine import this_machine


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place that packages come from."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    for name in [name for name in sys.modules if name.partition(".")[0] in {"onnxruntime", "openvino", "torch"}]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def install(packages: Path, *files: str) -> None:
    for file in files:
        (packages / file).parent.mkdir(parents=True, exist_ok=True)
        (packages / file).touch()


@pytest.mark.parametrize(
    ("quota", "threads"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 6), ("6400000 100000", 6)]
)
def test_threads_stay_within_the_quota_of_a_container(
    quota: str, threads: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(machine, "_CGROUP_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(6)))

    assert this_machine(gpus=False).threads == threads


def test_a_package_without_its_cuda_half_is_told_from_one_with_it(packages: Path) -> None:
    install(packages, "onnxruntime/__init__.py", "torch/__init__.py", "torch/lib/libtorch_cuda.so")

    here = this_machine(gpus=False)

    assert here.installed == {"onnxruntime", "torch"}
    assert here.with_cuda == {"torch"}
    install(packages, "onnxruntime/capi/libonnxruntime_providers_cuda.so")
    assert this_machine(gpus=False).with_cuda == {"onnxruntime", "torch"}


def test_tensorrt_needs_the_bindings_of_cuda_beside_it(packages: Path) -> None:
    install(packages, "tensorrt/__init__.py")
    (packages / "tensorrt_cu13-11.4.0.dist-info").mkdir()
    (packages / "tensorrt_cu13-11.4.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tensorrt-cu13\nVersion: 11.4.0\n"
    )

    here = this_machine(gpus=False)

    assert (here.installed, here.with_cuda, here.tensorrt) == ({"tensorrt"}, frozenset(), "11.4.0")
    install(packages, "cuda/bindings/__init__.py", "cuda/bindings/runtime.py")
    assert this_machine(gpus=False).with_cuda == {"tensorrt"}


def test_gpus_are_left_alone_when_they_are_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError("CUDA was asked")

    monkeypatch.setattr(machine, "find_devices", refuse)

    assert this_machine(gpus=False).gpu is None


def test_looking_around_loads_no_library() -> None:
    import subprocess

    program = (
        "import sys; from worker.engine.sessions.machine import this_machine; this_machine();"
        "print([name for name in ('openvino', 'onnxruntime', 'tensorrt', 'torch', 'cuda') if name in sys.modules])"
    )

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout.strip() in ("[]", "['cuda']")  # a parent package is loaded to look into it
