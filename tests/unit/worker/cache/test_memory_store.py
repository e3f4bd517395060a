from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from worker.cache import MemoryStore


def vector(value: float) -> np.ndarray:
    return np.full(4, value, np.float32)


def test_what_was_put_comes_back_in_order() -> None:
    store = MemoryStore(10)
    store.put_many({b"a": vector(1), b"b": vector(2)})

    first, missing, second = store.get_many([b"b", b"x", b"a"])

    assert first is not None
    assert second is not None
    assert first.tolist() == [2] * 4
    assert second.tolist() == [1] * 4
    assert missing is None


def test_what_was_used_longest_ago_is_forgotten_first() -> None:
    store = MemoryStore(4)
    store.put_many({b"a": vector(1), b"b": vector(2), b"c": vector(3), b"d": vector(4)})
    store.get_many([b"a"])
    store.put_many({b"e": vector(5)})

    found = store.get_many([b"a", b"b", b"e"])
    assert [value is not None for value in found] == [True, False, True]


def test_the_half_used_last_is_always_there() -> None:
    store = MemoryStore(100)
    for number in range(1_000):
        store.put_many({b"%d" % number: vector(number)})
        recent = range(max(0, number - 49), number + 1)
        assert all(value is not None for value in store.get_many([b"%d" % one for one in recent]))


def test_a_value_that_is_written_again_replaces_the_old_one() -> None:
    store = MemoryStore(4)
    store.put_many({b"a": vector(1), b"b": vector(2), b"c": vector(3)})
    store.put_many({b"a": vector(9)})

    (value,) = store.get_many([b"a"])
    assert value is not None
    assert value.tolist() == [9] * 4
    assert store.stats()["memory"].entries == 3


def test_vectors_of_several_lengths_live_together() -> None:
    store = MemoryStore(10)
    store.put_many({b"a": np.ones(3, np.float32), b"b": np.ones(5, np.float32), b"none": np.empty(0, np.float32)})

    assert [None if value is None else value.shape for value in store.get_many([b"b", b"a", b"none"])] == [
        (5,),
        (3,),
        None,
    ]


def test_small_vectors_take_little_memory() -> None:
    store = MemoryStore(50_000)
    tracemalloc.start()
    try:
        for start in range(0, 60_000, 1_000):
            store.put_many({b"%020d" % i: vector(i)[:3] for i in range(start, start + 1_000)})
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    entries = store.stats()["memory"].entries
    assert entries is not None
    assert taken / entries < 180


def test_it_keeps_copies_that_cannot_be_written_to() -> None:
    store = MemoryStore(2)
    large = np.zeros((100, 4), np.float32)
    store.put_many({b"a": large[3]})
    large[:] = 9

    (value,) = store.get_many([b"a"])

    assert value is not None
    assert value.tolist() == [0] * 4
    with pytest.raises(ValueError, match="read-only"):
        value[0] = 1


def test_no_room_keeps_nothing() -> None:
    store = MemoryStore(0)
    store.put_many({b"a": vector(1)})

    assert store.get_many([b"a"]) == [None]


def test_it_counts() -> None:
    store = MemoryStore(1)
    store.put_many({b"a": vector(1), b"b": vector(2)})
    store.get_many([b"a", b"b"])

    stats = store.stats()["memory"]
    assert (stats.hits, stats.misses, stats.writes, stats.evictions, stats.entries) == (1, 1, 2, 1, 1)


def test_threads_neither_lose_the_bound_nor_mix_values() -> None:
    store = MemoryStore(50)

    def work(seed: int) -> bool:
        right = True
        for i in range(200):
            number = (seed * 7 + i) % 80
            store.put_many({b"%d" % number: vector(number)})
            (value,) = store.get_many([b"%d" % number])
            right = right and (value is None or value[0] == number)
        return right

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(8)))
    assert 25 <= store.stats()["memory"].entries <= 50
