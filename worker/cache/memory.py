"""The nearest layer: a bounded table in this process that forgets what was used longest ago."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from worker.cache.stats import CacheStats


class MemoryStore:
    """At most ``max_entries`` vectors; 0 keeps none. Thread-safe. Vectors handed out are read-only."""

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()
        self._hits = self._misses = self._writes = self._evictions = 0

    def get_many(self, keys: Sequence[bytes]) -> list[NDArray[np.float32] | None]:
        """The vector of each key, or None, in order."""
        values: list[NDArray[np.float32] | None] = []
        with self._lock:
            for key in keys:
                value = self._entries.get(key)
                if value is not None:
                    self._entries.move_to_end(key)
                values.append(value)
            hits = sum(value is not None for value in values)
            self._hits += hits
            self._misses += len(keys) - hits
        return values

    def put_many(self, items: Mapping[bytes, NDArray[np.float32]]) -> None:
        """Keep copies of the vectors."""
        if self._max_entries == 0:
            return
        # A row of a large result would keep the whole result alive.
        copies = {key: np.array(value, np.float32) for key, value in items.items()}
        for copy in copies.values():
            copy.flags.writeable = False
        with self._lock:
            for key, copy in copies.items():
                self._entries[key] = copy
                self._entries.move_to_end(key)
            self._writes += len(copies)
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)
                self._evictions += 1

    def stats(self) -> dict[str, CacheStats]:
        """Counters under the layer's name."""
        with self._lock:
            return {
                "memory": CacheStats(
                    hits=self._hits,
                    misses=self._misses,
                    writes=self._writes,
                    evictions=self._evictions,
                    entries=len(self._entries),
                )
            }
