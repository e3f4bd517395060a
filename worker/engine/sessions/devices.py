"""NVIDIA GPUs, read from the driver, so that no ML library is loaded."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from dataclasses import dataclass

_DRIVER = "libcuda.so.1"
_MANAGEMENT = "libnvidia-ml.so.1"
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of cuda.h
_NAME_BYTES = 256
_NVML_VERSION_BYTES = 80

Loader = Callable[[str], ctypes.CDLL]


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One device, as CUDA numbers them; ``CUDA_VISIBLE_DEVICES`` selects the visible ones."""

    index: int
    name: str
    compute_capability: tuple[int, int]
    memory_bytes: int

    def __str__(self) -> str:
        major, minor = self.compute_capability
        return f"{self.name}, {self.memory_bytes / 2**30:.0f} GiB, compute capability {major}.{minor}"


@dataclass(frozen=True, kw_only=True)
class Devices:
    """The GPUs and their driver. Without one, ``gpus`` is empty and ``reason`` says why.

    ``driver`` is the driver's own version, such as 580.95.05, and ``cuda`` the newest CUDA that it can run.
    """

    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    cuda: tuple[int, int] | None = None
    reason: str | None = None


class _CudaError(Exception):
    pass


@functools.cache
def find_devices() -> Devices:
    """Return the GPUs that this process can use; cached.

    This initialises CUDA, after which a forked child cannot use a GPU: it must be started with exec, as all
    programs of Yeban are.
    """
    return probe(ctypes.CDLL)


def probe(load: Loader) -> Devices:
    """As :func:`find_devices`, with the libraries that ``load`` opens; never raises."""
    try:
        cuda = load(_DRIVER)
    except OSError:
        return Devices(reason=f"no NVIDIA driver: {_DRIVER} not found")
    try:
        version = _cuda_version(cuda)
        driver = _driver_version(load) or f"CUDA {version[0]}.{version[1]}"
        _call(cuda, "cuInit", ctypes.c_uint(0))
        count = ctypes.c_int()
        _call(cuda, "cuDeviceGetCount", ctypes.byref(count))
        gpus = tuple(_gpu(cuda, index) for index in range(count.value))
    except (_CudaError, AttributeError) as error:
        return Devices(reason=f"the NVIDIA driver offers no GPU: {error}")
    reason = None if gpus else "the NVIDIA driver offers no GPU: is CUDA_VISIBLE_DEVICES empty?"
    return Devices(gpus=gpus, driver=driver, cuda=version, reason=reason)


def _gpu(cuda: ctypes.CDLL, index: int) -> Gpu:
    device = ctypes.c_int()
    _call(cuda, "cuDeviceGet", ctypes.byref(device), ctypes.c_int(index))
    name = ctypes.create_string_buffer(_NAME_BYTES)
    _call(cuda, "cuDeviceGetName", name, ctypes.c_int(_NAME_BYTES), device)
    memory = ctypes.c_size_t()
    _call(cuda, "cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    return Gpu(
        index=index,
        name=name.value.decode("utf-8", "replace"),
        compute_capability=(_attribute(cuda, _MAJOR, device), _attribute(cuda, _MINOR, device)),
        memory_bytes=memory.value,
    )


def _attribute(cuda: ctypes.CDLL, attribute: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    _call(cuda, "cuDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(attribute), device)
    return value.value


def _cuda_version(cuda: ctypes.CDLL) -> tuple[int, int]:
    version = ctypes.c_int()
    _call(cuda, "cuDriverGetVersion", ctypes.byref(version))
    return version.value // 1000, version.value % 1000 // 10


def _driver_version(load: Loader) -> str | None:
    """Return the driver's version from NVML, which CUDA does not report; None without NVML."""
    try:
        management = load(_MANAGEMENT)
        version = ctypes.create_string_buffer(_NVML_VERSION_BYTES)
        if management.nvmlInit_v2() != 0:
            return None
        try:
            length = ctypes.c_uint(_NVML_VERSION_BYTES)
            if management.nvmlSystemGetDriverVersion(version, length) != 0:
                return None
        finally:
            management.nvmlShutdown()
    except (OSError, AttributeError):
        return None
    return version.value.decode("ascii", "replace")


def _call(cuda: ctypes.CDLL, function: str, *arguments: object) -> None:
    """Call ``function``; if it fails, raise with the driver's description of the error."""
    status = getattr(cuda, function)(*arguments)
    if status == 0:
        return
    text = ctypes.c_char_p()
    cuda.cuGetErrorString(ctypes.c_int(status), ctypes.byref(text))
    said = text.value.decode("utf-8", "replace") if text.value else "unknown error"
    raise _CudaError(f"{function} failed with {status}, {said}")
