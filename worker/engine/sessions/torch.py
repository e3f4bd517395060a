"""torch: FP16 and BF16 with CUDA graphs on NVIDIA GPUs, and float32 on a CPU as a reference."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from worker.engine.sessions.base import GPU_BLOCK_TOKENS, Inputs, Progress, Session, cpu_block_tokens, nothing
from worker.engine.sessions.buckets import Recent, Shape, bucket, pad
from worker.engine.sessions.torch_bert import Bert, read_bert
from yeban.errors import EngineFailed, EngineUnavailable, msg

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_NAMES = ("input_ids", "attention_mask", "token_type_ids")

_GRAPH_TOKENS = 4096
"""Padded tokens up to which a call is replayed from a CUDA graph: larger ones keep the GPU busy by themselves."""

_GRAPHS = 32
"""Graphs kept. They share their working memory; each has some hundred KB of its own."""

_WARM_UPS = 3


class TorchSession(Session):
    """Our network over the graph's weights; concurrent runs take turns call by call.

    On a GPU small calls are padded to a few shapes and replayed from CUDA graphs, larger ones run directly. Raises
    :class:`~yeban.errors.EngineUnavailable` when the GPU does not start.
    """

    name = "torch"

    def __init__(self, path: Path, *, precision: str, device: str, threads: int) -> None:
        self.device = device
        self.threads = threads
        self._turn = threading.Lock()
        if device == "cuda":
            self.block_tokens = GPU_BLOCK_TOKENS
            _start_cuda()
        else:
            self.block_tokens = cpu_block_tokens(threads)
            torch.set_num_threads(threads)
        self._device = torch.device(device)
        self._bert = read_bert(path, device=self._device, dtype=_DTYPES[precision])
        self._pool = torch.cuda.graph_pool_handle() if device == "cuda" else None
        self.graphs: Recent[_Graph] = Recent(self._capture, most=_GRAPHS)
        """The CUDA graphs that are kept, by shape."""

    def run(self, calls: Sequence[Inputs], *, progress: Progress = nothing) -> list[NDArray[np.float32]]:
        outputs = []
        for inputs in calls:
            try:
                # Locked call by call, so that one text does not wait for a whole group of another thread.
                with self._turn, torch.inference_mode():
                    outputs.append(self._infer(inputs))
            except (RuntimeError, IndexError, KeyError, ValueError) as error:
                raise EngineFailed(msg("torch failed: %(error)s", error=error)) from error
            progress()
        return outputs

    def _infer(self, inputs: Inputs) -> NDArray[np.float32]:
        rows, tokens = inputs["input_ids"].shape
        if not rows:
            return np.empty((0, self._bert.shape.classes), np.float32)
        shape = bucket(rows, tokens, max_tokens=self._bert.max_tokens)
        if self.device == "cuda" and shape[0] * shape[1] <= _GRAPH_TOKENS:
            logits = self.graphs.get(shape).replay(pad(inputs, shape))[:rows]
        else:
            logits = self._bert(*(torch.from_numpy(_contiguous(inputs[name])).to(self._device) for name in _NAMES))
        # Copied under the lock: the next replay overwrites it.
        return np.array(logits.cpu().numpy(), np.float32)

    def _capture(self, shape: Shape) -> _Graph:
        return _Graph(self._bert, shape, self._device, self._pool)


class _Graph:
    """Recorded kernels of one shape: a replay costs one launch instead of some hundred."""

    def __init__(self, bert: Bert, shape: Shape, device: torch.device, pool: object) -> None:
        # A recording has fixed addresses, so inputs are always copied into these.
        self._inputs = [torch.zeros(shape, dtype=torch.int64, device=device) for _ in _NAMES]
        self._inputs[_NAMES.index("attention_mask")].fill_(1)
        aside = torch.cuda.Stream(device)
        aside.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UPS):
                bert(*self._inputs)
        torch.cuda.current_stream(device).wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        # Work of other threads on the GPU is neither recorded nor ends the recording.
        with torch.cuda.graph(self._graph, pool=pool, capture_error_mode="thread_local"):
            self._output = bert(*self._inputs)

    def replay(self, inputs: Inputs) -> torch.Tensor:
        """The output for inputs of exactly this shape; it lasts until any graph of the same pool is replayed."""
        for held, name in zip(self._inputs, _NAMES, strict=True):
            held.copy_(torch.from_numpy(inputs[name]))
        self._graph.replay()
        return self._output


def _start_cuda() -> None:
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        raise EngineUnavailable(
            msg(
                "torch cannot start CUDA: %(error)s. Install a CUDA build of torch and a matching NVIDIA driver.",
                error=error,
            ),
            session="torch",
            device="cuda",
        ) from error


def _contiguous(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.ascontiguousarray(values, np.int64)
