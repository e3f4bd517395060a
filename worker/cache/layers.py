"""Cache layers: their interface, their counters, and a stack of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class CacheStats:
    """Counters of one layer since it was created. ``entries`` is None where counting is expensive."""

    hits: int = 0
    misses: int = 0
    writes: int = 0
    evictions: int = 0
    failures: int = 0
    entries: int | None = None

    def to_json(self) -> dict[str, int | None]:
        """The counters for a heartbeat."""
        return asdict(self)


class Layer(Protocol):
    """A store of vectors."""

    def get_many(self, keys: Sequence[bytes]) -> list[NDArray[np.float32] | None]: ...

    def put_many(self, items: Mapping[bytes, NDArray[np.float32]]) -> None: ...

    def stats(self) -> Mapping[str, CacheStats]: ...


class LayeredStore:
    """A stack of layers, nearest first.

    Asks each layer only for the keys missing in nearer ones, copies hits into those, and writes to all.
    """

    def __init__(self, *layers: Layer) -> None:
        self._layers = layers

    def get_many(self, keys: Sequence[bytes]) -> list[NDArray[np.float32] | None]:
        """The vector of each key, or None, in order."""
        found: dict[bytes, NDArray[np.float32]] = {}
        for depth, layer in enumerate(self._layers):
            missing = [key for key in dict.fromkeys(keys) if key not in found]
            if not missing:
                break
            values = layer.get_many(missing)
            fresh = {key: value for key, value in zip(missing, values, strict=True) if value is not None}
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
