from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.cache import RedisStore

VECTOR = np.arange(5, dtype=np.float32)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_vector_comes_back_as_it_was(redis_url: str) -> None:
    RedisStore.from_url(redis_url, ttl_s=60).put_many({b"a": VECTOR, b"b": VECTOR * 2})

    other_worker = RedisStore.from_url(redis_url, ttl_s=60)
    first, missing, second = other_worker.get_many([b"b", b"x", b"a"])

    assert missing is None
    np.testing.assert_array_equal(first, VECTOR * 2)
    np.testing.assert_array_equal(second, VECTOR)
    stats = other_worker.stats()["redis"]
    assert (stats.hits, stats.misses) == (2, 1)


def test_values_expire_and_live_in_their_own_namespace(redis_url: str, client: redis.Redis) -> None:
    RedisStore.from_url(redis_url, ttl_s=60).put_many({b"a": VECTOR})

    (key,) = client.keys("*")
    assert key.startswith(b"yeban:vector:")
    assert 0 < client.ttl(key) <= 60


def test_many_keys_are_one_round_trip(redis_url: str, client: redis.Redis) -> None:
    store = RedisStore.from_url(redis_url, ttl_s=60)
    store.put_many({b"%d" % i: VECTOR for i in range(500)})
    before = client.info("commandstats").get("cmdstat_mget", {"calls": 0})["calls"]

    assert all(value is not None for value in store.get_many([b"%d" % i for i in range(500)]))

    assert client.info("commandstats")["cmdstat_mget"]["calls"] == before + 1


@pytest.mark.parametrize("damage", [b"", b"abc", b"\x00" * 24, b"x" * 25])
def test_a_damaged_value_is_a_miss(damage: bytes, redis_url: str, client: redis.Redis) -> None:
    store = RedisStore.from_url(redis_url, ttl_s=60)
    store.put_many({b"a": VECTOR})
    (key,) = client.keys("*")
    client.set(key, damage)

    assert store.get_many([b"a"]) == [None]


def test_a_key_of_another_type_is_a_miss(redis_url: str, client: redis.Redis) -> None:
    store = RedisStore.from_url(redis_url, ttl_s=60)
    store.put_many({b"a": VECTOR})
    (key,) = client.keys("*")
    client.delete(key)
    client.rpush(key, b"x")

    assert store.get_many([b"a"]) == [None]


def test_an_outage_is_a_miss_and_not_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    store = RedisStore.from_url(f"redis://127.0.0.1:{port}", ttl_s=60)

    store.put_many({b"a": VECTOR})

    assert store.get_many([b"a"]) == [None]
    assert store.stats()["redis"].failures == 1, "the second call must not have tried"


def test_a_server_that_hangs_costs_one_short_wait(silent_port: int) -> None:
    store = RedisStore.from_url(f"redis://127.0.0.1:{silent_port}", ttl_s=60)
    started = time.monotonic()

    for _ in range(20):
        assert store.get_many([b"a"]) == [None]

    assert time.monotonic() - started < 2.0


def test_it_tries_again_after_a_pause(redis_url: str) -> None:
    clock = Clock()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    away = redis.Redis(port=port, socket_connect_timeout=0.2, retry=Retry(NoBackoff(), 0))
    store = RedisStore(away, ttl_s=60, clock=clock)
    store.put_many({b"a": VECTOR})
    store._client = redis.Redis.from_url(redis_url)

    store.put_many({b"a": VECTOR})
    assert store.get_many([b"a"]) == [None]
    clock.now = 60.0
    store.put_many({b"a": VECTOR})

    np.testing.assert_array_equal(store.get_many([b"a"])[0], VECTOR)
    store._client.close()


def test_nothing_asked_is_nothing_sent() -> None:
    store = RedisStore.from_url("redis://127.0.0.1:1", ttl_s=60)

    assert store.get_many([]) == []
    store.put_many({})
    assert store.stats()["redis"].failures == 0
