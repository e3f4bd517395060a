"""The cache interface of the engine; callers provide an implementation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]


class VectorStore(Protocol):
    """Stores float32 vectors by key. May evict, but never raises or returns another key's value."""

    def get_many(self, keys: Sequence[bytes]) -> list[Vector | None]:
        """The value of each key, or None, in order."""

    def put_many(self, items: Mapping[bytes, Vector]) -> None:
        """Store the values; the store decides for how long."""

    def stats(self) -> Mapping[str, Any]:
        """Counters for people and metrics."""


class NoStore:
    """A store that keeps nothing."""

    def get_many(self, keys: Sequence[bytes]) -> list[Vector | None]:
        return [None] * len(keys)

    def put_many(self, items: Mapping[bytes, Vector]) -> None:
        pass

    def stats(self) -> Mapping[str, Any]:
        return {}


@dataclass(frozen=True, kw_only=True)
class Stores:
    """Stores of computed values: embeddings of labels and texts, logits of their pairs."""

    labels: VectorStore = field(default_factory=NoStore)
    texts: VectorStore = field(default_factory=NoStore)
    pairs: VectorStore = field(default_factory=NoStore)
