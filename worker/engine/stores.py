"""What the engine asks of a cache; callers bring one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]


class VectorStore(Protocol):
    """Keeps float32 vectors by key. It may forget, but must not raise and must not return another key's value."""

    def get_many(self, keys: Sequence[bytes]) -> list[Vector | None]:
        """The value of each key, or None, in order."""

    def put_many(self, items: Mapping[bytes, Vector]) -> None:
        """Keep the values for as long as the store likes."""

    def stats(self) -> Mapping[str, Any]:
        """Counters for people and metrics."""


class NoStore:
    """Keeps nothing."""

    def get_many(self, keys: Sequence[bytes]) -> list[Vector | None]:
        return [None] * len(keys)

    def put_many(self, items: Mapping[bytes, Vector]) -> None:
        pass

    def stats(self) -> Mapping[str, Any]:
        return {}


@dataclass(frozen=True, kw_only=True)
class Stores:
    """Where classifiers keep what they computed: embeddings of labels and texts, logits of pairs of both."""

    labels: VectorStore = field(default_factory=NoStore)
    texts: VectorStore = field(default_factory=NoStore)
    pairs: VectorStore = field(default_factory=NoStore)
