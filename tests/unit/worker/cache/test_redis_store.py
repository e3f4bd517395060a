from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.fixtures.clock import FakeClock
from tests.fixtures.ports import refusing_port
from worker.cache import RedisStore
from worker.cache import redis as redis_layer

VECTOR = np.arange(5, dtype=np.float32)
MIB = 1 << 20


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of a second is little on a busy machine; that it is no more is tested where a server hangs."""
    monkeypatch.setattr(redis_layer, "_TIMEOUT_S", 60.0)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def open_store(redis_url: str) -> Callable[..., RedisStore]:
    """A store as one worker opens it."""

    def open_store(
        name: str = "labels", *, url: str = redis_url, ttl_s: int = 60, max_bytes: int = 16 * MIB
    ) -> RedisStore:
        return RedisStore.from_url(url, name, ttl_s=ttl_s, max_bytes=max_bytes)

    return open_store


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def keys(first: int, last: int) -> list[bytes]:
    return [b"%020d" % i for i in range(first, last)]


def entries(client: redis.Redis) -> int:
    return sum(client.hlen(key) for key in client.keys("*"))


def test_a_vector_comes_back_as_it_was(open_store) -> None:
    open_store().put_many({b"a": VECTOR, b"b": VECTOR * 2})

    other_worker = open_store()
    first, missing, second = other_worker.get_many([b"b", b"x", b"a"])

    assert missing is None
    np.testing.assert_array_equal(first, VECTOR * 2)
    np.testing.assert_array_equal(second, VECTOR)
    stats = other_worker.stats()["redis"]
    assert (stats.hits, stats.misses) == (2, 1)


def test_values_expire_and_live_in_their_own_namespace(open_store, client) -> None:
    open_store().put_many({b"a": VECTOR})

    (key,) = client.keys("*")
    assert key.startswith(b"yeban:vector:")
    assert 0 < client.ttl(key) <= 60


def test_stores_of_different_names_do_not_see_one_another(open_store) -> None:
    open_store("labels").put_many({b"a": VECTOR})

    assert open_store("pairs").get_many([b"a"]) == [None]


def test_a_few_keys_are_one_round_trip(open_store, client) -> None:
    store = open_store()
    store.put_many(dict.fromkeys(keys(0, 500), VECTOR))
    store.get_many([b"x"])  # connected
    before = client.info("stats")["total_reads_processed"]

    assert all(value is not None for value in store.get_many(keys(0, 10)))

    # The one for the command that asks is counted too, and so is what others do meanwhile; each key by itself were ten.
    assert client.info("stats")["total_reads_processed"] < before + 10


@pytest.mark.parametrize("size", [3, 384])
def test_ten_thousand_keys_come_back_right(open_store, size) -> None:
    store = open_store(max_bytes=256 * MIB)
    items = {key: np.full(size, number, np.float32) for number, key in enumerate(keys(0, 10_000))}

    store.put_many(items)
    found = open_store(max_bytes=256 * MIB).get_many(list(items))

    assert [int(value[-1]) for value in found] == list(range(10_000))
    assert store.stats()["redis"].failures == 0


@pytest.mark.parametrize("damage", [b"", b"abc", b"\x00" * 24, b"x" * 25])
def test_a_damaged_value_is_a_miss(damage, open_store, client) -> None:
    store = open_store()
    store.put_many({b"a": VECTOR})
    (key,) = client.keys("*")
    client.hset(key, b"a", damage)

    assert store.get_many([b"a"]) == [None]


def test_a_key_of_another_type_is_a_miss(open_store, client) -> None:
    store = open_store()
    store.put_many({b"a": VECTOR})
    (key,) = client.keys("*")
    client.delete(key)
    client.rpush(key, b"x")

    assert store.get_many([b"a"]) == [None]


def test_it_takes_no_more_of_the_server_than_it_may(open_store, client) -> None:
    store = open_store("pairs", max_bytes=4 * MIB)
    client.execute_command("FLUSHALL", "SYNC")
    before, most = client.info("memory")["used_memory"], 0
    for start in range(0, 100_000, 10_000):
        store.put_many(dict.fromkeys(keys(start, start + 10_000), VECTOR[:3]))
        most = max(most, client.info("memory")["used_memory"] - before)

    assert 10_000 < entries(client) < 60_000
    assert most <= 4.2 * MIB
    assert all(value is not None for value in store.get_many(keys(95_000, 100_000))), "the newest must be there"
    assert store.get_many(keys(0, 10)) == [None] * 10


def test_what_is_kept_for_half_its_time_makes_room_for_a_new_generation(open_store, client) -> None:
    store = open_store(ttl_s=2_000)
    store.put_many({b"a": VECTOR})
    (young,) = client.keys("*")
    client.pexpire(young, 900_000)  # more than half of its two thousand seconds have passed

    store.put_many({b"a": VECTOR * 2})

    assert len(client.keys("*")) == 2
    assert all(0 < client.pttl(key) <= 2_000_000 for key in client.keys("*"))
    np.testing.assert_array_equal(store.get_many([b"a"])[0], VECTOR * 2)
    client.delete(young)
    (value,) = store.get_many([b"a"])
    np.testing.assert_array_equal(value, VECTOR, "the old generation still answers")


def test_workers_that_write_at_once_keep_the_bound_and_find_what_they_wrote(open_store, client) -> None:
    lost: list[bytes] = []

    def write(worker: int) -> None:
        store = open_store("pairs", max_bytes=2 * MIB)
        for first in range(worker * 10_000, (worker + 1) * 10_000, 500):
            mine = keys(first, first + 500)
            store.put_many(dict.fromkeys(mine, VECTOR))
            lost.extend(key for key, value in zip(mine, store.get_many(mine), strict=True) if value is None)

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert lost == []
    # Entries of 20 + 24 bytes beside what the server adds; a shard may be one write over its share.
    assert 5_000 < entries(client) < 2 * MIB / (20 + 24 + 60) * 1.2


def test_no_bytes_keep_nothing(open_store, client) -> None:
    store = open_store(max_bytes=0)
    store.put_many({b"a": VECTOR})

    assert store.get_many([b"a"]) == [None]
    assert client.keys("*") == []


def test_a_server_that_is_full_is_left_alone(open_store, client) -> None:
    store = open_store()
    limits = client.config_get("maxmemory*")
    try:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        store.put_many({b"a": VECTOR})
    finally:
        client.config_set("maxmemory", limits["maxmemory"])
        client.config_set("maxmemory-policy", limits["maxmemory-policy"])

    assert store.stats()["redis"].failures == 1
    assert store.stats()["redis"].writes == 0
    assert store.get_many([b"a"]) == [None]


@pytest.fixture
def open_still(monkeypatch: pytest.MonkeyPatch, open_store) -> Callable[[int], RedisStore]:
    """A store on a port, whose clock stands still: it does not try again by itself."""

    def open_still(port: int) -> RedisStore:
        store = open_store(url=f"redis://127.0.0.1:{port}")
        monkeypatch.setattr(store, "_clock", FakeClock())
        return store

    return open_still


def test_an_outage_is_a_miss_and_not_an_error(open_still) -> None:
    with refusing_port() as port:
        store = open_still(port)

        store.put_many({b"a": VECTOR})

        assert store.get_many([b"a"]) == [None]
    assert store.stats()["redis"].failures == 1, "the second call must not have tried"


def test_a_server_that_hangs_costs_one_short_wait_however_much_is_asked(silent_port, open_still, monkeypatch) -> None:
    monkeypatch.undo()
    assert redis_layer._TIMEOUT_S == 0.25
    store = open_still(silent_port)
    started = time.monotonic()

    for _ in range(20):
        assert store.get_many(keys(0, 10_000)) == [None] * 10_000
        store.put_many(dict.fromkeys(keys(0, 10_000), VECTOR))

    assert time.monotonic() - started < 30  # what making the keys takes, and for ever where nothing bounds the wait
    assert store.stats()["redis"].failures == 1


def test_it_tries_again_after_a_pause(redis_url: str) -> None:
    clock = FakeClock()
    with refusing_port() as port:
        away = redis.Redis(port=port, retry=Retry(NoBackoff(), 0))
        store = RedisStore(away, "labels", ttl_s=60, max_bytes=MIB, clock=clock)
        store.put_many({b"a": VECTOR})
    store._client = redis.Redis.from_url(redis_url)

    store.put_many({b"a": VECTOR})
    assert store.get_many([b"a"]) == [None]
    clock.now = 60.0
    store.put_many({b"a": VECTOR})

    np.testing.assert_array_equal(store.get_many([b"a"])[0], VECTOR)
    store._client.close()


def test_nothing_asked_is_nothing_sent(open_store) -> None:
    store = open_store(url="redis://127.0.0.1:1")

    assert store.get_many([]) == []
    store.put_many({})
    assert store.stats()["redis"].failures == 0
