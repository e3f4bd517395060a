"""In-process layer: a bounded cache that evicts the least recently used vectors."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from worker.cache.layers import CacheStats


class MemoryStore:
    """At most ``max_entries`` vectors; 0 stores none. Thread-safe. Returned vectors are read-only.

    There are two generations. Written and used entries go into the young one; when that holds half of ``max_entries``,
    it becomes the old one, and the former old one is dropped. Values are bytes in plain dicts: a vector of three
    numbers takes about 170 bytes with its key, half of an array in an ordered dict.
    """

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._half = max(1, max_entries // 2)
        self._young: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}
        self._lock = threading.Lock()
        self._hits = self._misses = self._writes = self._evictions = 0

    def get_many(self, keys: Sequence[bytes]) -> list[NDArray[np.float32] | None]:
        """The vector of each key, or None, in order."""
        values: list[bytes | None] = []
        with self._lock:
            for key in keys:
                value = self._young.get(key)
                if value is None:
                    value = self._old.pop(key, None)
                    if value is not None:
                        self._keep(key, value)
                values.append(value)
            hits = sum(value is not None for value in values)
            self._hits += hits
            self._misses += len(keys) - hits
        return _decode(values)

    def put_many(self, items: Mapping[bytes, NDArray[np.float32]]) -> None:
        """Store copies of the vectors, except empty ones."""
        if self._max_entries == 0:
            return
        copies = {key: np.ascontiguousarray(value, np.float32).tobytes() for key, value in items.items() if value.size}
        with self._lock:
            for key, copy in copies.items():
                self._old.pop(key, None)
                self._keep(key, copy)
            self._writes += len(copies)

    def stats(self) -> dict[str, CacheStats]:
        """Counters under the layer's name."""
        with self._lock:
            return {
                "memory": CacheStats(
                    hits=self._hits,
                    misses=self._misses,
                    writes=self._writes,
                    evictions=self._evictions,
                    entries=len(self._young) + len(self._old),
                )
            }

    def _keep(self, key: bytes, value: bytes) -> None:
        if len(self._young) >= self._half and key not in self._young:
            forgotten = self._old
            self._old, self._young = self._young, {}
            if self._max_entries == 1:  # no room for a second generation
                forgotten, self._old = self._old, {}
            self._evictions += len(forgotten)
        self._young[key] = value


def _decode(values: Sequence[bytes | None]) -> list[NDArray[np.float32] | None]:
    """Decode vectors. If all have the same length, the usual case, they are views of one array."""
    found = [value for value in values if value is not None]
    if len(set(map(len, found))) != 1:
        return [None if value is None else np.frombuffer(value, np.float32) for value in values]
    rows = iter(np.frombuffer(b"".join(found), np.float32).reshape(len(found), -1))
    return [None if value is None else next(rows) for value in values]
