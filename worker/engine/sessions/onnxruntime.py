"""ONNX Runtime on CPU: where OpenVINO is not installed, and for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from worker.engine.sessions.base import Inputs, Session
from yeban.errors import EngineFailed, ModelUnusable

_ERRORS_ONLY = 3

onnxruntime.disable_telemetry_events()


class OnnxRuntimeSession(Session):
    """An inference session; ONNX Runtime itself allows concurrent runs."""

    name = "onnxruntime"
    device = "cpu"

    def __init__(self, path: Path, *, threads: int) -> None:
        self.threads = threads
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ModelUnusable(f"ONNX Runtime cannot load {path.name}: {error}") from error

    def run(self, calls: Sequence[Inputs]) -> list[NDArray[np.float32]]:
        try:
            return [np.asarray(self._session.run(None, dict(inputs))[0], np.float32) for inputs in calls]
        except Exception as error:
            raise EngineFailed(f"ONNX Runtime failed: {error}") from error
