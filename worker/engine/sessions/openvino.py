"""OpenVINO on CPU: the default."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.engine.sessions.base import Inputs, Progress, Session, cpu_block_tokens, nothing
from yeban.errors import EngineFailed, ModelUnusable, msg

# Importing openvino sends usage telemetry over the network unless this package is absent. A program that reads
# tickets must not report to anyone.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
import openvino  # noqa: E402

_CACHED_SHAPES = 64
"""Measured over random shapes: 680 MB resident and no slower, against 900 MB with the default of 5,000."""


@functools.cache
def _core() -> openvino.Core:
    """Return the single core of the process, which is never freed.

    The CPU plugin gives the thread that loads it a signal stack and frees it together with the core, in any thread:
    the next signal to the first thread would then kill the process.
    """
    return openvino.Core()


@functools.cache
def _has_bfloat16() -> bool:
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoSession(Session):
    """A compiled model with one request on all threads; concurrent runs take turns call by call."""

    name = "openvino"
    device = "cpu"

    def __init__(self, path: Path, *, threads: int, activation_group: int, bfloat16: bool) -> None:
        """``activation_group`` is the number of neighbouring activations that share an int8 scale found at run
        time; 0 for none.

        Groups larger than the weights' blocks would switch int8 arithmetic off. With ``bfloat16`` all other arithmetic
        runs in bfloat16 if the CPU supports it natively.
        """
        self.threads = threads
        self.block_tokens = cpu_block_tokens(threads)
        config: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 and _has_bfloat16() else "f32",
            # Bounds the kernels cached by shape: texts have hundreds of shapes, and memory would grow with each.
            "CPU_RUNTIME_CACHE_CAPACITY": _CACHED_SHAPES,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": activation_group,
        }
        try:
            self._model = _core().compile_model(path, "CPU", config)
        except RuntimeError as error:
            raise ModelUnusable(msg("OpenVINO cannot load %(path)s: %(error)s", path=path.name, error=error)) from error
        self._request = self._model.create_infer_request()
        self._turn = threading.Lock()

    def run(self, calls: Sequence[Inputs], *, progress: Progress = nothing) -> list[NDArray[np.float32]]:
        outputs = []
        for inputs in calls:
            try:
                outputs.append(self._infer(inputs))
            except RuntimeError as error:
                raise EngineFailed(msg("OpenVINO failed: %(error)s", error=error)) from error
            progress()
        return outputs

    def _infer(self, inputs: Inputs) -> NDArray[np.float32]:
        # Locked call by call, so that one text does not wait for a whole group of another thread.
        with self._turn:
            self._request.infer(dict(inputs), share_inputs=True)
            # The next call overwrites the request's buffer.
            return np.array(self._request.get_output_tensor(0).data, np.float32)
