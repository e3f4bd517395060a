"""Sessions run graphs: the choice of one, and how it is opened."""

from __future__ import annotations

from pathlib import Path

from worker.engine.sessions.base import Inputs, Progress, Session
from worker.engine.sessions.machine import this_machine
from worker.engine.sessions.ranking import SESSIONS, Choice, choose

__all__ = ["SESSIONS", "Choice", "Inputs", "Progress", "Session", "available_sessions", "choose", "open_session"]


def available_sessions() -> tuple[str, ...]:
    """The sessions whose package is installed."""
    installed = this_machine(gpus=False).installed
    return tuple(name for name in SESSIONS if name in installed)


def open_session(path: Path, choice: Choice) -> Session:
    """Load the graph at ``path``, or the TensorRT engine.

    Raises :class:`~yeban.errors.ModelUnusable` if it cannot be loaded, and
    :class:`~yeban.errors.EngineUnavailable` if the chosen GPU does not start.
    """
    if choice.session == "openvino":
        from worker.engine.sessions.openvino import OpenVinoSession  # noqa: PLC0415 - heavy

        return OpenVinoSession(
            path, threads=choice.threads, activation_group=choice.activation_group, bfloat16=choice.bfloat16
        )
    if choice.session == "tensorrt":
        from worker.engine.sessions.tensorrt import TensorRtSession  # noqa: PLC0415 - heavy

        return TensorRtSession(path, threads=choice.threads)
    if choice.session == "torch":
        from worker.engine.sessions.torch import TorchSession  # noqa: PLC0415 - heavy

        return TorchSession(path, precision=choice.precision, device=choice.device, threads=choice.threads)
    from worker.engine.sessions.onnxruntime import CudaOnnxRuntimeSession, OnnxRuntimeSession  # noqa: PLC0415 - heavy

    if choice.device == "cuda":
        return CudaOnnxRuntimeSession(path, threads=choice.threads)
    return OnnxRuntimeSession(path, threads=choice.threads)
