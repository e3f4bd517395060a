"""The interface of every session: a graph's inputs in, its first output out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Inputs = Mapping[str, NDArray[Any]]
"""One call's arrays by the graph's input names, each ``(batch, tokens)`` int64."""

Progress = Callable[[], None]
"""Called after each call's result, from the thread that runs the session."""

GPU_BLOCK_TOKENS = 16_384
"""Padded tokens of one call on a GPU. Chosen by reasoning, not measured: see docs/gpu.md."""

_BLOCK_TOKENS_PER_THREAD = 256


def nothing() -> None:
    """Ignore progress."""


def cpu_block_tokens(threads: int) -> int:
    """Padded tokens of one call on a CPU: enough to fill the matrix units, few enough to stay in the caches."""
    return _BLOCK_TOKENS_PER_THREAD * max(2, threads)


class Session(ABC):
    """A loaded graph. ``run`` may be called from several threads at once.

    ``block_tokens`` is the number of padded tokens of a call at which the session is fastest; other sizes
    run too.
    """

    name: ClassVar[str]
    device: str
    threads: int
    block_tokens: int

    @abstractmethod
    def run(self, calls: Sequence[Inputs], *, progress: Progress = nothing) -> list[NDArray[np.float32]]:
        """Run the graph once per entry and return its first output for each, in order.

        A session may overlap the calls. ``progress`` is called once per finished entry. Raises
        :class:`~yeban.errors.EngineFailed`.
        """
