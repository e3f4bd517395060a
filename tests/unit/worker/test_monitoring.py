"""The HTTP server of a worker: /metrics and /healthz."""

from __future__ import annotations

import socket

import httpx
import numpy as np
import pytest

from tests.fixtures.clock import FakeClock
from tests.fixtures.scraping import read
from worker.cache import LayeredStore, MemoryStore
from worker.engine import Stores
from worker.heartbeat import Heartbeat
from worker.monitoring import WorkerServer, WorkerState
from yeban.errors import ConfigurationError


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def heartbeat(clock):
    return Heartbeat("bulk", None, clock=clock)


@pytest.fixture
def state(heartbeat):
    stores = Stores(texts=MemoryStore(10), pairs=LayeredStore(MemoryStore(10)))
    return WorkerState(role="bulk", stores=stores, heartbeat=heartbeat, max_age_s=20)


@pytest.fixture
def client(state):
    server = WorkerServer("127.0.0.1", 0, state)
    server.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}", trust_env=False, timeout=120) as client:
        yield client
    server.shutdown()
    server.server_close()


def test_it_is_well_while_its_heartbeat_is_recent(client, heartbeat, clock):
    assert client.get("/healthz").status_code == 503
    assert client.get("/healthz").json()["status"] == "no heartbeat yet"
    heartbeat.tick()
    heartbeat.beat()
    clock.now = 20.0
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "role": "bulk", "heartbeat_age_s": 20.0, "max_age_s": 20}
    clock.now = 20.1
    assert client.get("/healthz").status_code == 503
    assert client.get("/healthz").json()["status"] == "the heartbeat stopped"


def test_its_caches_are_told_by_store_and_layer(client, state):
    state.stores.texts.put_many({b"a": np.ones(3, np.float32)})
    state.stores.texts.get_many([b"a", b"b", b"c"])
    shown = read(client.get("/metrics").text)
    assert shown("yeban_cache_lookups_total", store="texts", layer="memory", result="hit") == 1
    assert shown("yeban_cache_lookups_total", store="texts", layer="memory", result="miss") == 2
    assert shown("yeban_cache_writes_total", store="texts", layer="memory") == 1
    assert shown("yeban_cache_entries", store="texts", layer="memory") == 1
    assert shown("yeban_cache_lookups_total", store="pairs", layer="memory", result="hit") == 0


def test_the_age_of_the_heartbeat_is_told_from_the_first_on(client, heartbeat, clock):
    assert read(client.get("/metrics").text)("yeban_heartbeat_age_seconds") is None
    heartbeat.tick()
    heartbeat.beat()
    clock.now = 4.0
    answer = client.get("/metrics")
    assert read(answer.text)("yeban_heartbeat_age_seconds") == 4
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_there_is_nothing_else(client):
    assert client.get("/").status_code == 404
    assert client.post("/metrics").status_code == 501


def test_a_port_that_is_taken_is_named(state):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"port {port} of 127\.0\.0\.1 .*YEBAN_METRICS_PORT"):
            WorkerServer("127.0.0.1", port, state)
