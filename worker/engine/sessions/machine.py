"""Packages, GPUs and cores of this machine that can run a graph."""

from __future__ import annotations

import importlib.util
import math
import os
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from worker.engine.sessions.devices import Devices, Gpu, find_devices

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")

# A CPU-only build has the same package name, so its files decide.
_CUDA_HALVES = {"onnxruntime": "capi/libonnxruntime_providers_cuda.so", "torch": "lib/libtorch_cuda.so"}

_TENSORRT_PACKAGES = ("tensorrt-cu13", "tensorrt-cu12", "tensorrt")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Facts that the choice of a session depends on.

    ``installed`` names the sessions with an installed package, ``with_cuda`` those of them that can use a GPU;
    ``tensorrt`` is the version of TensorRT.
    """

    installed: frozenset[str]
    with_cuda: frozenset[str] = frozenset()
    tensorrt: str | None = None
    devices: Devices = field(default_factory=Devices)
    threads: int = 1

    @property
    def gpu(self) -> Gpu | None:
        """The GPU that sessions use: the first. ``CUDA_VISIBLE_DEVICES`` makes another one the first."""
        return self.devices.gpus[0] if self.devices.gpus else None


def this_machine(*, gpus: bool = True) -> Machine:
    """Inspect this machine without loading an ML library; ``gpus=False`` does not touch the NVIDIA driver."""
    installed = {name for name in ("openvino", "onnxruntime", "tensorrt", "torch") if _is_there(name)}
    with_cuda = {name for name, half in _CUDA_HALVES.items() if name in installed and _has_file(name, half)}
    if "tensorrt" in installed and _is_there("cuda.bindings.runtime"):
        with_cuda.add("tensorrt")
    return Machine(
        installed=frozenset(installed),
        with_cuda=frozenset(with_cuda),
        tensorrt=_tensorrt_version() if "tensorrt" in installed else None,
        devices=find_devices() if gpus else Devices(reason="GPUs were not looked for"),
        threads=default_threads(),
    )


def default_threads() -> int:
    """Number of threads: the cores of this process, within the CPU quota of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CGROUP_QUOTA.read_text(encoding="ascii").split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no cgroup, or the quota is "max"
        return cores


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its parent is missing
        return False


def _has_file(package: str, path: str) -> bool:
    spec = importlib.util.find_spec(package)
    return spec is not None and any((Path(folder) / path).is_file() for folder in spec.submodule_search_locations or ())


def _tensorrt_version() -> str:
    for package in _TENSORRT_PACKAGES:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return "unknown"  # installed by other means than pip
