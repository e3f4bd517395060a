"""TensorRT on NVIDIA GPUs: runs an engine built for this GPU and driver."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorrt
from numpy.typing import NDArray

from worker.engine.sessions import trt_engines
from worker.engine.sessions.base import GPU_BLOCK_TOKENS, Inputs, Progress, Session, nothing
from worker.engine.sessions.cuda_runtime import CudaFailed, Memory, Stream, new_buffer
from worker.engine.sessions.trt_profiles import Piece, Profile, Range, fit
from yeban.errors import EngineFailed, EngineUnavailable, ModelUnusable, msg

_log = logging.getLogger(__name__)


class Logger(tensorrt.ILogger):  # type: ignore[misc] # untyped
    """Forwards TensorRT's messages to logging and keeps the last error for exceptions."""

    _LEVELS = {  # noqa: RUF012 - never changed
        tensorrt.ILogger.Severity.INTERNAL_ERROR: logging.ERROR,
        tensorrt.ILogger.Severity.ERROR: logging.ERROR,
        tensorrt.ILogger.Severity.WARNING: logging.INFO,
    }

    def __init__(self) -> None:
        tensorrt.ILogger.__init__(self)
        self.last_error = "it gave no reason; see what yeban doctor says of the driver"

    def log(self, severity: Any, msg: str) -> None:
        """Called by TensorRT, from any of its threads."""
        level = self._LEVELS.get(severity, logging.DEBUG)
        if level == logging.ERROR:
            self.last_error = msg
        _log.log(level, "TensorRT: %s", msg)


class TensorRtSession(Session):
    """An engine and one execution context; concurrent runs take turns call by call.

    Calls with more rows than the engine's widest profile for their length are cut, shorter ones run as they are.
    Device buffers for the largest shapes are allocated once. Raises :class:`~yeban.errors.ModelUnusable` for an engine
    that does not match its record or does not load, and :class:`~yeban.errors.EngineUnavailable` when CUDA does not
    start.
    """

    name = "tensorrt"
    device = "cuda"
    block_tokens = GPU_BLOCK_TOKENS

    def __init__(self, path: Path, *, threads: int) -> None:
        self.threads = threads
        self._turn = threading.Lock()
        self._logger = Logger()
        plan = trt_engines.read(path)
        try:
            self._stream = Stream()
        except CudaFailed as error:
            raise EngineUnavailable(
                msg("CUDA cannot start: %(error)s. Check the NVIDIA driver with: yeban doctor", error=error),
                session=self.name,
            ) from error
        self._engine = self._load(path, plan)
        self._context = self._engine.create_execution_context(
            tensorrt.ExecutionContextAllocationStrategy.ON_PROFILE_CHANGE
        )
        if self._context is None:
            raise EngineUnavailable(
                msg(
                    "TensorRT cannot run %(path)s: %(last_error)s.", path=path.name, last_error=self._logger.last_error
                ),
                session=self.name,
            )
        self._inputs, self._output = self._tensors(path)
        self._profiles = tuple(self._profile(index) for index in range(self._engine.num_optimization_profiles))
        self._active: int | None = None
        self._buffers = self._new_buffers()

    def run(self, calls: Sequence[Inputs], *, progress: Progress = nothing) -> list[NDArray[np.float32]]:
        outputs = []
        for inputs in calls:
            try:
                with self._turn:
                    outputs.append(self._infer(inputs))
            except (CudaFailed, RuntimeError, ValueError, TypeError) as error:
                raise EngineFailed(msg("TensorRT failed: %(error)s", error=error)) from error
            progress()
        return outputs

    def _load(self, path: Path, plan: bytes) -> Any:
        try:
            self._runtime = tensorrt.Runtime(self._logger)
        except TypeError as error:  # the bindings return None on failure
            raise EngineUnavailable(
                msg("TensorRT cannot start: %(last_error)s.", last_error=self._logger.last_error), session=self.name
            ) from error
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise ModelUnusable(
                msg(
                    "TensorRT cannot load %(path)s: %(last_error)s. Build it again.",
                    path=path,
                    last_error=self._logger.last_error,
                )
            )
        return engine

    def _infer(self, inputs: Inputs) -> NDArray[np.float32]:
        if set(inputs) != set(self._inputs):
            raise EngineFailed(
                msg(
                    "The engine expects %(engine_inputs)s, but got %(inputs)s.",
                    engine_inputs=", ".join(self._inputs),
                    inputs=", ".join(inputs),
                )
            )
        rows, tokens = inputs[self._inputs[0]].shape
        output = np.empty((rows, self._engine.get_tensor_shape(self._output)[1]), np.float32)
        pieces = list(fit(self._profiles, rows, tokens))
        if rows and not pieces:
            longest = max(profile.tokens.most for profile in self._profiles)
            raise EngineFailed(
                msg(
                    "The engine is built for rows of 1 to %(longest)s tokens, but got %(tokens)s.",
                    longest=longest,
                    tokens=tokens,
                )
            )
        for piece in pieces:
            self._run_piece(inputs, piece, output[piece.start : piece.stop])
        return output

    def _run_piece(self, inputs: Inputs, piece: Piece, output: NDArray[np.float32]) -> None:
        """Run some rows of a call into their part of its output."""
        self._switch_to(piece.profile)
        context, stream = self._context, self._stream
        # The arrays have to outlive the copies.
        arrays = {name: np.ascontiguousarray(inputs[name][piece.start : piece.stop], np.int64) for name in self._inputs}
        for name, values in arrays.items():
            stream.upload(self._buffers[name], values)
            self._must(context.set_input_shape(name, values.shape), f"the shape {values.shape} of {name}")
            self._must(context.set_tensor_address(name, self._buffers[name].address), f"the address of {name}")
        self._must(
            context.set_tensor_address(self._output, self._buffers[self._output].address), "the address of the output"
        )
        shape = tuple(context.get_tensor_shape(self._output))
        if shape != output.shape:
            raise EngineFailed(
                msg(
                    "The engine returns the shape %(shape)s instead of %(expected)s.",
                    shape=shape,
                    expected=output.shape,
                )
            )
        self._must(context.execute_async_v3(stream.handle), "the call")
        stream.download(self._buffers[self._output], output)
        stream.wait()

    def _switch_to(self, profile: int) -> None:
        if self._active == profile:
            return
        # After any failure, the next call must set its profile again.
        self._active = None
        self._must(self._context.set_optimization_profile_async(profile, self._stream.handle), "the profile")
        self._stream.wait()
        self._active = profile

    def _must(self, accepted: bool, what: str) -> None:
        if not accepted:
            raise EngineFailed(
                msg("TensorRT refused %(what)s: %(last_error)s", what=what, last_error=self._logger.last_error)
            )

    def _tensors(self, path: Path) -> tuple[tuple[str, ...], str]:
        """Names of the inputs and of the output, whose types must be those of our graphs."""
        engine, modes = self._engine, tensorrt.TensorIOMode
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = tuple(name for name in names if engine.get_tensor_mode(name) == modes.INPUT)
        outputs = [name for name in names if engine.get_tensor_mode(name) == modes.OUTPUT]
        kinds = {name: engine.get_tensor_dtype(name) for name in names}
        good_inputs = all(kinds[name] == tensorrt.DataType.INT64 for name in inputs)
        if not inputs or not good_inputs or len(outputs) != 1 or kinds[outputs[0]] != tensorrt.DataType.FLOAT:
            raise ModelUnusable(
                msg(
                    "%(path)s must accept int64 rows and return float32 scores, but has %(kinds)s. Build it again.",
                    path=path,
                    kinds=kinds,
                )
            )
        return inputs, outputs[0]

    def _profile(self, index: int) -> Profile:
        least, best, most = self._engine.get_tensor_profile_shape(self._inputs[0], index)
        return Profile(
            rows=Range(least=least[0], best=best[0], most=most[0]),
            tokens=Range(least=least[1], best=best[1], most=most[1]),
        )

    def _new_buffers(self) -> dict[str, Memory]:
        tokens = max(profile.rows.most * profile.tokens.most for profile in self._profiles)
        rows = max(profile.rows.most for profile in self._profiles)
        width = self._engine.get_tensor_shape(self._output)[1]
        try:
            buffers = {name: new_buffer((tokens,), np.int64) for name in self._inputs}
            return {**buffers, self._output: new_buffer((rows, width), np.float32)}
        except CudaFailed as error:
            raise EngineUnavailable(
                msg("The GPU does not have enough memory for the engine: %(error)s.", error=error), session=self.name
            ) from error
