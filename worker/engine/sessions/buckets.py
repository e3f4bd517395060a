"""Shapes that calls are padded to, for sessions that prepare each shape."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from worker.engine.sessions.base import Inputs

Shape = tuple[int, int]
"""Rows and tokens."""

T = TypeVar("T")

_FINE, _FINE_UP_TO = 16, 64
_COARSE = 64


def bucket(rows: int, tokens: int, *, max_tokens: int) -> Shape:
    """Rows up to a power of two; tokens to a multiple of 16, beyond 64 of 64, and never over ``max_tokens``."""
    step = _FINE if tokens <= _FINE_UP_TO else _COARSE
    return 1 << (rows - 1).bit_length(), max(tokens, min(-(-tokens // step) * step, max_tokens))


def pad(inputs: Inputs, shape: Shape) -> dict[str, NDArray[np.int64]]:
    """The same calls in a larger shape.

    Padding is masked, but a row of padding alone attends to its first token, since a softmax over no token is not
    a number.
    """
    padded = {}
    for name, values in inputs.items():
        rows, tokens = values.shape
        array = np.zeros(shape, np.int64)
        array[:rows, :tokens] = values
        if name == "attention_mask":
            array[rows:, 0] = 1
        padded[name] = array
    return padded


class Recent(Generic[T]):
    """Values prepared per shape, for the most recently used shapes."""

    def __init__(self, make: Callable[[Shape], T], *, most: int) -> None:
        self._make = make
        self._most = most
        self._kept: OrderedDict[Shape, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, shape: Shape) -> T:
        """Return the value for ``shape``, making it in place of the least recently used if it is missing."""
        if shape in self._kept:
            self._kept.move_to_end(shape)
        else:
            # The old value goes first, so that its memory can be reused.
            while len(self._kept) >= self._most:
                self._kept.popitem(last=False)
            self._kept[shape] = self._make(shape)
        return self._kept[shape]
