"""Calls of the CUDA runtime for memory and a stream.

They come from NVIDIA's ``cuda-bindings`` (8 MB), which never picks up a wrong library, so that sessions without
torch need no torch.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from cuda.bindings import runtime
from numpy.typing import NDArray


class CudaFailed(Exception):
    """A call of the runtime failed."""


def checked(result: tuple[Any, ...]) -> Any:
    """The value of a call of the runtime; raises :class:`CudaFailed` unless it succeeded."""
    status, *values = result
    if status != runtime.cudaError_t.cudaSuccess:
        _, text = runtime.cudaGetErrorString(status)
        said = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        raise CudaFailed(f"{status.name}, {said}")
    return values[0] if values else None


class Stream:
    """A stream that does not wait for the default one."""

    def __init__(self) -> None:
        self._stream = checked(runtime.cudaStreamCreateWithFlags(runtime.cudaStreamNonBlocking))
        weakref.finalize(self, runtime.cudaStreamDestroy, self._stream).atexit = False

    @property
    def handle(self) -> int:
        """The handle that other libraries take."""
        return int(self._stream)

    def upload(self, memory: Memory, values: NDArray[Any]) -> None:
        """Queue a copy of a contiguous array to the device; it must live until :meth:`wait` returns."""
        kind = runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        checked(runtime.cudaMemcpyAsync(memory.address, values.ctypes.data, values.nbytes, kind, self._stream))

    def download(self, memory: Memory, values: NDArray[Any]) -> None:
        """Queue a copy from the device into a contiguous array, which is filled when :meth:`wait` returns."""
        kind = runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        checked(runtime.cudaMemcpyAsync(values.ctypes.data, memory.address, values.nbytes, kind, self._stream))

    def wait(self) -> None:
        """Wait for all queued work; raises :class:`CudaFailed` if any of it failed."""
        checked(runtime.cudaStreamSynchronize(self._stream))


class Memory:
    """Bytes on the first GPU, freed with this object."""

    def __init__(self, size_bytes: int) -> None:
        self.address = int(checked(runtime.cudaMalloc(max(1, size_bytes))))
        weakref.finalize(self, runtime.cudaFree, self.address).atexit = False


def new_buffer(shape: tuple[int, ...], dtype: type[np.generic]) -> Memory:
    """Memory for an array."""
    return Memory(int(np.prod(shape)) * np.dtype(dtype).itemsize)
