"""The shared layer: vectors in Redis, so that one worker's work serves the others.

Redis being slow or away makes things slower and nothing else: calls give up after a fraction of a
second, and after a failure the layer steps aside for a while before it tries again.
"""

from __future__ import annotations

import logging
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import redis
from numpy.typing import NDArray

from worker.cache.stats import CacheStats
from yeban.queues import make_redis

log = logging.getLogger(__name__)

_NAMESPACE = b"yeban:vector:1:"
_CHECKSUM_BYTES = 4
_TIMEOUT_S = 0.25
_PAUSE_S = 5.0
_KEYS_PER_CALL = 1_000


class RedisStore:
    """Vectors under a namespace of their own, each for ``ttl_s`` seconds. Thread-safe; never raises for Redis.

    A value is a CRC-32 and little-endian float32s; one that does not add up counts as absent.
    """

    def __init__(self, client: redis.Redis, *, ttl_s: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._ttl_s = ttl_s
        self._clock = clock
        self._closed_until = float("-inf")
        self._lock = threading.Lock()
        self._hits = self._misses = self._writes = self._failures = 0

    @classmethod
    def from_url(cls, url: str, *, ttl_s: int) -> RedisStore:
        """Connect lazily, with timeouts short enough for the engine's path."""
        return cls(make_redis(url, timeout_s=_TIMEOUT_S), ttl_s=ttl_s)

    def get_many(self, keys: Sequence[bytes]) -> list[NDArray[np.float32] | None]:
        """The vector of each key, or None, in order; all of them in one round trip."""
        if not keys or not self._open():
            return [None] * len(keys)
        try:
            raw = self._client.mget([_NAMESPACE + key for key in keys])
        except (redis.RedisError, OSError) as error:
            self._step_aside(error)
            return [None] * len(keys)
        values = [_decode(item) for item in raw]
        hits = sum(value is not None for value in values)
        with self._lock:
            self._hits += hits
            self._misses += len(keys) - hits
        return values

    def put_many(self, items: Mapping[bytes, NDArray[np.float32]]) -> None:
        """Write the vectors in one round trip per thousand."""
        entries = list(items.items())
        for start in range(0, len(entries), _KEYS_PER_CALL):
            if not self._open():
                return
            pipeline = self._client.pipeline(transaction=False)
            for key, value in entries[start : start + _KEYS_PER_CALL]:
                pipeline.set(_NAMESPACE + key, _encode(value), ex=self._ttl_s)
            try:
                pipeline.execute()
            except (redis.RedisError, OSError) as error:
                self._step_aside(error)
                return
            with self._lock:
                self._writes += len(entries[start : start + _KEYS_PER_CALL])

    def stats(self) -> dict[str, CacheStats]:
        """Counters under the layer's name."""
        with self._lock:
            return {
                "redis": CacheStats(hits=self._hits, misses=self._misses, writes=self._writes, failures=self._failures)
            }

    def _open(self) -> bool:
        with self._lock:
            return self._clock() >= self._closed_until

    def _step_aside(self, error: Exception) -> None:
        with self._lock:
            self._failures += 1
            self._closed_until = self._clock() + _PAUSE_S
        log.warning(
            "the cache in Redis failed (%s); doing without it for %.0f s",
            error,
            _PAUSE_S,
            extra={"action": "cache_unavailable"},
        )


def _encode(value: NDArray[np.float32]) -> bytes:
    data = np.ascontiguousarray(value, "<f4").tobytes()
    return zlib.crc32(data).to_bytes(_CHECKSUM_BYTES, "little") + data


def _decode(raw: object) -> NDArray[np.float32] | None:
    if not isinstance(raw, bytes) or len(raw) <= _CHECKSUM_BYTES or len(raw) % 4:
        return None
    data = raw[_CHECKSUM_BYTES:]
    if zlib.crc32(data) != int.from_bytes(raw[:_CHECKSUM_BYTES], "little"):
        return None
    return np.frombuffer(data, "<f4").astype(np.float32)
