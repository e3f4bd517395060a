"""Shared layer: vectors in Redis, for all workers.

If Redis is slow or away, calls time out after a quarter of a second, and after a failure the layer is disabled for some
seconds. The same Redis is the broker, so :class:`RedisStore` bounds its own memory instead of relying on eviction.
"""

from __future__ import annotations

import logging
import threading
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import redis
from numpy.typing import NDArray

from worker.cache.layers import CacheStats
from yeban.messaging.queues import make_redis

log = logging.getLogger(__name__)

_NAMESPACE = "yeban:vector:2"
_CHECKSUM_BYTES = 4
_TIMEOUT_S = 0.25
_PAUSE_S = 5.0
#: Limits of one round trip, which must stay well within the timeout.
_KEYS_PER_CALL = 2_000
_BYTES_PER_CALL = 1 << 20
#: Hashes of a generation; each is small enough for a fast deletion.
_SHARDS = 64
#: Memory of a hash entry beside its key and value, at most; 36 to 60 measured on Valkey 9.
_ENTRY_OVERHEAD_BYTES = 60

# KEYS: the young and the old generation. ARGV: maximum entries of a generation, its life in ms, then keys and values.
# Atomic: if two workers rotated generations at the same time, the second would drop the first's entries.
_WRITE = """
local left = redis.call('PTTL', KEYS[1])
if left ~= -2 and (redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[1]) or left * 2 < tonumber(ARGV[2])) then
  redis.call('RENAME', KEYS[1], KEYS[2])
  left = -2
end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
if left < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
"""

T = TypeVar("T")


class RedisStore:
    """Vectors in one namespace of Redis.

    They stay for at most ``ttl_s`` seconds and take about ``max_bytes`` at most. Thread-safe; never raises errors of
    Redis. A value is a CRC-32 and little-endian float32s; a value with a wrong checksum counts as missing.

    There are two generations. Writes go into the young one; when that has half of the bytes, or is half of ``ttl_s``
    old, it becomes the old one, and the former old one is dropped. Each is spread over several hashes, which take less
    memory than single keys, know their size, and expire as a whole.
    """

    def __init__(
        self,
        client: redis.Redis,
        name: str,
        *,
        ttl_s: int,
        max_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``max_bytes`` 0 stores nothing."""
        self._client = client
        self._name = name
        self._ttl_s = ttl_s
        self._max_bytes = max_bytes
        self._clock = clock
        self._closed_until = float("-inf")
        self._lock = threading.Lock()
        self._hits = self._misses = self._writes = self._failures = 0

    @classmethod
    def from_url(cls, url: str, name: str, *, ttl_s: int, max_bytes: int) -> RedisStore:
        """Connect on first use, with timeouts short enough for a request that waits."""
        return cls(make_redis(url, timeout_s=_TIMEOUT_S), name, ttl_s=ttl_s, max_bytes=max_bytes)

    def get_many(self, keys: Sequence[bytes]) -> list[NDArray[np.float32] | None]:
        """The vector of each key, or None, in order. One round trip reads 2,000."""
        found: dict[bytes, NDArray[np.float32]] = {}
        asked = 0
        for batch in _batches(dict.fromkeys(keys), _KEYS_PER_CALL):
            if self._max_bytes == 0 or not self._open():
                break
            if (values := self._read(batch)) is None:
                break
            found |= values
            asked += len(batch)
        with self._lock:
            self._hits += len(found)
            self._misses += asked - len(found)
        return [found.get(key) for key in keys]

    def put_many(self, items: Mapping[bytes, NDArray[np.float32]]) -> None:
        """Write the vectors, up to 2,000 or 1 MiB in one round trip."""
        if not items or self._max_bytes == 0:
            return
        longest = max(len(key) + value.size * 4 for key, value in items.items()) + _CHECKSUM_BYTES
        most = max(1, self._max_bytes // (longest + _ENTRY_OVERHEAD_BYTES) // (2 * _SHARDS))
        for batch in _batches(items, min(_KEYS_PER_CALL, max(1, _BYTES_PER_CALL // longest))):
            if not self._open() or not self._write({key: _encode(items[key]) for key in batch}, most):
                return
            with self._lock:
                self._writes += len(batch)

    def stats(self) -> dict[str, CacheStats]:
        """Counters under the layer's name."""
        with self._lock:
            return {
                "redis": CacheStats(hits=self._hits, misses=self._misses, writes=self._writes, failures=self._failures)
            }

    def _read(self, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]] | None:
        """The vectors found; None if Redis did not answer."""
        shards = _by_shard(keys)
        pipeline = self._client.pipeline(transaction=False)
        for shard, members in shards.items():
            for generation in self._generations(shard):
                pipeline.hmget(generation, members)
        if (answers := self._execute(pipeline)) is None:
            return None
        found = {}
        for members, *both in zip(shards.values(), answers[::2], answers[1::2], strict=True):
            for answer in reversed(both):  # the young generation overrides the old
                if isinstance(answer, Exception):  # the key has another type
                    continue
                values = zip(members, map(_decode, answer), strict=True)
                found.update({key: value for key, value in values if value is not None})
        return found

    def _write(self, values: Mapping[bytes, bytes], most: int) -> bool:
        pipeline = self._client.pipeline(transaction=False)
        for shard, members in _by_shard(values).items():
            fields = [part for key in members for part in (key, values[key])]
            pipeline.eval(_WRITE, 2, *self._generations(shard), most, self._ttl_s * 1000, *fields)
        answers = self._execute(pipeline)
        if answers is None:
            return False
        refusal = next((answer for answer in answers if isinstance(answer, Exception)), None)
        if refusal is not None:  # for instance, the server is out of memory
            self._step_aside(refusal)
        return refusal is None

    def _execute(self, pipeline: Any) -> list[Any] | None:
        try:
            answers: list[Any] = pipeline.execute(raise_on_error=False)
        except (redis.RedisError, OSError) as error:
            self._step_aside(error)
            return None
        return answers

    def _generations(self, shard: int) -> tuple[str, str]:
        name = f"{_NAMESPACE}:{self._name}:{shard}"
        return f"{name}:young", f"{name}:old"

    def _open(self) -> bool:
        with self._lock:
            return self._clock() >= self._closed_until

    def _step_aside(self, error: Exception) -> None:
        with self._lock:
            self._failures += 1
            self._closed_until = self._clock() + _PAUSE_S
        log.warning(
            "Redis cache failed (%s), disabled for %.0f s",
            error,
            _PAUSE_S,
            extra={"action": "cache_unavailable"},
        )


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _by_shard(keys: Iterable[bytes]) -> dict[int, list[bytes]]:
    shards: defaultdict[int, list[bytes]] = defaultdict(list)
    for key in keys:
        shards[zlib.crc32(key) % _SHARDS].append(key)
    return shards


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
