from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import pytest

from worker.engine.sessions.devices import Devices, Gpu, find_devices, probe

NO_DEVICE = 100


class FakeDriver:
    """As much of libcuda as is called, with devices given as (name, major, minor, bytes)."""

    def __init__(self, *gpus: tuple[str, int, int, int], cuda: int = 13000, init: int = 0) -> None:
        self._gpus = gpus
        self._cuda = cuda
        self._init = init

    def cuInit(self, flags: Any) -> int:  # noqa: N802
        return self._init

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802
        version._obj.value = self._cuda
        return 0

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = len(self._gpus)
        return 0

    def cuDeviceGet(self, device: Any, index: Any) -> int:  # noqa: N802
        device._obj.value = index.value
        return 0

    def cuDeviceGetName(self, name: Any, length: Any, device: Any) -> int:  # noqa: N802
        name.value = self._gpus[device.value][0].encode()
        return 0

    def cuDeviceTotalMem_v2(self, memory: Any, device: Any) -> int:  # noqa: N802
        memory._obj.value = self._gpus[device.value][3]
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: Any, device: Any) -> int:  # noqa: N802
        value._obj.value = self._gpus[device.value][{75: 1, 76: 2}[attribute.value]]
        return 0

    def cuGetErrorString(self, status: Any, text: Any) -> int:  # noqa: N802
        text._obj.value = b"no CUDA-capable device is detected"
        return 0


class FakeManagement:
    def nvmlInit_v2(self) -> int:  # noqa: N802
        return 0

    def nvmlSystemGetDriverVersion(self, version: Any, length: Any) -> int:  # noqa: N802
        version.value = b"580.95.05"
        return 0

    def nvmlShutdown(self) -> int:  # noqa: N802
        return 0


def libraries(driver: FakeDriver | None, management: FakeManagement | None = None) -> Callable[[str], ctypes.CDLL]:
    found: dict[str, Any] = {"libcuda.so.1": driver, "libnvidia-ml.so.1": management}

    def load(name: str) -> ctypes.CDLL:
        if found[name] is None:
            raise OSError(f"{name}: cannot open shared object file")
        library: ctypes.CDLL = found[name]
        return library

    return load


def test_gpus_are_listed_with_their_driver() -> None:
    driver = FakeDriver(("NVIDIA L4", 8, 9, 24 * 2**30), ("NVIDIA H100", 9, 0, 80 * 2**30), cuda=13010)

    devices = probe(libraries(driver, FakeManagement()))

    assert devices.gpus == (
        Gpu(index=0, name="NVIDIA L4", compute_capability=(8, 9), memory_bytes=24 * 2**30),
        Gpu(index=1, name="NVIDIA H100", compute_capability=(9, 0), memory_bytes=80 * 2**30),
    )
    assert (devices.driver, devices.cuda, devices.reason) == ("580.95.05", (13, 1), None)
    assert str(devices.gpus[0]) == "NVIDIA L4, 24 GiB, compute capability 8.9"


def test_without_a_driver_the_missing_library_is_named() -> None:
    assert probe(libraries(None)) == Devices(reason="no NVIDIA driver: libcuda.so.1 not found")


def test_a_driver_that_finds_no_gpu_says_so_in_its_own_words() -> None:
    devices = probe(libraries(FakeDriver(init=NO_DEVICE)))

    assert devices.gpus == ()
    assert devices.reason is not None
    assert "cuInit failed with 100, no CUDA-capable device is detected" in devices.reason


def test_hidden_gpus_are_none() -> None:
    devices = probe(libraries(FakeDriver(), FakeManagement()))

    assert devices.gpus == ()
    assert "CUDA_VISIBLE_DEVICES" in (devices.reason or "")


def test_where_only_cuda_is_to_be_had_its_version_stands_for_the_drivers() -> None:
    devices = probe(libraries(FakeDriver(("NVIDIA L4", 8, 9, 1), cuda=12040)))

    assert (devices.driver, devices.cuda) == ("CUDA 12.4", (12, 4))


def test_a_library_that_is_no_driver_is_no_gpu() -> None:
    devices = probe(libraries(object()))  # type: ignore[arg-type]

    assert devices.gpus == ()
    assert "cuDriverGetVersion" in (devices.reason or "")


@pytest.mark.filterwarnings("error")
def test_this_machine_has_gpus_or_a_reason() -> None:
    devices = find_devices()

    assert bool(devices.gpus) == (devices.reason is None)
    assert find_devices() is devices
