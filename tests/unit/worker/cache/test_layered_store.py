from __future__ import annotations

import numpy as np
import pytest

from worker.cache import LayeredStore, MemoryStore, RedisStore
from worker.cache import redis as redis_layer

VECTOR = np.ones(3, np.float32)


def test_the_far_layer_is_asked_only_for_what_the_near_one_lacks_and_fills_it() -> None:
    near, far = MemoryStore(10), MemoryStore(10)
    near.put_many({b"a": VECTOR})
    far.put_many({b"b": VECTOR * 2})
    store = LayeredStore(near, far)

    first, second, third = store.get_many([b"b", b"a", b"c"])

    np.testing.assert_array_equal(first, VECTOR * 2)
    np.testing.assert_array_equal(second, VECTOR)
    assert third is None
    assert far.stats()["memory"].misses == 1
    np.testing.assert_array_equal(near.get_many([b"b"])[0], VECTOR * 2)


def test_writes_go_to_every_layer() -> None:
    near, far = MemoryStore(10), MemoryStore(10)

    LayeredStore(near, far).put_many({b"a": VECTOR})

    assert near.get_many([b"a"])[0] is not None
    assert far.get_many([b"a"])[0] is not None


def test_a_key_asked_twice_is_answered_twice() -> None:
    store = LayeredStore(MemoryStore(10))
    store.put_many({b"a": VECTOR})

    assert [value is not None for value in store.get_many([b"a", b"a"])] == [True, True]


def test_memory_over_redis_serves_what_another_worker_wrote(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_layer, "_TIMEOUT_S", 60.0)
    LayeredStore(MemoryStore(10), RedisStore.from_url(redis_url, "labels", ttl_s=60, max_bytes=1 << 20)).put_many(
        {b"a": VECTOR}
    )
    mine = LayeredStore(MemoryStore(10), RedisStore.from_url(redis_url, "labels", ttl_s=60, max_bytes=1 << 20))

    for _ in range(2):
        np.testing.assert_array_equal(mine.get_many([b"a"])[0], VECTOR)

    stats = mine.stats()
    assert (stats["redis"].hits, stats["memory"].hits) == (1, 1)
