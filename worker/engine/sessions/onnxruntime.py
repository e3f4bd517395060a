"""ONNX Runtime: on NVIDIA GPUs, and on a CPU without OpenVINO."""

from __future__ import annotations

import contextlib
import ctypes
import io
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from worker.engine.sessions.base import GPU_BLOCK_TOKENS, Inputs, Progress, Session, cpu_block_tokens, nothing
from yeban.errors import EngineFailed, EngineUnavailable, ModelUnusable, msg

_ERRORS_ONLY = 3
_LEAST_BUFFER = 1024

_CUDA_FAILURE = re.compile(r"(CUDA|CUDNN|CUBLAS) failure \d+: [^;]+")
"""What ONNX Runtime says inside a longer message when a call of these libraries fails."""

onnxruntime.disable_telemetry_events()


class OnnxRuntimeSession(Session):
    """An inference session on the CPU; ONNX Runtime itself allows concurrent runs."""

    name = "onnxruntime"
    device = "cpu"

    def __init__(self, path: Path, *, threads: int) -> None:
        self.threads = threads
        self.block_tokens = cpu_block_tokens(threads)
        options = _options()
        options.intra_op_num_threads = threads
        self._session = _load(path, options, ["CPUExecutionProvider"])

    def run(self, calls: Sequence[Inputs], *, progress: Progress = nothing) -> list[NDArray[np.float32]]:
        outputs = []
        for inputs in calls:
            try:
                outputs.append(np.asarray(self._session.run(None, dict(inputs))[0], np.float32))
            except Exception as error:
                raise EngineFailed(msg("ONNX Runtime failed: %(error)s", error=error)) from error
            progress()
        return outputs


class CudaOnnxRuntimeSession(Session):
    """An inference session on the first GPU; concurrent runs take turns call by call.

    Inputs go through device buffers that are reused between calls; outputs stay in ONNX Runtime's arena on the
    device until they are read. Raises :class:`~yeban.errors.EngineUnavailable` where ONNX Runtime would silently
    use the CPU.
    """

    name = "onnxruntime"
    device = "cuda"
    block_tokens = GPU_BLOCK_TOKENS

    _provider = "CUDAExecutionProvider"
    # TF32 would round float32 to 10 bits of mantissa.
    _provider_options: dict[str, str] = {"device_id": "0", "use_tf32": "0"}  # noqa: RUF012 - never changed

    def __init__(self, path: Path, *, threads: int) -> None:
        self.threads = threads
        _preload_libraries()
        self._session = _load(path, _options(), [(self._provider, self._provider_options)])
        if self._session.get_providers()[0] != self._provider:
            raise _cannot_start_cuda(_why_not_cuda())
        self._output = self._session.get_outputs()[0].name
        self._buffers = {each.name: _DeviceBuffer(self.device) for each in self._session.get_inputs()}
        self._turn = threading.Lock()

    def run(self, calls: Sequence[Inputs], *, progress: Progress = nothing) -> list[NDArray[np.float32]]:
        outputs = []
        for inputs in calls:
            try:
                with self._turn:
                    outputs.append(self._infer(inputs))
            except Exception as error:
                raise EngineFailed(
                    msg("ONNX Runtime on %(device)s failed: %(error)s", device=self.device, error=error)
                ) from error
            progress()
        return outputs

    def _infer(self, inputs: Inputs) -> NDArray[np.float32]:
        # One binding per call: a previous output would serve as a buffer of the wrong shape.
        binding = self._session.io_binding()
        for name, values in inputs.items():
            address = self._buffers[name].put(values)
            binding.bind_input(name, self.device, 0, np.int64, list(values.shape), address)
        binding.bind_output(self._output, self.device, 0)
        binding.synchronize_inputs()
        self._session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return np.array(binding.copy_outputs_to_cpu()[0], np.float32)


class _DeviceBuffer:
    """Device memory for one input; grows with the largest shape and is reused."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._host = np.zeros(0, np.int64)
        self._value: Any = None

    def put(self, values: NDArray[Any]) -> int:
        """Copy ``values`` over and return their address on the device."""
        if values.size > self._host.size:
            capacity = max(_LEAST_BUFFER, 1 << (values.size - 1).bit_length())
            self._host = np.zeros(capacity, np.int64)
            self._value = onnxruntime.OrtValue.ortvalue_from_shape_and_type([capacity], np.int64, self._device, 0)
        self._host[: values.size] = values.ravel()
        # The API copies whole buffers only. The largest has some hundred KB, copied within microseconds.
        self._value.update_inplace(self._host)
        return int(self._value.data_ptr())


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    return options


def _load(path: Path, options: Any, providers: Sequence[Any]) -> Any:
    try:
        # No fallback: ONNX Runtime would silently continue on the CPU if the GPU fails.
        return onnxruntime.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except Exception as error:
        if failure := _CUDA_FAILURE.search(str(error)):
            raise _cannot_start_cuda(failure.group().strip()) from error
        raise ModelUnusable(msg("ONNX Runtime cannot load %(path)s: %(error)s", path=path.name, error=error)) from error


def _preload_libraries() -> None:
    """Load CUDA and cuDNN from the packages of the extra ``gpu`` if the linker does not find them."""
    preload = getattr(onnxruntime, "preload_dlls", None)
    if preload is not None:
        # It prints missing libraries to standard output, which belongs to the program.
        with contextlib.redirect_stdout(io.StringIO()):
            preload()


def _cannot_start_cuda(reason: str) -> EngineUnavailable:
    return EngineUnavailable(
        msg(
            "ONNX Runtime cannot start CUDA: %(reason)s. Install the extra yeban[gpu] in an "
            "environment without the package onnxruntime, and an NVIDIA driver for CUDA 13 (580 or "
            "newer).",
            reason=reason,
        ),
        session="onnxruntime",
        device="cuda",
    )


def _why_not_cuda() -> str:
    folder = Path(onnxruntime.__file__).parent / "capi"
    try:
        ctypes.CDLL(str(folder / "libonnxruntime_providers_shared.so"), ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(folder / "libonnxruntime_providers_cuda.so"))
    except OSError as error:
        return str(error)
    return "its libraries load, but the driver did not give it a GPU"
