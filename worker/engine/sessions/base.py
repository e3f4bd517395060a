"""What every session promises: a graph's inputs in, its first output out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Inputs = Mapping[str, NDArray[Any]]
"""One call's arrays by the graph's input names."""


class Session(ABC):
    """A graph that is loaded and ready. ``run`` may be called from several threads at once."""

    name: ClassVar[str]
    device: str
    threads: int

    @abstractmethod
    def run(self, calls: Sequence[Inputs]) -> list[NDArray[np.float32]]:
        """Run the graph once per entry and return its first output for each, in order.

        A session may overlap the calls. Raises :class:`~yeban.errors.EngineFailed`.
        """
