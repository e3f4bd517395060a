"""Layers of stores, nearest first: what a far layer knows is copied into the nearer ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from worker.cache.stats import CacheStats


class Layer(Protocol):
    """One store among several."""

    def get_many(self, keys: Sequence[bytes]) -> list[NDArray[np.float32] | None]: ...

    def put_many(self, items: Mapping[bytes, NDArray[np.float32]]) -> None: ...

    def stats(self) -> Mapping[str, CacheStats]: ...


class LayeredStore:
    """Asks each layer only for what the nearer ones lack; writes to all."""

    def __init__(self, *layers: Layer) -> None:
        self._layers = layers

    def get_many(self, keys: Sequence[bytes]) -> list[NDArray[np.float32] | None]:
        """The vector of each key, or None, in order."""
        found: dict[bytes, NDArray[np.float32]] = {}
        for depth, layer in enumerate(self._layers):
            wanted = [key for key in dict.fromkeys(keys) if key not in found]
            if not wanted:
                break
            values = layer.get_many(wanted)
            fresh = {key: value for key, value in zip(wanted, values, strict=True) if value is not None}
            if fresh:
                for nearer in self._layers[:depth]:
                    nearer.put_many(fresh)
                found |= fresh
        return [found.get(key) for key in keys]

    def put_many(self, items: Mapping[bytes, NDArray[np.float32]]) -> None:
        """Write to every layer."""
        for layer in self._layers:
            layer.put_many(items)

    def stats(self) -> dict[str, CacheStats]:
        """Counters of every layer by its name."""
        return {name: stats for layer in self._layers for name, stats in layer.stats().items()}
